// SPDX-License-Identifier: Apache-2.0
// What Prometheus and Alertmanager answer, and what people wrote into their rules and routes.
#include <cmath>
#include <map>
#include <set>

#include "controller/observe/routes.h"
#include "controller/observe/rules.h"
#include "controller/observe/samples.h"
#include "controller/observe/tunable.h"
#include "document/json.h"
#include "report/detections.h"
#include "report/promql.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {
namespace {

using namespace controller::observe;

constexpr document::Budget kBudget{64 << 10, 20'000, 32};
constexpr double kEnd = 1'795'929'540;

void answer(std::string_view text) {
  const auto body = document::parse_json(text, kBudget);
  if (!body) return;
  static_cast<void>(parse_status(*body));
  static_cast<void>(parse_groups(*body));
  static_cast<void>(parse_silences(*body));
  static_cast<void>(parse_held(*body));
  must(missing_words(*body).size() < 1'000, "words for what is missing are bounded");
  const auto data = data_of(*body);
  if (!data) return;
  static_cast<void>(parse_alerts(*data));
  static_cast<void>(parse_targets(*data));
  Rules rules;
  if (auto read = parse_rules(*data, "main", {})) rules = std::move(*read);
  for (const api::AlertRule& rule : rules.alerts) {
    must(std::isfinite(rule.longestWindow) && rule.longestWindow >= 0, "a window is a length");
    must(rule.forSeconds >= 0 && rule.evaluationInterval >= 0, "no length is negative");
  }
  if (const auto number = parse_number(*data, kEnd); number && *number)
    must(std::isfinite(**number), "a number is finite");
  NotTaken left_out;
  const auto series = parse_series(*data, &left_out);
  if (!series) return;
  for (const Series& one : *series)
    for (const auto& [name, value] : one.labels)
      must(name.size() <= kLongestLabel && value.size() <= kLongestLabel, "labels have an end");
  static_cast<void>(bucket_of(*series, 0.99));
  scrapes_of(*series, "main", {}, [](const api::ScrapeSample&) { return true; });
  api::MonitoringRecord record;
  changes_of(
      *series, rules.alerts, "main", {}, kEnd, [](const Labels&) { return true; },
      [&](const api::AlertChange& one) {
        record.changes.push_back(one);
        return true;
      });
  api::Expect expect;
  if (!record.changes.empty()) expect.alerts.push_back({.name = record.changes.front().alert});
  const api::Timestamp begin = to_ours(kEnd - 60, {}), end = to_ours(kEnd, {});
  const auto found = report::detections_of(record, expect, {begin, begin, end});
  must(found.size() <= expect.alerts.size() + report::kMostFalseAlarms, "the list is bounded");
}

}  // namespace

void fuzz(std::string_view input) {
  switch (choose(input, 3)) {
    case 0:
      return answer(input);
    case 1: {
      const auto routing = parse_routing(input);
      if (!routing) return;
      const Labels labels{{"alertname", "A"}, {"severity", "page"}};
      must(routes_of(*routing, labels, {}).size() <= 65, "the list is bounded");
      static_cast<void>(inhibited_words(*routing, {{.alert = "B"}}, labels));
      return;
    }
    default: {
      const report::PromqlText text = report::scan_promql(input);
      must(std::isfinite(text.longest_window) && text.longest_window >= 0, "a window is a length");
      const Tunable parts = tunable(input);
      must(varied(parts, parts.threshold(), parts.window()) == input, "nothing changes by itself");
      static_cast<void>(varied(parts, 7, 60));
      static_cast<void>(parse_matchers(input));
      static_cast<void>(quantile_query(input));
      static_cast<void>(parse_time(input));
    }
  }
}

}  // namespace faultline::fuzz
