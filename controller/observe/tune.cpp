// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/tune.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "controller/observe/samples.h"
#include "report/format.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

constexpr double kDay = 86'400;

std::vector<TimeSpan> spans_of(const Values& values, const EvaluationGrid& grid) {
  std::vector<TimeSpan> out;
  for (const auto& [labels, spells] : values.series())
    for (const Spell& spell : spells)
      out.push_back({grid.at(spell.first), grid.at(spell.last) + grid.step});
  return joined(std::move(out));
}

// The runs with the time after them in which a range still has samples of them.
std::vector<TimeSpan> with_tails(const std::vector<TimeSpan>& runs, double tail) {
  std::vector<TimeSpan> out = runs;
  for (TimeSpan& run : out) run.to += tail;
  return joined(std::move(out));
}

bool overlaps(const TimeSpan& one, const TimeSpan& other) {
  return one.from < other.to && other.from < one.to;
}

// What settings are compared by; less is better.
struct Score {
  std::size_t detected = 0, undetected = 0;
  double slowest = 0;
  std::uint64_t false_alarms = 0;
  [[nodiscard]] bool beats(const Score& other) const {
    const bool as_good = undetected <= other.undetected && slowest <= other.slowest &&
                         false_alarms <= other.false_alarms;
    return as_good && (undetected < other.undetected || slowest < other.slowest ||
                       false_alarms < other.false_alarms);
  }
};

// Empty: no run says anything about it.
std::optional<Score> score_of(const api::TuneSetting& setting) {
  Score out{.false_alarms = setting.falseAlarms.value_or(0)};
  bool any = false;
  for (const api::TunePrediction& one : setting.runs) {
    if (one.outcome == api::TuneOutcome::gap) continue;
    any = true;
    if (one.outcome == api::TuneOutcome::detected) {
      ++out.detected;
      out.slowest = std::max(out.slowest, one.seconds.value_or(0));
    } else {
      ++out.undetected;
      out.slowest = std::numeric_limits<double>::infinity();
    }
  }
  return any ? std::optional(out) : std::nullopt;
}

// Where the run had the present rule, what it measured itself tells how good a prediction is.
std::string doubt(const TunedRun& run, const api::TunePrediction& present) {
  if (!run.same_rule || run.gap) return "";
  if (!run.measured)
    return present.seconds ? "; the prediction for the rule as it is says that it should have" : "";
  if (!present.seconds) return "; the prediction for the rule as it is says that it would not";
  const double off = *present.seconds - *run.measured;
  if (std::abs(off) <= run.grid.step * 1.05) return "";
  return "; the prediction for the rule as it is says " + report::seconds_words(*present.seconds) +
         ": more than an evaluation from it, so take the others with care";
}

// Fills what the history says of one setting.
class History {
 public:
  explicit History(const TuneData& data)
      : data_(data), covered_(spans_of(data.data, data.data_grid)) {
    for (TimeSpan& span : covered_) {
      span.from = std::max(span.from, data.history.from);
      span.to = std::min(span.to, data.history.to);
    }
    covered_ = joined(std::move(covered_));
  }

  [[nodiscard]] double tail(std::optional<double> window) const {
    const double present = data_.plan.parts.window().value_or(0);
    const double factor = window && present > 0 ? std::max(1.0, *window / present) : 1;
    return data_.plan.rule.longestWindow * factor + data_.plan.rule.scrapeInterval.value_or(0);
  }
  [[nodiscard]] const std::vector<TimeSpan>& covered() const { return covered_; }

  void fill(api::TuneSetting& setting, const Values& values, const HoldTimes& hold) const {
    if (covered_.empty()) return;
    const std::vector<TimeSpan> runs = with_tails(data_.known, tail(setting.window));
    const FalseAlarms found = false_alarms(values, hold, data_.history_grid, runs);
    setting.falseAlarms = found.count;
    setting.falseSeconds = found.seconds;
    setting.leftOut = found.left_out;
    const double counted = length_without(covered_, runs);
    if (counted > 0) setting.falsePerDay = static_cast<double>(found.count) / (counted / kDay);
  }

  [[nodiscard]] api::TuneHistory summary() const {
    api::TuneHistory out{.from = to_ours(data_.history.from, data_.offset),
                         .to = to_ours(data_.history.to, data_.offset),
                         .dataFrom = {},
                         .resolution = data_.history_grid.step};
    if (covered_.empty()) return out;
    out.dataFrom = to_ours(covered_.front().from, data_.offset);
    out.counted = length_without(covered_, with_tails(data_.known, tail(std::nullopt)));
    for (const TimeSpan& run : data_.known)
      if (overlaps(run, data_.history)) ++out.runsLeftOut;
    return out;
  }

 private:
  const TuneData& data_;
  std::vector<TimeSpan> covered_;
};

}  // namespace

std::vector<TimeSpan> joined(std::vector<TimeSpan> spans) {
  std::ranges::sort(spans, {}, &TimeSpan::from);
  std::vector<TimeSpan> out;
  for (const TimeSpan& span : spans) {
    if (!(span.from < span.to)) continue;
    if (!out.empty() && span.from <= out.back().to)
      out.back().to = std::max(out.back().to, span.to);
    else
      out.push_back(span);
  }
  return out;
}

double length_without(const std::vector<TimeSpan>& spans, const std::vector<TimeSpan>& without) {
  double out = 0;
  std::size_t first = 0;
  for (const TimeSpan& span : spans) {
    out += span.to - span.from;
    while (first < without.size() && without[first].to <= span.from) ++first;
    for (std::size_t i = first; i < without.size() && without[i].from < span.to; ++i)
      out -= std::min(span.to, without[i].to) - std::max(span.from, without[i].from);
  }
  return out;
}

api::TunePrediction predicted(const Values& values, const api::AlertRule& rule, const TunedRun& run,
                              const HoldTimes& hold) {
  api::TunePrediction out{.outcome = api::TuneOutcome::missed, .seconds = {}};
  const std::int64_t last = run.grid.to(run.asked.to);
  bool before = false, pending = false;
  for (const auto& [labels, spells] : values.series()) {
    if (!run.wanted.empty() && std::ranges::none_of(run.wanted, [&](const Labels& wanted) {
          return instance_has(rule, labels, wanted);
        }))
      continue;
    const std::vector<Firing> all = firings(spells, hold, run.grid.step);
    for (const Firing& one : all) {
      if (run.grid.at(one.active) < run.injected) {
        before = before || run.grid.at(one.last) >= run.injected;
        continue;
      }
      const double seconds = run.grid.at(one.fired) - run.injected;
      out.seconds = std::min(out.seconds.value_or(seconds), seconds);
    }
    const bool fires = !all.empty() && all.back().last >= spells.back().last;
    pending = pending || (!fires && spells.back().last >= last &&
                          run.grid.at(spells.back().first) >= run.injected);
  }
  if (out.seconds)
    out.outcome = api::TuneOutcome::detected;
  else if (before)
    out.outcome = api::TuneOutcome::before_fault;
  else if (pending)
    out.outcome = api::TuneOutcome::pending;
  return out;
}

FalseAlarms false_alarms(const Values& values, const HoldTimes& hold, const EvaluationGrid& grid,
                         const std::vector<TimeSpan>& runs) {
  std::vector<TimeSpan> counted, left_out;
  for (const auto& [labels, spells] : values.series())
    for (const Firing& one : firings(spells, hold, grid.step)) {
      const double active = grid.at(one.active);
      const auto next = std::ranges::upper_bound(runs, active, {}, &TimeSpan::to);
      const bool of_run = next != runs.end() && next->from <= active;
      (of_run ? left_out : counted).push_back({grid.at(one.fired), grid.at(one.last) + grid.step});
    }
  counted = joined(std::move(counted));
  return {.count = counted.size(),
          .seconds = length_without(counted, runs),
          .left_out = joined(std::move(left_out)).size()};
}

void mark_best(std::vector<api::TuneSetting>& settings) {
  std::vector<std::optional<Score>> scores;
  for (const api::TuneSetting& one : settings) scores.push_back(score_of(one));
  for (std::size_t i = 0; i < settings.size(); ++i)
    settings[i].best = scores[i] && scores[i]->detected > 0 &&
                       std::ranges::none_of(scores, [&](const auto& other) {
                         return other && other->beats(*scores[i]);
                       });
}

api::TuneReport tuned(const TuneData& data) {
  const api::AlertRule& rule = data.plan.rule;
  api::TuneReport out{.source = rule.source,
                      .group = rule.group,
                      .alert = rule.alert,
                      .expr = rule.expr,
                      .evaluationInterval = rule.evaluationInterval,
                      .keepFiringForSeconds = rule.keepFiringForSeconds};
  for (const TunedRun& run : data.runs)
    out.runs.push_back({run.run, run.first_injected, run.measured, run.problem});
  const History history(data);
  out.history = history.summary();
  const auto threshold = data.plan.parts.threshold(), window = data.plan.parts.window();
  for (std::size_t e = 0; e < data.plan.expressions.size() && e < data.answers.size(); ++e) {
    const TuneExpression& expression = data.plan.expressions[e];
    const TuneData::Answers& answers = data.answers[e];
    for (const double seconds : data.plan.fors) {
      const HoldTimes hold{seconds, rule.keepFiringForSeconds};
      api::TuneSetting setting{.forSeconds = seconds,
                               .threshold = expression.threshold,
                               .window = expression.window,
                               .present = seconds == rule.forSeconds &&
                                          expression.threshold == threshold &&
                                          expression.window == window,
                               .expr = expression.text};
      for (std::size_t r = 0; r < data.runs.size(); ++r)
        setting.runs.push_back(data.runs[r].gap || r >= answers.runs.size()
                                   ? api::TunePrediction{}
                                   : predicted(answers.runs[r], rule, data.runs[r], hold));
      history.fill(setting, answers.history, hold);
      out.settings.push_back(std::move(setting));
    }
  }
  for (const api::TuneSetting& setting : out.settings)
    for (std::size_t r = 0; setting.present && r < data.runs.size(); ++r) {
      const std::string words = doubt(data.runs[r], setting.runs[r]);
      std::string& problem = out.runs[r].problem;
      if (!words.empty()) problem += problem.empty() ? words.substr(2) : words;
    }
  mark_best(out.settings);
  out.questions = data.questions;
  out.notes = data.plan.parts.notes;
  out.notes.insert(out.notes.end(), data.notes.begin(), data.notes.end());
  const double asked = data.history.to - data.history.from;
  if (asked > 0 && history.covered().empty())
    out.notes.emplace_back(
        "Prometheus has no data of the history that the rule reads: false alarms are not known");
  else if (asked > 0 && out.history.counted < kDay)
    out.notes.push_back("false alarms a day are reckoned from " +
                        report::seconds_words(out.history.counted) + " with data only");
  return out;
}

}  // namespace faultline::controller::observe
