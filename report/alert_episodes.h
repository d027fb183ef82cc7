// SPDX-License-Identifier: Apache-2.0
// The instances of alerts that a record tells of, each with the times it was pending and firing.
// Internal to report/detections. Pure and thread-safe; results point into the record.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/monitoring_record.h"

namespace faultline::report {

using AlertLabels = std::map<std::string, std::string>;

// One time that an instance became pending or firing, up to when it was neither.
struct Episode {
  api::Timestamp pending;  // not set: it fired at once
  api::Timestamp firing;   // not set: it never fired
  api::Timestamp end;      // not set: it was not over when the record was closed
  [[nodiscard]] api::Timestamp since() const { return pending.set() ? pending : firing; }
};

struct Instance {
  std::string source, alert;
  AlertLabels labels;                    // without alertname
  const api::AlertRule* rule = nullptr;  // that it is of; null: not known
  std::vector<Episode> episodes;         // in order of time
};

// An alert that was gone for less than one evaluation is one episode: a reload of the configuration
// makes it resolve and fire again within a second.
[[nodiscard]] std::vector<Instance> instances_of(const api::MonitoringRecord& record);

// Whether an instance with these labels may be of the rule: a label whose value is a template is
// another one in each.
[[nodiscard]] bool is_of(const api::AlertRule& rule, const AlertLabels& labels);

// AlertEvaluation::group of this rule's evaluations: its group, and of further rules of one name in
// the group, which labels keep apart, a text of their own.
[[nodiscard]] std::string evaluated_as(const api::MonitoringRecord& record,
                                       const api::AlertRule& rule);

// Whether `labels` has all of `wanted`; `alertname` in `wanted` is met by an instance's name.
[[nodiscard]] bool has_labels(const AlertLabels& labels, const AlertLabels& wanted);

[[nodiscard]] inline double seconds_between(api::Timestamp from, api::Timestamp to) {
  return std::chrono::duration<double>(to.value - from.value).count();
}
// "14:05:02.123", the time of day in UTC.
[[nodiscard]] std::string time_words(api::Timestamp at);

}  // namespace faultline::report
