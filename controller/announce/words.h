// SPDX-License-Identifier: Apache-2.0
// What a chat and a Grafana are told of a run. Pure and thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/report.h"
#include "api/run_record.h"

namespace faultline::controller::announce {

struct Announcement {
  std::string run;
  bool over = false;
  std::vector<std::string> lines;  // plain words, which may hold words of others
  UtcTime from;                    // the first injected event, or the phase's begin
  std::optional<UtcTime> to;       // the last injected event, or the phase's end; only when over
  std::vector<std::string> tags;
};

// The faults of a run begin. `head` has reached Injecting.
[[nodiscard]] Announcement faults_begin(const api::RunRecord& head);
// The run is over: its verdict, its faults, and a line for each alert.
[[nodiscard]] Announcement run_over(const api::RunRecord& head, const api::Report& report);

// When the faults of a run began and were over, by the marks of its history; empty: they did not.
[[nodiscard]] std::optional<UtcTime> injecting_from(const api::RunRecord& head);
[[nodiscard]] std::optional<UtcTime> injecting_to(const api::RunRecord& head);

// The body of a webhook that Slack and Mattermost take: {"text": ...}. Words of others are one line
// each, link nowhere and mention nobody.
// Source: https://api.slack.com/reference/surfaces/formatting#escaping
[[nodiscard]] std::string webhook_body(const Announcement& what);
// The body of POST and PATCH /api/annotations of Grafana, whose text is HTML.
// Source: https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
[[nodiscard]] std::string annotation_body(const Announcement& what);

inline constexpr std::size_t kMostLines = 30;
inline constexpr std::size_t kLongestLine = 500;  // bytes

}  // namespace faultline::controller::announce
