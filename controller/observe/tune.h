// SPDX-License-Identifier: Apache-2.0
// Other values of an alert rule's `for`, threshold and range window: which are looked at, and what
// each would have made of runs and of the time between them. Pure and thread-safe; tune_ask.h asks
// Prometheus for what is judged here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/run_record.h"
#include "api/tune.h"
#include "controller/observe/alert_states.h"
#include "controller/observe/tunable.h"

namespace faultline::controller::observe {

// What somebody asked for. Seconds.
struct TuneWish {
  std::vector<double> fors, thresholds, windows;  // an empty list: values around the present one
  double history = 7 * 86'400;                    // before now; 0: no false alarms are counted
  double step = 0;  // between the evaluations of the history; 0: that of the rule
};
inline constexpr std::size_t kMostTuneValues = 12;     // of one list
inline constexpr std::size_t kMostTuneSettings = 300;  // all combinations
inline constexpr double kLongestHistory = 90 * 86'400;

// The words of a question: lists with commas, "30s,1m" and "0.2,0.5"; an empty text is the default.
// kInvalid names the field, and what it takes.
struct TuneWords {
  std::string fors, thresholds, windows, history, step;
};
[[nodiscard]] Result<TuneWish> tune_wish(const TuneWords& words);

// One text of the expression, with the values that made it.
struct TuneExpression {
  std::optional<double> threshold, window;
  std::string text;
};
struct TunePlan {
  api::AlertRule rule;  // the present one
  Tunable parts;
  std::vector<double> fors;                 // in order, the present one among them
  std::vector<TuneExpression> expressions;  // by window, then threshold; the present among them
};
// kInvalid: more than kMostTuneSettings, a list for what the rule does not have, a window that is
// not positive.
[[nodiscard]] Result<TunePlan> tune_plan(const api::AlertRule& rule, const TuneWish& wish);

// Between two times of the source's clock, seconds since the epoch.
struct TimeSpan {
  double from = 0, to = 0;
};

// What is known of a run. Times are of the source's clock.
struct TunedRun {
  std::string run;
  api::Timestamp first_injected;   // of ours
  std::optional<double> measured;  // it fired after so long
  double injected = 0;             // first event
  TimeSpan asked;                  // for which there are answers
  EvaluationGrid grid;             // of the rule's evaluations then
  std::vector<Labels> wanted;      // instances that count have all of one of these; none: all count
  std::optional<api::AlertRule> rule;  // as it was then; empty: the run's record has none
  bool same_rule = false;              // it had the present settings then
  bool gap = false;
  std::string problem;
};

// From its record. `first_injected`: t2, or not set; then it is a gap.
[[nodiscard]] TunedRun tuned_run(const api::RunRecord& record, const api::AlertRule& rule,
                                 api::Timestamp first_injected);

struct TuneData {
  TunePlan plan;
  std::vector<TunedRun> runs;
  // By expression: what it gave in each run, and in the history.
  struct Answers {
    std::vector<Values> runs;
    Values history;
  };
  std::vector<Answers> answers;
  TimeSpan history;             // that was asked for; of no length: none was
  EvaluationGrid history_grid;  // of the answers of the history
  Values data;                  // when there was anything that the rule could have read,
  EvaluationGrid data_grid;     // on a grid of its own
  std::vector<TimeSpan> known;  // from the begin to the end of each run of this controller, in
                                // any order
  Offset offset;                // of the source's clock
  std::uint64_t questions = 0;
  std::vector<std::string> notes;
};
[[nodiscard]] api::TuneReport tuned(const TuneData& data);

// What an expression's values and these times would have made of a run.
[[nodiscard]] api::TunePrediction predicted(const Values& values, const api::AlertRule& rule,
                                            const TunedRun& run, const HoldTimes& hold);

struct FalseAlarms {
  std::uint64_t count = 0;  // times in which at least one instance fired
  double seconds = 0;       // for which
  std::uint64_t left_out = 0;
};
// `runs`: what became pending in one of these is left out. In order, none touching another.
[[nodiscard]] FalseAlarms false_alarms(const Values& values, const HoldTimes& hold,
                                       const EvaluationGrid& grid,
                                       const std::vector<TimeSpan>& runs);

// In order, and without overlaps. Of no length: left out.
[[nodiscard]] std::vector<TimeSpan> joined(std::vector<TimeSpan> spans);
// Seconds of `spans` that are in none of `without`; both joined().
[[nodiscard]] double length_without(const std::vector<TimeSpan>& spans,
                                    const std::vector<TimeSpan>& without);

// Marks as best what no other setting beats: one that detects as many runs, the slowest as fast,
// with as few false alarms, and is better in one of them. What detects no run is not best.
void mark_best(std::vector<api::TuneSetting>& settings);

}  // namespace faultline::controller::observe
