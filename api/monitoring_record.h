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

#include "api/values.h"

namespace faultline::api {

struct MonitoringSource {
  std::string name;
  std::string kind;  // prometheus, alertmanager
  std::string url;   // without user and password
  std::string version;
  double clockOffset = 0;  // source minus controller
  double clockUncertainty = 0;
  std::string problem;  // why it could not be asked, newest; empty: it could
};
BOOST_DESCRIBE_STRUCT(MonitoringSource, (),
                      (name, kind, url, version, clockOffset, clockUncertainty, problem))

// One receiver that an alert's labels lead to through the routing tree.
struct AlertRoute {
  std::string receiver;
  std::vector<std::string> integrations;  // webhook, email, ...; empty: routed to nobody
  std::vector<std::string> groupBy;
  double groupWait = 0, groupInterval = 0, repeatInterval = 0;
  bool groupExists = false;  // before the fault: then group_interval counts, not group_wait
  std::string muted;         // the silence, inhibition or time interval that holds; empty: none
};
BOOST_DESCRIBE_STRUCT(AlertRoute, (),
                      (receiver, integrations, groupBy, groupWait, groupInterval, repeatInterval,
                       groupExists, muted))

// A rule as the monitoring had it when the run began.
struct AlertRule {
  std::string source;  // MonitoringSource::name
  std::string group;
  std::string alert;
  std::string expr;
  double forSeconds = 0, keepFiringForSeconds = 0, evaluationInterval = 0;
  std::optional<double> scrapeInterval;  // the longest of the targets behind the expression
  double longestWindow = 0;              // of the range selectors of the expression
  std::map<std::string, std::string> labels;
  std::vector<AlertRoute> routes;
  Timestamp lastEvaluation;  // where the grid of its evaluations lies
  std::string problem;       // why it cannot fire or could not be read; empty: nothing is known
};
BOOST_DESCRIBE_STRUCT(AlertRule, (),
                      (source, group, alert, expr, forSeconds, keepFiringForSeconds,
                       evaluationInterval, scrapeInterval, longestWindow, labels, routes,
                       lastEvaluation, problem))

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

// What the rule's expression gave at one of its own evaluation times: how many series. Null: it
// could not be asked.
struct AlertEvaluation {
  std::string source;
  std::string alert;
  Timestamp at;
  std::optional<std::uint64_t> series;
};
BOOST_DESCRIBE_STRUCT(AlertEvaluation, (), (source, alert, at, series))

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

// One answer to the query of spec.expect.signals[index], or of spec.abortWhen.
struct SignalSample {
  std::int64_t index = 0;
  Timestamp at;
  std::optional<double> value;    // null: no data
  std::optional<double> newest;   // age of the newest sample behind it, seconds
  std::optional<double> low, high;  // of a histogram_quantile: the bucket's edges
};
BOOST_DESCRIBE_STRUCT(SignalSample, (), (index, at, value, newest, low, high))

struct MonitoringRecord {
  std::vector<MonitoringSource> sources;
  std::vector<AlertRule> rules;
  std::vector<AlertChange> changes;
  std::vector<AlertEvaluation> evaluations;
  std::vector<AlertNotification> notifications;
  std::vector<ScrapeSample> scrapes;
  std::vector<SignalSample> signals;
};
BOOST_DESCRIBE_STRUCT(MonitoringRecord, (),
                      (sources, rules, changes, evaluations, notifications, scrapes, signals))

}  // namespace faultline::api
