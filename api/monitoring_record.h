// SPDX-License-Identifier: Apache-2.0
// What was seen of the monitoring during one run: as the controller stores it, and as report/ turns
// it into detections and signals. All times are of the controller's clock: those that a source told
// are corrected by its clock's offset. Lengths are seconds.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/detection.h"
#include "api/values.h"

namespace faultline::api {

struct MonitoringSource {
  std::string name;
  std::string kind;  // prometheus, alertmanager
  std::string url;   // without user and password
  std::string version;
  double clockOffset = 0;  // source minus controller
  double clockUncertainty = 0;
  Timestamp startedAt;  // when its process was started; later than the run: it was started anew
  std::string problem;  // why it could not be asked when the record was closed; empty: it could
};
BOOST_DESCRIBE_STRUCT(MonitoringSource, (),
                      (name, kind, url, version, clockOffset, clockUncertainty, startedAt, problem))

// A time in which a source could not be asked, gave an answer that cannot be used, or told more
// than was kept.
struct MonitoringGap {
  // MonitoringSource::name, "receiver NAME" for notifications, "rule NAME of SOURCE" for a rule
  // that was changed, "signals of SOURCE" for answers to queries. No source's name has a space.
  std::string source;
  Timestamp from, to;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(MonitoringGap, (), (source, from, to, reason))

// MonitoringGap::source of what is not in the record of a receiver's notifications, and of those of
// so many receivers that they have no gap each.
[[nodiscard]] inline std::string gap_of_receiver(const std::string& receiver) {
  return "receiver " + receiver;
}
inline constexpr const char* kGapOfAnyReceiver = "receiver of any name";

// One receiver that an alert's labels lead to through the routing tree.
struct AlertRoute {
  std::string receiver;
  std::vector<std::string> integrations;  // webhook, email, ...; empty: routed to nobody
  std::vector<std::string> groupBy;
  double groupWait = 0, groupInterval = 0, repeatInterval = 0;
  bool groupExists = false;  // before the fault: then group_interval counts, not group_wait
  bool observed = false;     // notifications of this receiver arrive at the controller too
  std::string muted;         // the silence, inhibition or time interval that holds; empty: none
};
BOOST_DESCRIBE_STRUCT(AlertRoute, (),
                      (receiver, integrations, groupBy, groupWait, groupInterval, repeatInterval,
                       groupExists, observed, muted))

// An alert rule of an expected alert, or of one that fired, as the monitoring had it when the run
// began.
struct AlertRule {
  std::string source;  // MonitoringSource::name
  std::string group;
  std::string alert;
  std::string expr;
  double forSeconds = 0, keepFiringForSeconds = 0, evaluationInterval = 0;
  std::optional<double> scrapeInterval;  // the longest of the targets behind the expression
  double longestWindow = 0;              // of the range selectors of the expression
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;  // of the rule, with its templates
  std::vector<AlertRoute> routes;
  Timestamp lastEvaluation;  // a time of its evaluation: where the grid of them lies
  std::string problem;       // why it cannot fire or could not be read; empty: nothing is known
  // What changed of it during the run, in words; then it is here as it was before, and its settings
  // do not explain how long anything took. Empty: they do.
  std::string changed;
};
BOOST_DESCRIBE_STRUCT(AlertRule, (),
                      (source, group, alert, expr, forSeconds, keepFiringForSeconds,
                       evaluationInterval, scrapeInterval, longestWindow, labels, annotations,
                       routes, lastEvaluation, problem, changed))

enum class AlertState { inactive, pending, firing };
BOOST_DESCRIBE_ENUM(AlertState, inactive, pending, firing)

// A change of one instance of an alert.
struct AlertChange {
  std::string source;
  std::string alert;
  std::map<std::string, std::string> labels;
  AlertState state = AlertState::inactive;
  Timestamp at;
};
BOOST_DESCRIBE_STRUCT(AlertChange, (), (source, alert, labels, state, at))

// What the expression of a rule gave at one time, asked after the run: of the series that have the
// labels of spec.expect.alerts[expected], how many there were. Null: it could not be asked.
struct AlertEvaluation {
  std::string source;
  std::string group;
  std::string alert;
  std::int64_t expected = 0;
  Timestamp at;
  // False: a time between the rule's own evaluations, which tells when the expression was true
  // first; the rule itself did not see it.
  bool onGrid = true;
  std::optional<std::uint64_t> series;
};
BOOST_DESCRIBE_STRUCT(AlertEvaluation, (), (source, group, alert, expected, at, onGrid, series))

// What Alertmanager said of an alert that it held; one for each time that this changed.
struct AlertHeld {
  std::string source;
  std::string alert;
  std::map<std::string, std::string> labels;
  Timestamp at;        // it was seen first like this
  Timestamp startsAt;  // it fires since, as Prometheus told Alertmanager
  std::vector<std::string> receivers;
  std::vector<std::string> mutedBy;  // silences, inhibiting alerts and time intervals, in words
  bool gone = false;                 // Alertmanager no longer lists it
};
BOOST_DESCRIBE_STRUCT(AlertHeld, (),
                      (source, alert, labels, at, startsAt, receivers, mutedBy, gone))

// A notification that arrived at the controller's webhook receiver, or that Alertmanager recorded.
struct AlertNotification {
  std::string receiver;
  std::string alert;
  std::map<std::string, std::string> labels;
  bool resolved = false;
  Timestamp at;        // it arrived
  Timestamp startsAt;  // as Alertmanager told it
};
BOOST_DESCRIBE_STRUCT(AlertNotification, (), (receiver, alert, labels, resolved, at, startsAt))

// One scrape of a target of Prometheus that a pod of the run is behind.
struct ScrapeSample {
  std::string source;
  std::string job, instance, pod;
  Timestamp at;
  bool up = false;
};
BOOST_DESCRIBE_STRUCT(ScrapeSample, (), (source, job, instance, pod, at, up))

// One answer to the query of spec.expect.signals[index], or of spec.abortWhen[index].
struct SignalSample {
  std::int64_t index = 0;
  bool abortWhen = false;
  Timestamp at;
  std::optional<double> value;      // null: no data
  std::optional<double> newest;     // age of the newest sample behind it, seconds
  std::optional<double> low, high;  // of a histogram_quantile: the bucket's edges
};
BOOST_DESCRIBE_STRUCT(SignalSample, (), (index, abortWhen, at, value, newest, low, high))

// A rule that the monitoring does not have, over metrics that it does have for a pod of the run,
// checked by asking it over the run; or why there is none for this effect.
struct AlertCandidate {
  std::string source;
  std::string pod;  // namespace/name
  // The measured effect that it would notice, a word of api/metrics.h; empty: `reason` is of all.
  std::string metric;
  bool falls = false;               // it is true below its threshold, not above
  std::string promql;               // empty: there is nothing to make a rule of
  std::optional<double> baseline;   // the highest value of the baseline, or the lowest
  std::optional<double> threshold;  // what the rule compares with, made from the baseline
  Timestamp trueAt;                 // first after the first injected event; not set: never
  bool trueBefore = false;          // in the baseline: it would be a false alarm
  std::string reason;               // why it is no rule to take; empty: it is one
};
BOOST_DESCRIBE_STRUCT(AlertCandidate, (),
                      (source, pod, metric, falls, promql, baseline, threshold, trueAt, trueBefore,
                       reason))

// What became of one alert, in short: what a list of all alerts needs of a run. One for each
// detection of the report.
struct AlertOutcome {
  std::string source;
  std::string alert;
  DetectionVerdict verdict = DetectionVerdict::unknown;
  Timestamp firingAt;             // not set: it did not fire
  std::optional<double> seconds;  // from the first injected event to the firing
};
BOOST_DESCRIBE_STRUCT(AlertOutcome, (), (source, alert, verdict, firingAt, seconds))

struct MonitoringRecord {
  std::vector<MonitoringSource> sources;
  std::vector<MonitoringGap> gaps;
  std::vector<AlertRule> rules;
  std::vector<std::string> ruleNames;  // of all alert rules, to name the nearest of one that is not
  std::vector<AlertChange> changes;
  std::vector<AlertEvaluation> evaluations;
  std::vector<AlertHeld> held;
  std::vector<AlertNotification> notifications;
  std::vector<ScrapeSample> scrapes;
  std::vector<SignalSample> signals;
  std::vector<AlertCandidate> candidates;
  std::vector<AlertOutcome> outcomes;
  // What was not understood of answers that could be used all the same, and what was left out of
  // them, each once, in words.
  std::vector<std::string> notes;
};
BOOST_DESCRIBE_STRUCT(MonitoringRecord, (),
                      (sources, gaps, rules, ruleNames, changes, evaluations, held, notifications,
                       scrapes, signals, candidates, outcomes, notes))

}  // namespace faultline::api
