// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/tune_ask.h"

#include <algorithm>
#include <cmath>

#include "base/quoted.h"
#include "controller/observe/rules.h"
#include "report/format.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

using boost::asio::awaitable;

constexpr std::int64_t kBlock = 5'000;  // evaluations of the history that are asked for at once
constexpr std::int64_t kSmallest = 100;
constexpr double kCoarse = 2'000;          // points in which it is looked whether there is data
constexpr double kBefore = 60;             // seconds of a run's calm
constexpr std::chrono::seconds kTurn{10};  // the longest wait for a turn
constexpr const char* kAnything = "group(up)";
constexpr double kLongestLook = 86'400;  // seconds before a run, for rules that wait long

// Prometheus takes milliseconds.
double whole_milliseconds(double seconds) { return std::round(seconds * 1000) / 1000; }

// What tells that there was data: all that the expression reads. What notices that something is
// absent says nothing by its own absence: then any scrape does.
std::string data_question(const std::string& expr) {
  const report::PromqlText text = report::scan_promql(expr);
  if (text.selectors.empty() || expr.find("absent") != std::string::npos) return kAnything;
  std::string out;
  for (const std::string& selector : text.selectors)
    out += (out.empty() ? "" : " or ") + std::string("group(") + selector + ")";
  return out;
}

bool same_settings(const api::AlertRule& one, const api::AlertRule& other) {
  return one.expr == other.expr && one.forSeconds == other.forSeconds &&
         one.keepFiringForSeconds == other.keepFiringForSeconds &&
         one.evaluationInterval == other.evaluationInterval;
}

// Whether there is a point at least at each step between the two times.
bool without_holes(const std::vector<Point>& points, double from, double to, double step) {
  double covered = from;
  for (const Point& point : points) {
    if (point.at < from) continue;
    if (point.at > covered + 1.5 * step) return false;
    covered = point.at;
  }
  return covered >= to - 1.5 * step;
}

class Asking {
 public:
  Asking(Prometheus& client, TuneQuestion question, TuneTurn turn, const Clock& clock)
      : client_(client), question_(std::move(question)), turn_(std::move(turn)), clock_(clock) {
    until_ = clock.steady() + kLongestTune - kTurn - client.options().timeout;
  }

  awaitable<Result<TuneData>> run() {
    auto known = co_await find_rule();
    if (!known) co_return fail(std::move(known.error()));
    auto plan = tune_plan(rule_, question_.wish);
    if (!plan) co_return fail(std::move(plan.error()));
    out_.plan = std::move(*plan);
    out_.answers.resize(out_.plan.expressions.size());
    for (TunedRun& run : question_.runs) prepare(run);
    if (auto fits = check_runs(); !fits) co_return fail(std::move(fits.error()));
    for (TunedRun& run : question_.runs) {
      auto asked = co_await ask_run(run);
      if (!asked) co_return fail(std::move(asked.error()));
      out_.runs.push_back(run);
    }
    auto history = co_await ask_history();
    if (!history) co_return fail(std::move(history.error()));
    for (TuneData::Answers& answers : out_.answers) answers.history.settle();
    out_.questions = questions_;
    co_return std::move(out_);
  }

 private:
  [[nodiscard]] bool late() const { return clock_.steady() >= until_; }

  awaitable<Result<std::vector<Series>>> ask(std::string promql, double from, double to,
                                             double step) {
    const auto mine = co_await turn_();
    no_turn_ = !mine;
    if (!mine) co_return fail(mine.error());
    if (++questions_ > kMostTuneQuestions)
      co_return fail(Errc::kInvalid, "these runs and values take more than " +
                                         std::to_string(kMostTuneQuestions) +
                                         " questions to Prometheus; ask for fewer");
    co_return co_await client_.query_range(std::move(promql), from, to, step);
  }

  // The rule as it is now, else as the run had it.
  awaitable<Result<>> find_rule() {
    const auto mine = co_await turn_();
    if (!mine) co_return fail(mine.error());
    questions_ += 2;
    const auto offset = co_await client_.clock_offset();
    if (!offset) co_return fail(offset.error());
    out_.offset = *offset;
    rule_ = question_.recorded;
    WantedRules wanted = [alert = rule_.alert](const std::string& name, const Labels&) {
      return name == alert;
    };
    const auto rules = co_await ask_rules(client_, *offset, std::move(wanted));
    if (!rules) {
      out_.notes.push_back("the rule is that of the run; Prometheus did not tell its rules: " +
                           rules.error().message);
    } else {
      choose_rule(*rules);
      out_.notes.insert(out_.notes.end(), rules->left_out.begin(), rules->left_out.end());
      for (const std::string& metric : report::scan_promql(rule_.expr).metrics)
        if (rules->recordings.contains(metric))
          out_.notes.push_back(in_quotes(metric) +
                               " is recorded by a rule, whose own windows are not varied");
    }
    if (!(rule_.evaluationInterval > 0))
      co_return fail(Errc::kInvalid, "alert: Prometheus does not tell how often " +
                                         in_quotes(rule_.alert) + " is evaluated");
    if (report::scan_promql(rule_.expr).fixed_time)
      out_.notes.emplace_back("the rule reads a fixed time (@), so its history is that time's");
    co_return Result<>{};
  }

  void choose_rule(const Rules& rules) {
    const api::AlertRule* found = nullptr;
    std::size_t several = 0;
    for (const api::AlertRule& one : rules.alerts) {
      if (one.alert != rule_.alert || one.group != rule_.group) continue;
      ++several;
      const bool better = found != nullptr && one.labels == question_.recorded.labels &&
                          found->labels != question_.recorded.labels;
      if (found == nullptr || better) found = &one;
    }
    if (found == nullptr) {
      out_.notes.emplace_back(
          "Prometheus has no rule of this name in its group any more: it is that of the run");
      return;
    }
    if (several > 1)
      out_.notes.push_back(std::to_string(several) +
                           " rules of the group have this name: this is the one with the labels "
                           "of the run's, else the first");
    const auto scrape = rule_.scrapeInterval;
    rule_ = *found;
    rule_.scrapeInterval = scrape;
  }

  // All values of an expression at these evaluations, in as many parts as it takes.
  awaitable<Result<>> ask_values(const std::string& promql, EvaluationGrid grid, std::int64_t first,
                                 std::int64_t last, Values& to) {
    while (first <= last) {
      if (late()) co_return fail(Errc::kUnavailable, "too late");
      const std::int64_t end = std::min(last, first + at_once_ - 1);
      std::string text = promql;
      const auto found = co_await ask(std::move(text), grid.at(first), grid.at(end), grid.step);
      if (!found) {
        // Perhaps the answer is too large.
        const bool perhaps =
            !no_turn_ && questions_ <= kMostTuneQuestions &&
            (found.error().code == Errc::kUnavailable || found.error().code == Errc::kInvalid);
        if (!perhaps || at_once_ <= kSmallest || end - first < kSmallest)
          co_return fail(found.error());
        at_once_ = std::max(kSmallest, std::min(at_once_, end - first + 1) / 4);
        continue;
      }
      const std::size_t before = to.size();
      to.add(*found, grid);
      kept_ += to.size() - before;
      if (kept_ > kMostTuneKept)
        co_return fail(Errc::kInvalid,
                       "history: the rule changes too often, or has too many series, to be kept "
                       "in memory; ask for a shorter history, or fewer values of threshold and "
                       "window");
      first = end + 1;
    }
    co_return Result<>{};
  }

  // Puts a run on the grid of the rule's evaluations.
  void prepare(TunedRun& run) const {
    run.grid.step = evaluation();
    // Whole milliseconds, so that the last time of a range is not rounded to before itself.
    run.grid.origin = whole_milliseconds(run.grid.origin > 0 ? run.grid.origin : grid_now());
    const double waits = out_.plan.fors.back() + rule_.keepFiringForSeconds + 2 * run.grid.step;
    run.asked.from =
        std::min(run.asked.from, run.injected - std::min(std::max(kBefore, waits), kLongestLook));
    run.same_rule = run.rule && same_settings(*run.rule, rule_);
    if (run.rule && !run.same_rule)
      add_problem(run, "the rule was another one then: " + setting_words(*run.rule));
  }

  // How much the runs take is known before the first question.
  [[nodiscard]] Result<> check_runs() const {
    double questions = 0, evaluations = 0;
    for (const TunedRun& run : question_.runs) {
      const double of_run = std::max(0.0, run.asked.to - run.asked.from) / run.grid.step + 1;
      evaluations += of_run;
      questions += std::ceil(of_run / kBlock) * static_cast<double>(out_.answers.size());
    }
    if (questions <= kMostTuneQuestions) return {};
    return fail(Errc::kInvalid,
                "run: " + report::seconds_words(evaluations * evaluation()) + " of " +
                    std::to_string(out_.answers.size()) + " expressions every " +
                    report::promql_duration_words(evaluation()) + " are " +
                    std::to_string(std::llround(std::min(questions, 1e15))) +
                    " questions to Prometheus, more than " + std::to_string(kMostTuneQuestions) +
                    "; ask for fewer runs, or fewer values of threshold and window");
  }

  awaitable<Result<>> ask_run(TunedRun& run) {
    auto there = co_await has_data(run);
    if (!there) co_return fail(std::move(there.error()));
    const std::int64_t first = run.grid.from(run.asked.from), last = run.grid.to(run.asked.to);
    for (std::size_t e = 0; e < out_.answers.size() && !run.gap; ++e) {
      Values values;
      auto asked =
          co_await ask_values(out_.plan.expressions[e].text, run.grid, first, last, values);
      if (!asked && late())
        co_return fail(Errc::kUnavailable,
                       "Prometheus did not answer for all settings and runs in the time that there "
                       "is for one question; ask for fewer runs, or fewer values");
      if (!asked) co_return asked;
      values.settle();
      out_.answers[e].runs.push_back(std::move(values));
    }
    // The answers are by run: one that was not asked has a place, too.
    for (TuneData::Answers& answers : out_.answers) answers.runs.resize(out_.runs.size() + 1);
    co_return Result<>{};
  }

  static std::string setting_words(const api::AlertRule& rule) {
    return rule.expr + ", for " + report::promql_duration_words(rule.forSeconds);
  }
  static void add_problem(TunedRun& run, const std::string& words) {
    run.problem += (run.problem.empty() ? "" : "; ") + words;
  }
  [[nodiscard]] double evaluation() const {
    return std::max(0.001, whole_milliseconds(rule_.evaluationInterval));
  }
  [[nodiscard]] double grid_now() const {
    return rule_.lastEvaluation.set() ? to_theirs(rule_.lastEvaluation.value, out_.offset)
                                      : to_theirs(clock_.utc(), out_.offset);
  }

  // When there was data that the rule reads. Where that is too much to be asked: any data.
  awaitable<Result<std::vector<Series>>> ask_data(double from, double to, double step) {
    std::string question = data_question(rule_.expr);
    auto found = co_await ask(std::move(question), from, to, step);
    if (found || late()) co_return found;
    if (found.error().code != Errc::kUnavailable && found.error().code != Errc::kInvalid)
      co_return found;
    constexpr const char* kNote =
        "whether there was data is told by `up`: what the rule reads is too much to be asked for";
    if (std::ranges::find(out_.notes, kNote) == out_.notes.end()) out_.notes.emplace_back(kNote);
    std::string any = kAnything;
    co_return co_await ask(std::move(any), from, to, step);
  }

  // Marks a run as a gap of which there is nothing, or not all.
  awaitable<Result<>> has_data(TunedRun& run) {
    if (run.gap) co_return Result<>{};
    const double step = std::max(run.grid.step, (run.asked.to - run.asked.from) / kCoarse);
    const auto data = co_await ask_data(run.asked.from, run.asked.to, step);
    if (!data) co_return fail(data.error());
    // A question finds what is up to five minutes old: whether there were scrapes is told by their
    // own times.
    std::string scraped = "group(time() - timestamp(up) <= " +
                          std::to_string(2 * rule_.scrapeInterval.value_or(60) + 1) + ")";
    const auto any = co_await ask(std::move(scraped), run.asked.from, run.asked.to, step);
    if (!any) co_return fail(any.error());
    if (data->empty()) {
      run.gap = true;
      add_problem(run, "Prometheus has no samples of that time that the rule reads");
    } else if (!any->empty() &&
               !without_holes(any->front().points, run.injected, run.asked.to, step)) {
      run.gap = true;
      add_problem(run, "Prometheus has samples of a part of that time only");
    }
    co_return Result<>{};
  }

  // When there was data, on a coarse grid.
  awaitable<Result<>> find_data() {
    const double length = out_.history.to - out_.history.from;
    out_.data_grid = {out_.history.from,
                      whole_milliseconds(std::max(evaluation(), length / kCoarse))};
    const auto found = co_await ask_data(out_.history.from, out_.history.to, out_.data_grid.step);
    if (!found) co_return fail(found.error());
    out_.data.add(*found, out_.data_grid);
    out_.data.settle();
    // Of a Prometheus that is young all data lies between two such looks: the newest part closer.
    const double near = evaluation() * kCoarse;
    if (!out_.data.series().empty() || near >= length) co_return Result<>{};
    out_.data_grid = {whole_milliseconds(out_.history.to - near), evaluation()};
    const auto newest = co_await ask_data(out_.data_grid.origin, out_.history.to, evaluation());
    if (!newest) co_return fail(newest.error());
    out_.data.add(*newest, out_.data_grid);
    out_.data.settle();
    co_return Result<>{};
  }

  awaitable<Result<>> ask_history() {
    const double length = question_.wish.history;
    if (!(length > 0)) co_return Result<>{};
    for (const auto& [from, to] : question_.known)
      out_.known.push_back({to_theirs(from, out_.offset), to_theirs(to, out_.offset)});
    out_.history.to = whole_milliseconds(to_theirs(clock_.utc(), out_.offset));
    out_.history.from = whole_milliseconds(out_.history.to - length);
    auto found = co_await find_data();
    if (!found) co_return found;
    if (out_.data.series().empty()) co_return Result<>{};
    const double step =
        std::max(1.0, std::ceil(question_.wish.step / evaluation() - 1e-9)) * evaluation();
    out_.history_grid = {whole_milliseconds(grid_now()), step};
    double first_data = out_.history.to;
    for (const auto& [labels, spells] : out_.data.series())
      if (!spells.empty())
        first_data = std::min(first_data, out_.data_grid.at(spells.front().first));
    const std::int64_t last = out_.history_grid.to(out_.history.to);
    const std::int64_t first =
        out_.history_grid.from(std::max(out_.history.from, first_data - out_.data_grid.step));
    const auto blocks =
        static_cast<std::size_t>(std::max<std::int64_t>(0, last - first) / kBlock + 1);
    if (blocks * out_.answers.size() > kMostTuneQuestions)
      co_return fail(Errc::kInvalid,
                     "history: " + report::promql_duration_words(length) + " of " +
                         std::to_string(out_.answers.size()) + " expressions every " +
                         report::promql_duration_words(step) + " are " +
                         std::to_string(blocks * out_.answers.size()) +
                         " questions to Prometheus, more than " +
                         std::to_string(kMostTuneQuestions) +
                         "; ask for a shorter history, fewer values of threshold and window, or a "
                         "longer step");
    for (std::int64_t end = last; end >= first; end -= kBlock) {
      auto asked = co_await ask_block(std::max(first, end - kBlock + 1), end);
      if (asked) continue;
      if (end == last && !late()) co_return asked;
      out_.history.from = out_.history_grid.at(end + 1);
      out_.notes.push_back("the history is shorter than was asked: " +
                           (late() ? "Prometheus did not answer for more of it in the time that "
                                     "there is for one question"
                                   : asked.error().message));
      break;
    }
    co_return Result<>{};
  }

  // All expressions, or nothing, of one part of the history.
  awaitable<Result<>> ask_block(std::int64_t first, std::int64_t last) {
    std::vector<Values> values(out_.answers.size());
    for (std::size_t e = 0; e < values.size(); ++e) {
      auto asked = co_await ask_values(out_.plan.expressions[e].text, out_.history_grid, first,
                                       last, values[e]);
      if (!asked) co_return asked;
    }
    for (std::size_t e = 0; e < values.size(); ++e)
      out_.answers[e].history.add(std::move(values[e]));
    co_return Result<>{};
  }

  Prometheus& client_;
  TuneQuestion question_;
  TuneTurn turn_;
  const Clock& clock_;
  SteadyTime until_;
  api::AlertRule rule_;
  TuneData out_;
  std::uint64_t questions_ = 0;
  bool no_turn_ = false;  // the last question did not come to its turn

  std::int64_t at_once_ = kBlock;
  std::size_t kept_ = 0;
};

}  // namespace

awaitable<Result<TuneData>> ask_tune(Prometheus& client, TuneQuestion question, TuneTurn turn,
                                     const Clock& clock) {
  Asking asking(client, std::move(question), std::move(turn), clock);
  co_return co_await asking.run();
}

}  // namespace faultline::controller::observe
