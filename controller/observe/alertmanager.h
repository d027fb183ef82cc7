// SPDX-License-Identifier: Apache-2.0
// Read-only client of Alertmanager's API v2. What parses an answer is a pure function of its own.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>
#include <compare>
#include <functional>
#include <string>
#include <vector>

#include "controller/observe/source.h"

namespace faultline::controller::observe {

// One condition on a label: name="value", name!="value", name=~"value", name!~"value".
struct Matcher {
  std::string name, value;
  bool regex = false;
  bool equal = true;
};

struct AlertmanagerStatus {
  std::string version;
  std::string config;      // YAML, secrets left out by Alertmanager
  api::Timestamp started;  // of its process, by its own clock
};

// An alert that Alertmanager holds and that is not resolved.
struct HeldAlert {
  std::string alert;
  Labels labels;  // without alertname
  std::string fingerprint;
  double starts_at = 0;  // it fires since, by Prometheus' clock
  std::vector<std::string> receivers;
  std::vector<std::string> silenced_by;   // ids of silences
  std::vector<std::string> inhibited_by;  // fingerprints of alerts
  std::vector<std::string> muted_by;      // names of time intervals, from 0.28 on
};

// A group that exists: alerts of it have been told, or wait for group_wait.
struct AlertGroup {
  std::string receiver;
  Labels labels;  // that it is grouped by
  friend auto operator<=>(const AlertGroup&, const AlertGroup&) = default;
};

struct Silence {
  std::string id, created_by, comment;
  std::vector<Matcher> matchers;
  double starts_at = 0, ends_at = 0;
  bool active = false;
};

// kUnavailable: it is no answer of Alertmanager's API v2, or more than can be kept. What has
// too_much() labels, or texts beyond kLongestLabel, is one of `left_out`. Pure.
[[nodiscard]] Result<AlertmanagerStatus> parse_status(const boost::json::value& answer);
[[nodiscard]] Result<std::vector<HeldAlert>> parse_held(const boost::json::value& answer,
                                                        NotTaken* left_out = nullptr);
[[nodiscard]] Result<std::vector<AlertGroup>> parse_groups(const boost::json::value& answer,
                                                           NotTaken* left_out = nullptr);
// The active ones: an alert names no other. A comment is cut.
[[nodiscard]] Result<std::vector<Silence>> parse_silences(const boost::json::value& answer);

struct HeldAlerts {
  std::vector<HeldAlert> alerts;
  NotTaken left_out;
};
struct AlertGroups {
  std::vector<AlertGroup> groups;
  NotTaken left_out;
};

// Not thread-safe; one question at a time. Errors as Source::get().
class Alertmanager {
 public:
  template <class T>
  using Task = boost::asio::awaitable<Result<T>>;

  Alertmanager(boost::asio::any_io_executor executor, SourceOptions options, const Clock& clock)
      : source_(std::move(executor), std::move(options), clock) {}

  [[nodiscard]] Task<AlertmanagerStatus> status();
  [[nodiscard]] Task<HeldAlerts> alerts();
  [[nodiscard]] Task<AlertGroups> groups();
  [[nodiscard]] Task<std::vector<Silence>> silences();
  // By the Date header of the last answer: to a second. Empty before the first.
  [[nodiscard]] std::optional<Offset> clock_offset() const { return offset_; }

  [[nodiscard]] const SourceOptions& options() const { return source_.options(); }

 private:
  template <class T>
  [[nodiscard]] Task<T> ask(std::string target,
                            std::function<Result<T>(const boost::json::value&)> read);
  Source source_;
  std::optional<Offset> offset_;
};

}  // namespace faultline::controller::observe
