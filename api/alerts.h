// SPDX-License-Identifier: Apache-2.0
// Which alerts were ever shown to fire: GET /api/v1/alerts, and `faultline alerts`.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/detection.h"

namespace faultline::api {

struct AlertRow {
  std::string alert;
  std::string source;  // MonitoringSource::name; empty: it never fired in a run
  bool known = false;  // the monitoring has a rule of this name now; false also: it was not asked
  Timestamp lastFiredAt;  // in the newest run that showed it to fire; not set: never
  std::string run;
  std::string experiment;
  std::optional<DetectionVerdict> verdict;  // of that run
  std::optional<double> seconds;            // from the first injected event to the firing
};
BOOST_DESCRIBE_STRUCT(AlertRow, (),
                      (alert, source, known, lastFiredAt, run, experiment, verdict, seconds))

struct AlertList {
  std::vector<AlertRow> alerts;
  // The alert rules of the monitoring, and how many of them were ever shown to fire. Null: the
  // caller may not see all runs and rules, or not every source could be asked.
  std::optional<std::uint64_t> rules, tested;
  std::vector<std::string> notes;  // what was not looked at
};
BOOST_DESCRIBE_STRUCT(AlertList, (), (alerts, rules, tested, notes))

// GET /api/v1/experiments/{run}/rule-test: two files for `promtool test rules`.
struct RuleTestFiles {
  std::string rulesFile, testFile;  // plain names
  std::string rules, test;          // what is in them
  std::vector<std::string> notes;   // what of the rule or its data is not in them
};
BOOST_DESCRIBE_STRUCT(RuleTestFiles, (), (rulesFile, testFile, rules, test, notes))

}  // namespace faultline::api
