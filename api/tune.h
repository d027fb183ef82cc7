// SPDX-License-Identifier: Apache-2.0
// What other settings of an alert rule would have made of runs, and of the time between them:
// GET /api/v1/tune, and `faultline tune`. Lengths of time are seconds.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/values.h"

namespace faultline::api {

// detected: it would have fired, pending since after the first injected event. before_fault: it
// would have been pending or firing already, and fired. pending: the run ended before `for` was
// over. missed: it would not have fired. gap: Prometheus has no samples of that time any more, or
// could not say.
enum class TuneOutcome { detected, before_fault, pending, missed, gap };
BOOST_DESCRIBE_ENUM(TuneOutcome, detected, before_fault, pending, missed, gap)

struct TunePrediction {
  TuneOutcome outcome = TuneOutcome::gap;
  std::optional<double> seconds;  // detected: from the first injected event to the firing
};
BOOST_DESCRIBE_STRUCT(TunePrediction, (), (outcome, seconds))

struct TuneRun {
  std::string run;
  Timestamp firstInjectedAt;
  std::optional<double> measured;  // it fired in the run itself after so long; null: it did not
  std::string problem;             // why there is a gap, or what else differs; empty: nothing
};
BOOST_DESCRIBE_STRUCT(TuneRun, (), (run, firstInjectedAt, measured, problem))

// The time that false alarms were counted in.
struct TuneHistory {
  Timestamp from, to;     // that was looked at
  Timestamp dataFrom;     // the first data in it; not set: there was none
  double resolution = 0;  // between two evaluations that were looked at
  double counted = 0;     // with data, and without the runs
  std::uint64_t runsLeftOut = 0;
};
BOOST_DESCRIBE_STRUCT(TuneHistory, (), (from, to, dataFrom, resolution, counted, runsLeftOut))

struct TuneSetting {
  double forSeconds = 0;
  std::optional<double> threshold, window;  // null: the rule has none that can be varied
  bool present = false;                     // as the rule is now
  bool best = false;  // it detects a run, and no other is better in one thing and as good in all
  std::string expr;
  std::vector<TunePrediction> runs;          // in the order of TuneReport::runs
  std::optional<std::uint64_t> falseAlarms;  // null: no history was looked at
  std::optional<double> falseSeconds;        // for which it would have fired, all in all
  std::optional<double> falsePerDay;         // null also: no data
  std::uint64_t leftOut = 0;                 // firings that began in a run
};
BOOST_DESCRIBE_STRUCT(TuneSetting, (),
                      (forSeconds, threshold, window, present, best, expr, runs, falseAlarms,
                       falseSeconds, falsePerDay, leftOut))

struct TuneReport {
  std::string source, group, alert, expr;
  double evaluationInterval = 0, keepFiringForSeconds = 0;
  std::vector<TuneRun> runs;
  TuneHistory history;
  std::vector<TuneSetting> settings;  // by window, threshold, for
  std::uint64_t questions = 0;        // that Prometheus was asked
  std::vector<std::string> notes;     // what was not varied, and why; what differs from the runs
};
BOOST_DESCRIBE_STRUCT(TuneReport, (),
                      (source, group, alert, expr, evaluationInterval, keepFiringForSeconds, runs,
                       history, settings, questions, notes))

}  // namespace faultline::api
