// SPDX-License-Identifier: Apache-2.0
#include "demo/day_claims.h"

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <cmath>
#include <cstdio>
#include <set>
#include <stdexcept>

#include "demo/words.h"
#include "testbed/shell.h"

namespace faultline::demo {
namespace {

double seconds_of(const api::Timestamp& at) {
  return std::chrono::duration<double>(at.value.time_since_epoch()).count();
}

std::string words(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

std::string word(api::StepOutcome outcome) { return boost::describe::enum_to_string(outcome, "?"); }
std::string word(api::DayState state) { return boost::describe::enum_to_string(state, "?"); }

}  // namespace

bool has_acted(const DayLeft& left, const std::string& step) {
  const auto found = std::ranges::find(left.report.runs, step, &api::DayRun::step);
  if (found != left.report.runs.end() && found->firstInjectedAt.set() &&
      found->lastInjectedAt.set())
    return true;
  return claim(false, "Step " + step + " should have hit something; the day ended as " +
                          word(left.report.state) + ": " + left.report.stateReason);
}

const api::DayRun& run_of(const DayLeft& left, const std::string& step) {
  const auto found = std::ranges::find(left.report.runs, step, &api::DayRun::step);
  if (found == left.report.runs.end())
    throw std::runtime_error("the day's report has no run of step " + step);
  return *found;
}

Steady::time_point steady_of(const api::Timestamp& at) {
  return Steady::now() - std::chrono::duration_cast<std::chrono::nanoseconds>(
                             std::chrono::system_clock::now() - at.value);
}

bool ended_as(const DayLeft& left, int status, api::DayState state, const std::string& words) {
  const bool good = left.status == status && left.report.state == state;
  return claim(good, good ? words + " (exit code " + std::to_string(status) + ")."
                          : "The day should be " + word(state) + " with exit code " +
                                std::to_string(status) + "; it is " + word(left.report.state) +
                                " with " + std::to_string(left.status) + ": " +
                                left.report.stateReason);
}

bool step_was(const DayLeft& left, const std::string& step, api::StepOutcome outcome) {
  const auto found = std::ranges::find(left.report.steps, step, &api::DayStep::name);
  const bool there = found != left.report.steps.end() && found->outcome.has_value();
  const bool good = there && *found->outcome == outcome;
  std::string text = "Step " + step + " ended as " + (there ? word(*found->outcome) : "nothing");
  if (!good) text += ", not as " + word(outcome);
  if (there && !found->reason.empty()) text += ": " + found->reason;
  return claim(good, text + ".");
}

bool alert_told_truly(const DayGround& ground, const DayLeft& left, const std::string& step,
                      const std::string& alert) {
  const api::DayRun& run = run_of(left, step);
  const auto found = std::ranges::find(run.detections, alert, &api::DetectionReport::alert);
  if (found == run.detections.end() || !found->seconds || !run.firstInjectedAt.set() ||
      (found->verdict != api::DetectionVerdict::detected &&
       found->verdict != api::DetectionVerdict::flapping))
    return claim(false, alert + " should have been detected.");
  const double begin = seconds_of(run.firstInjectedAt);
  const double stored = ground.monitoring().first_fired(alert, std::floor(begin));
  bool good = claim(stored > 0 && std::abs(stored - begin - *found->seconds) < 1.5,
                    alert + " fired " + words(*found->seconds) +
                        " after the first injected event; Prometheus itself has stored it " +
                        words(stored - begin) + " after that. It evaluates once a second.");
  return good;
}

bool nothing_twice(const DayLeft& left) {
  std::multiset<std::string> steps, runs;
  for (const api::DayEntry& entry : left.entries) {
    if (entry.kind == api::EntryKind::step_begun)
      steps.insert(entry.step + " " + std::to_string(entry.times));
    if (entry.kind == api::EntryKind::run_begun) runs.insert(entry.step);
  }
  std::multiset<std::string> made;  // the controller's own list of runs, rehearsals left out
  for (const auto& [id, report] : left.runs)
    if (!report.experiment.metadata.name.ends_with("-rehearsal"))
      made.insert(report.experiment.metadata.name);
  const auto once = [](const std::multiset<std::string>& all) {
    return std::set<std::string>(all.begin(), all.end()).size() == all.size();
  };
  const bool good = once(steps) && once(runs) && once(made) && made.size() == runs.size();
  return claim(good, std::to_string(steps.size()) + " steps were begun and " +
                         std::to_string(made.size()) + " experiments run, " +
                         (good ? "each once." : "not each once."));
}

bool figures_are_of_the_timeline(const std::string& folder) {
  const auto said =
      testbed::command({"python3", "tests/unit/report/gameday_figures.py", folder + "/raw.json"});
  // Only the count: nothing differs.
  const bool good = said.status == 0 && said.output.starts_with("checked ") &&
                    std::ranges::count(said.output, '\n') == 1;
  std::string text = said.output;
  while (text.ends_with('\n')) text.pop_back();
  return claim(good, good ? "The report's figures were computed again from the raw timeline by a "
                            "few lines of Python, which " +
                                text + " and found the same."
                          : "The report's figures are not those of the timeline: " + text);
}

}  // namespace faultline::demo
