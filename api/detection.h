// SPDX-License-Identifier: Apache-2.0
// Whether the monitoring noticed: what a report says of each expected alert, and of each signal
// that should agree with the kernel's own measure.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/values.h"

namespace faultline::api {

// detected: fired within the time asked, and somebody was told. late: fired, after it. missed:
// did not fire. not_notified: fired, and nobody was told. false_alarm: fired, and was not expected.
// before_fault: fired already. still_firing: detected, and not over at the end of the run although
// the effects were. flapping: fired more than once. unknown: the monitoring could not be asked.
enum class DetectionVerdict {
  detected,
  late,
  missed,
  not_notified,
  false_alarm,
  before_fault,
  still_firing,
  flapping,
  unknown
};
BOOST_DESCRIBE_ENUM(DetectionVerdict, detected, late, missed, not_notified, false_alarm,
                    before_fault, still_firing, flapping, unknown)

// One step of the way from the first injected event to a person. All in seconds; null: not known.
struct DetectionStep {
  std::string name;  // scrape, expression, for, group
  std::optional<double> seconds;
  std::optional<double> floor;  // the earliest that the settings allow
  std::string cause;            // the setting and its value: "scrape_interval 15s"
};
BOOST_DESCRIBE_STRUCT(DetectionStep, (), (name, seconds, floor, cause))

// An effect that moved and that no alert noticed, and a rule that would have.
struct DetectionHint {
  std::string text;
  std::string promql;             // empty: the monitoring has no metric for it
  std::optional<double> seconds;  // after the first injected event, it would have been true
};
BOOST_DESCRIBE_STRUCT(DetectionHint, (), (text, promql, seconds))

// One expected alert, or one that fired and was not expected. A time that is not set is not known
// or did not come. All times are of the controller's clock.
struct DetectionReport {
  std::string source;  // MonitoringSource::name, and the rule's group; empty: there is no such rule
  std::string group;
  std::string alert;
  std::map<std::string, std::string> labels;  // of the instance; of none, those that were asked
  DetectionVerdict verdict = DetectionVerdict::unknown;
  std::string reason;
  Timestamp firstScrapeAt, trueAt, pendingAt, firingAt, notifiedAt, resolvedAt, resolvedNotifiedAt;
  std::optional<double> within;        // the seconds that were asked; null: it was not expected
  std::optional<double> seconds;       // from the first injected event to the firing
  std::optional<double> floor;         // the same, the earliest that the settings allow
  std::vector<std::string> receivers;  // that were told
  std::vector<DetectionStep> steps;
  std::vector<DetectionHint> hints;
};
BOOST_DESCRIBE_STRUCT(DetectionReport, (),
                      (source, group, alert, labels, verdict, reason, firstScrapeAt, trueAt,
                       pendingAt, firingAt, notifiedAt, resolvedAt, resolvedNotifiedAt, within,
                       seconds, floor, receivers, steps, hints))

// too_coarse: the truth lies within one bucket of the histogram, between `low` and `high`. stale:
// the newest sample is older than two scrapes.
enum class SignalVerdict { agrees, differs, too_coarse, stale, no_data };
BOOST_DESCRIBE_ENUM(SignalVerdict, agrees, differs, too_coarse, stale, no_data)

// A query of the monitoring beside the kernel's measure of the same thing over the same window, in
// the metric's unit (seconds, a fraction, or a number a second).
struct SignalReport {
  std::string promql;
  std::string metric;
  std::optional<double> quantile;
  std::optional<double> kernel, monitoring;
  std::optional<double> low, high;  // edges of the bucket the truth lies in
  SignalVerdict verdict = SignalVerdict::no_data;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(SignalReport, (),
                      (promql, metric, quantile, kernel, monitoring, low, high, verdict, text))

}  // namespace faultline::api
