// SPDX-License-Identifier: Apache-2.0
// The driver of a sweep on a scripted ground.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/planned_notes.h"
#include "cli/sweep/driver.h"
#include "tests/unit/cli/sweeps.h"

namespace faultline::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A monitoring that notices a latency from `threshold` on. What else happens the test sets.
class Scripted final : public CellGround {
 public:
  double threshold = 0.1;                                        // seconds
  std::map<std::string, std::function<RunEnd(RunEnd)>> changes;  // by the experiment's name
  std::map<std::string, RunEnd> there;                           // runs that find() finds
  std::vector<std::string> ran, planned, looked;
  int firing = 0;       // so many plans say that the alert fires
  int stop_after = -1;  // runs, then a person wants the end
  double waited = 0;    // seconds
  bool impossible = false;

  struct Time final : Clock {
    explicit Time(const Scripted& s) : ground(s) {}
    [[nodiscard]] SteadyTime steady() const override {
      return SteadyTime(std::chrono::milliseconds(static_cast<std::int64_t>(ground.waited * 1e3)));
    }
    [[nodiscard]] UtcTime utc() const override { return UtcTime(std::chrono::seconds(1795428902)); }
    const Scripted& ground;
  } clock{*this};

  Result<api::RunPlan> plan(const api::Experiment& cell) override {
    planned.push_back(cell.metadata.name);
    api::RunPlan plan{.matching = 1, .allowed = 1, .targets = {{"shop", "payments-0", "n", {}}}};
    plan.seed = cell.spec.seed != 0 ? cell.spec.seed : 99;
    plan.alerts = {{.alert = "Slow", .possible = !impossible}};
    if (firing > 0 && firing--) plan.alerts[0].notes.emplace_back(api::kFiresAlready);
    return plan;
  }
  RunEnd end_of(const api::Experiment& cell) {
    api::Report report;
    report.run = cell.metadata.name + "-run" + std::to_string(ran.size());
    report.state = api::RunState::Completed;
    report.experiment = cell;
    report.injections = {{.pod = "shop/payments-0", .verdict = api::InjectionVerdict::confirmed}};
    bool notices = true;
    if (const auto* latency = std::get_if<api::NetworkLatency>(&cell.spec.faults.back().spec))
      notices = latency->latency.seconds() >= threshold;
    api::DetectionReport detection{.alert = "Slow", .within = 2};
    detection.verdict = notices ? api::DetectionVerdict::detected : api::DetectionVerdict::missed;
    if (notices) detection.seconds = 1.5;
    report.detections = {detection};
    report.verdict = notices ? api::RunVerdict::met : api::RunVerdict::missed;
    return {.code = notices ? 0 : 1, .run = report.run, .report = report};
  }
  Result<RunEnd> run(const api::Experiment& cell) override {
    EXPECT_EQ(cell.metadata.labels.at(std::string(api::kSweepLabel)), "0123456789abcdef");
    EXPECT_NE(cell.spec.seed, 0U);
    ran.push_back(cell.metadata.name);
    RunEnd end = end_of(cell);
    if (const auto change = changes.find(cell.metadata.name); change != changes.end())
      end = change->second(std::move(end));
    if (interrupted()) {
      end.interrupted = true;
      end.report->state = api::RunState::Aborted;
      end.report->verdict = api::RunVerdict::aborted;
      end.report->stateReason = "stopped by person";
    }
    return end;
  }
  Result<std::optional<RunEnd>> find(const api::Experiment& cell) override {
    looked.push_back(cell.metadata.name);
    const auto found = there.find(cell.metadata.name);
    return found == there.end() ? std::nullopt : std::optional(found->second);
  }
  bool pause(std::chrono::milliseconds time) override {
    waited += std::chrono::duration<double>(time).count();
    return true;
  }
  [[nodiscard]] bool interrupted() const override {
    return stop_after >= 0 && static_cast<int>(ran.size()) > stop_after;
  }
};

class Sweeping : public testing::Test {
 protected:
  Sweeping() {
    progress_ = {.apiVersion = "faultline.dev/v1alpha1",
                 .kind = "SweepProgress",
                 .id = "0123456789abcdef",
                 .document = *api::parse_sweep(kSweep, "s")};
  }
  // A command: what was kept last is what the next one reads.
  Result<SweepEnd> sweep(const SweepTask& task = {}) {
    SweepDriver driver(
        progress_, task, ground_, ground_.clock,
        [this](const api::SweepProgress& progress, const auto&) -> Result<> {
          if (full_disk_ > 0 && --full_disk_ == 0) return fail(Errc::kInternal, "no space left");
          kept_ = api::sweep_progress_text(progress);
          return {};
        },
        [this](const std::string& line) { said_ += line + "\n"; });
    if (auto good = driver.finish_begun(); !good) return fail(good.error());
    if (auto plan = driver.check(); !plan) return fail(plan.error());
    left_ = *driver.cells_left();
    return driver.run();
  }
  void reread() { progress_ = *api::parse_sweep_progress(kept_); }
  const api::SweepCell& cell(const std::string& name) const {
    return *std::ranges::find(progress_.cells, name, &api::SweepCell::experiment);
  }

  api::SweepProgress progress_;
  Scripted ground_;
  std::string kept_, said_;
  std::size_t left_ = 0;
  int full_disk_ = 0;  // this write fails
};

TEST_F(Sweeping, RunsEachCellAndTheCodeIsTheWorst) {
  const auto end = sweep();
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->code, 1) << "two were missed";
  EXPECT_EQ(left_, 5U);
  EXPECT_THAT(ground_.ran, ElementsAre("pay-latency-1", "pay-latency-2", "pay-latency-3",
                                       "pay-loss-1", "pay-loss-2"));
  EXPECT_EQ(ground_.planned[4], "pay-loss-2") << "all are checked before the first runs";
  EXPECT_EQ(report::cell_word(cell("pay-latency-3")), "detected 1.50 s");
  EXPECT_EQ(report::cell_word(cell("pay-latency-2")), "missed");
  ground_.ran.clear();
  reread();
  EXPECT_EQ(sweep()->code, 1);
  EXPECT_TRUE(ground_.ran.empty()) << "all was done";
}

TEST_F(Sweeping, GoesOnBehindTheLastFinishedCell) {
  ground_.stop_after = 1;
  EXPECT_EQ(sweep()->code, 4);
  EXPECT_EQ(cell("pay-latency-2").state, api::CellState::begun);
  ground_.stop_after = -1;
  ground_.ran.clear();
  reread();
  EXPECT_EQ(sweep()->code, 1);
  EXPECT_THAT(ground_.ran,
              ElementsAre("pay-latency-2", "pay-latency-3", "pay-loss-1", "pay-loss-2"));
  EXPECT_THAT(ground_.looked, ElementsAre("pay-latency-2"));
  EXPECT_THAT(said_, HasSubstr("its run is not there: it will be run anew"));
}

TEST_F(Sweeping, TakesTheReportOfARunThatEndedMeanwhile) {
  ground_.stop_after = 1;
  EXPECT_EQ(sweep()->code, 4);
  ground_.stop_after = -1;
  ground_.ran.clear();
  reread();
  const auto experiment = api::cell_experiment(
      progress_.document, progress_.document.spec.faults[0], "50ms", "pay-latency-2");
  ground_.there["pay-latency-2"] = ground_.end_of(*experiment);
  EXPECT_EQ(sweep()->code, 1);
  EXPECT_THAT(ground_.ran, ElementsAre("pay-latency-3", "pay-loss-1", "pay-loss-2"));
  EXPECT_EQ(report::cell_word(cell("pay-latency-2")), "missed");
  EXPECT_THAT(said_, HasSubstr("its report is taken"));
}

TEST_F(Sweeping, ARunThatWasLostIsRunOnceMoreAndThenIsAGap) {
  const auto lost = [](RunEnd end) {
    end.report->state = api::RunState::Failed;
    end.report->verdict = api::RunVerdict::failed;
    end.report->stateReason = "another controller took over during the fault";
    end.code = 5;
    return end;
  };
  int count = 0;
  ground_.changes["pay-latency-1"] = [&](RunEnd end) { return count++ == 0 ? lost(end) : end; };
  ground_.changes["pay-loss-1"] = lost;
  EXPECT_EQ(sweep()->code, 5);
  EXPECT_THAT(ground_.ran, ElementsAre("pay-latency-1", "pay-latency-1", "pay-latency-2",
                                       "pay-latency-3", "pay-loss-1", "pay-loss-1", "pay-loss-2"));
  EXPECT_EQ(report::cell_word(cell("pay-latency-1")), "missed");
  EXPECT_EQ(cell("pay-latency-1").attempts, 2);
  EXPECT_EQ(report::cell_word(cell("pay-loss-1")), "the run failed");
  EXPECT_THAT(said_,
              HasSubstr("was lost: another controller took over during the fault; once more"));
}

TEST_F(Sweeping, AStopBySomebodyElseEndsTheSweepAndAnAbortWhenIsAGap) {
  ground_.changes["pay-latency-1"] = [](RunEnd end) {
    end.report->state = api::RunState::Aborted;
    end.report->verdict = api::RunVerdict::aborted;
    end.report->stateReason = "abortWhen request.errors above 50 %: it was 60 %";
    end.code = 4;
    return end;
  };
  ground_.changes["pay-latency-3"] = [](RunEnd end) {
    end.report->state = api::RunState::Aborted;
    end.report->verdict = api::RunVerdict::aborted;
    end.report->stateReason = "stopped by person";
    return end;
  };
  EXPECT_EQ(sweep()->code, 4);
  EXPECT_EQ(report::cell_word(cell("pay-latency-1")), "aborted");
  EXPECT_EQ(ground_.ran.back(), "pay-latency-3");
  EXPECT_THAT(said_, HasSubstr("pay-latency-3 was stopped: stopped by person"));
}

TEST_F(Sweeping, AFaultThatWasNotRealIsAGapAndNeverAMiss) {
  ground_.changes["pay-latency-3"] = [](RunEnd end) {
    end.report->verdict = api::RunVerdict::not_real;
    end.report->injections[0].verdict = api::InjectionVerdict::no_traffic;
    end.report->injections[0].reason = "nothing matched";
    end.report->detections[0].verdict = api::DetectionVerdict::missed;
    end.code = 2;
    return end;
  };
  EXPECT_EQ(sweep()->code, 2);
  EXPECT_EQ(report::cell_word(cell("pay-latency-3")), "not real");
  EXPECT_EQ(report::noticed(cell("pay-latency-3")), std::nullopt);
  ground_.changes.clear();
  ground_.ran.clear();
  EXPECT_EQ(sweep({.retry_gaps = true})->code, 1);
  EXPECT_THAT(ground_.ran, ElementsAre("pay-latency-3"));
  EXPECT_EQ(cell("pay-latency-3").attempts, 2);
}

TEST_F(Sweeping, WaitsForTheAlertsEndAndAnAlertThatStaysIsAGap) {
  ground_.firing = 5 + 3;  // the five checks, then three looks
  EXPECT_EQ(sweep()->code, 1);
  EXPECT_EQ(ground_.ran.size(), 5U);
  EXPECT_DOUBLE_EQ(ground_.waited, 6);
  EXPECT_THAT(said_, HasSubstr("Slow fires: waiting for its end, at most 10 s"));

  SetUp();
  progress_.cells.clear();
  ground_.ran.clear();
  ground_.firing = 1000;
  EXPECT_EQ(sweep()->code, 2);
  EXPECT_TRUE(ground_.ran.empty());
  EXPECT_EQ(cell("pay-loss-1").gap, "not comparable: Slow was still firing");
  EXPECT_EQ(report::noticed(cell("pay-loss-1")), std::nullopt);
}

TEST_F(Sweeping, EffectsThatAreNotOverAreWaitedFor) {
  ground_.changes["pay-latency-3"] = [](RunEnd end) {
    end.report->recovery.text =
        "shop/payments-0 tcp.rtt p50 was not back in its baseline band when measuring ended";
    return end;
  };
  EXPECT_EQ(sweep()->code, 1);
  EXPECT_DOUBLE_EQ(ground_.waited, 10);
  EXPECT_THAT(cell("pay-loss-1").notes, ElementsAre(HasSubstr("whose effects were not back")));
  EXPECT_TRUE(cell("pay-loss-2").notes.empty());
}

TEST_F(Sweeping, ACellThatCannotBeNoticedIsRefusedBeforeTheFirst) {
  ground_.impossible = true;
  const auto end = sweep();
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().message, HasSubstr("pay-latency-1: Slow cannot be noticed"));
  EXPECT_TRUE(ground_.ran.empty());
  EXPECT_TRUE(sweep({.anyway = true}));
}

TEST_F(Sweeping, AFullDiskStartsNothingAndLosesNothing) {
  full_disk_ = 1;
  EXPECT_FALSE(sweep());
  EXPECT_TRUE(ground_.ran.empty()) << "a run that nobody would know of was not started";
  progress_.cells.clear();
  full_disk_ = 4;  // after the second cell
  EXPECT_FALSE(sweep());
  reread();
  EXPECT_EQ(cell("pay-latency-1").state, api::CellState::done);
  EXPECT_EQ(cell("pay-latency-2").state, api::CellState::begun) << "its run is looked for";
}

TEST_F(Sweeping, TheThresholdIsFoundToOneStep) {
  const SweepTask task{.faults = {"latency"}, .threshold = true};
  ground_.threshold = 0.13;
  const auto end = sweep(task);
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->code, 0);
  ASSERT_EQ(end->thresholds.size(), 1U);
  EXPECT_EQ(end->thresholds[0].text, "not noticed at 120ms, noticed at 130ms (step 10ms)");
  EXPECT_EQ(ground_.ran[0], "pay-latency-3");
  EXPECT_EQ(ground_.ran[1], "pay-latency-1");
  EXPECT_EQ(ground_.ran[2], "pay-latency-t1");
  EXPECT_LE(ground_.ran.size(), left_);
  // The grid has the ends already, and the map has all.
  ground_.ran.clear();
  ASSERT_TRUE(sweep());
  EXPECT_THAT(ground_.ran, ElementsAre("pay-latency-2", "pay-loss-1", "pay-loss-2"));
  const std::string map = report::sweep_terminal(progress_, end->thresholds, 100);
  EXPECT_THAT(map, HasSubstr("threshold: not noticed at 120ms"));
  EXPECT_THAT(map, testing::ContainsRegex("10ms +50ms +100ms"));
}

TEST_F(Sweeping, AThresholdGoesOnAndItsEndsAreSaid) {
  const SweepTask task{.faults = {"latency"}, .threshold = true};
  ground_.stop_after = 3;
  EXPECT_EQ(sweep(task)->code, 4);
  reread();
  ground_.stop_after = -1;
  const auto end = sweep(task);
  EXPECT_EQ(end->thresholds[0].text, "not noticed at 90ms, noticed at 100ms (step 10ms)");
  const std::set<std::string> names(ground_.ran.begin(), ground_.ran.end());
  EXPECT_EQ(names.size() + 1, ground_.ran.size()) << "only the one that was stopped ran twice";

  for (const auto& [threshold, words, code] :
       {std::tuple(0.3, "not noticed even at 200ms", 1), {0.001, "noticed already at 10ms", 0}}) {
    progress_.cells.clear();
    ground_.threshold = threshold;
    const auto other = sweep(task);
    EXPECT_EQ(other->thresholds[0].text, words);
    EXPECT_EQ(other->code, code);
  }
}

TEST_F(Sweeping, ResultsThatContradictEachOtherAreSaid) {
  ground_.threshold = 0.15;
  ground_.changes["pay-latency-2"] = [&](RunEnd end) {  // 50ms, of the grid
    end.report->detections[0].verdict = api::DetectionVerdict::detected;
    end.report->verdict = api::RunVerdict::met;
    return end;
  };
  ASSERT_TRUE(sweep({.faults = {"latency"}}));
  const auto end = sweep({.faults = {"latency"}, .threshold = true});
  EXPECT_THAT(end->thresholds[0].text, HasSubstr("the results contradict each other: noticed at "
                                                 "50ms, not noticed at"));
  EXPECT_EQ(end->code, 1);
}

TEST_F(Sweeping, TheMapFitsAndItsWordsAreTame) {
  ASSERT_TRUE(sweep());
  for (api::SweepCell& one : progress_.cells) one.effect = "shop/checkout-0 x 1 ms -> 2 ms";
  const auto lines = std::vector<report::ThresholdLine>{{"latency", "between"}};
  std::istringstream text(report::sweep_terminal(progress_, lines, 100));
  for (std::string line; std::getline(text, line);) EXPECT_LE(line.size(), 100U) << line;
  EXPECT_THAT(report::sweep_markdown(progress_, lines), HasSubstr("| 10ms | 50ms | 200ms |"));
  EXPECT_THAT(report::sweep_html(progress_, lines),
              HasSubstr("<a href=\"pay-latency-3/report.html\">"));

  progress_.cells[0].gap = "not real: of it";
  const api::SweepProgress hostile = testing_words::all_hostile(progress_);
  const auto hostile_lines = testing_words::all_hostile(lines);
  testing_words::expect_tame(report::sweep_terminal(hostile, lines, 100), "terminal");
  const std::string md = report::sweep_markdown(hostile, lines);
  testing_words::expect_tame(md, "Markdown");
  testing_words::expect_no_markup(md, "Markdown");
  const std::string html = report::sweep_html(hostile, lines);
  testing_words::expect_no_markup(html, "HTML");
  EXPECT_THAT(html, Not(HasSubstr("javascript:b)\"")));
}

}  // namespace
}  // namespace faultline::cli
