// SPDX-License-Identifier: Apache-2.0
#include "cli/sweep/driver.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "api/planned_notes.h"
#include "cli/plan_text.h"
#include "cli/sweep/bisect.h"
#include "report/format.h"

namespace faultline::cli {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kLook{2000};  // between two looks whether the alerts are silent

std::string words(std::chrono::nanoseconds time) {
  return report::exact_seconds_words(std::chrono::duration<double>(time).count());
}

milliseconds in_ms(const api::Duration& time) {
  return std::chrono::ceil<milliseconds>(time.value);
}

}  // namespace

SweepDriver::SweepDriver(api::SweepProgress& progress, const SweepTask& task, CellGround& ground,
                         const Clock& clock, Keep keep, std::function<void(const std::string&)> say)
    : progress_(progress),
      task_(task),
      ground_(ground),
      clock_(clock),
      keep_(std::move(keep)),
      say_(std::move(say)) {
  for (const api::SweepCell& cell : progress_.cells)
    if (task_.retry_gaps && !report::noticed(cell) && cell.state == api::CellState::done)
      again_.push_back(cell.experiment);
  // What a command before this one ran last counts as the cell before.
  if (progress_.cells.empty()) return;
  first_ = false;
  const api::SweepCell& last = progress_.cells.back();
  if (last.state == api::CellState::done && !last.effectsBack) not_back_ = last.experiment;
}

std::vector<const api::SweptFault*> SweepDriver::rows() const {
  std::vector<const api::SweptFault*> found;
  for (const api::SweptFault& row : progress_.document.spec.faults)
    if (task_.faults.empty() || std::ranges::find(task_.faults, row.name) != task_.faults.end())
      found.push_back(&row);
  return found;
}

std::string SweepDriver::resolution_of(const api::SweptFault& row) const {
  return task_.resolution.empty() ? row.resolution : task_.resolution;
}

bool SweepDriver::is_done(const api::SweepCell* cell) const {
  return cell != nullptr && cell->state == api::CellState::done &&
         std::ranges::find(again_, cell->experiment) == again_.end();
}

const api::SweepCell* SweepDriver::find(const Wanted& wanted) const {
  for (const api::SweepCell& cell : progress_.cells)
    if (cell.fault == wanted.row->name && cell.severity == wanted.severity) return &cell;
  return nullptr;
}

// All that is asked for as far as it is known before the first cell.
Result<std::vector<SweepDriver::Wanted>> SweepDriver::wanted() const {
  std::vector<Wanted> all;
  for (const api::SweptFault* row : rows()) {
    if (!task_.threshold) {
      for (const std::string& severity : row->severities) all.push_back({row, severity});
      continue;
    }
    const auto steps = api::SeveritySteps::of(*row, resolution_of(*row));
    if (!steps) return fail(steps.error().with_context("--threshold of " + row->name));
    all.push_back({row, steps->text(steps->last())});
    all.push_back({row, steps->text(0)});
  }
  std::erase_if(all, [&](const Wanted& one) { return is_done(find(one)); });
  return all;
}

Result<std::size_t> SweepDriver::cells_left() const {
  const auto all = wanted();
  if (!all) return fail(all.error());
  std::size_t count = all->size();
  if (!task_.threshold) return count;
  for (const api::SweptFault* row : rows()) {
    const auto steps = api::SeveritySteps::of(*row, resolution_of(*row));
    if (!steps) return fail(steps.error());
    const std::size_t most =
        2 + static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(steps->last() - 1)));
    const std::size_t known = known_of(*row, *steps).size();
    // The ends are counted above as far as they are not done.
    const std::size_t ends = static_cast<std::size_t>(std::ranges::count(*all, row, &Wanted::row));
    count += most > known + ends ? most - known - ends : 0;
  }
  return count;
}

Result<std::optional<SweepDriver::Wanted>> SweepDriver::next() const {
  if (!task_.threshold) {
    const auto all = wanted();
    if (!all) return fail(all.error());
    return all->empty() ? std::optional<Wanted>() : all->front();
  }
  for (const api::SweptFault* row : rows()) {
    const auto steps = api::SeveritySteps::of(*row, resolution_of(*row));
    if (!steps) return fail(steps.error());
    const Bisection found = bisect(steps->last(), known_of(*row, *steps));
    if (found.end == BisectEnd::kNone) return std::optional(Wanted{row, steps->text(found.next)});
  }
  return std::nullopt;
}

std::string SweepDriver::name_of(const Wanted& wanted) const {
  if (const api::SweepCell* cell = find(wanted)) return cell->experiment;
  const auto& severities = wanted.row->severities;
  const auto at = std::ranges::find(severities, wanted.severity);
  if (at != severities.end())
    return api::cell_name(progress_.document, *wanted.row,
                          static_cast<std::size_t>(at - severities.begin()) + 1);
  std::size_t number = 1;
  for (const api::SweepCell& cell : progress_.cells)
    if (cell.fault == wanted.row->name &&
        std::ranges::find(severities, cell.severity) == severities.end())
      ++number;
  return api::probe_name(progress_.document, *wanted.row, number);
}

Result<api::Experiment> SweepDriver::experiment_of(const Wanted& wanted) const {
  auto cell =
      api::cell_experiment(progress_.document, *wanted.row, wanted.severity, name_of(wanted));
  if (!cell) return cell;
  cell->metadata.labels[std::string(api::kSweepLabel)] = progress_.id;
  if (cell->spec.seed == 0) cell->spec.seed = progress_.seed;
  return cell;
}

Result<std::optional<api::RunPlan>> SweepDriver::check() {
  const auto all = wanted();
  if (!all) return fail(all.error());
  std::optional<api::RunPlan> first;
  for (const Wanted& one : *all) {
    const auto experiment = experiment_of(one);
    if (!experiment) return fail(experiment.error());
    auto plan = ground_.plan(*experiment);
    if (!plan) return fail(plan.error().with_context(experiment->metadata.name));
    if (auto good = plan_problem(*plan, task_.anyway); !good)
      return fail(good.error().with_context(experiment->metadata.name));
    // All cells hit the pods that the first one does.
    constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
    if (progress_.seed == 0) progress_.seed = std::max<std::uint64_t>(1, plan->seed & kLargest);
    if (!first) first = std::move(*plan);
    if (ground_.interrupted())
      return fail(Errc::kUnavailable, "interrupted before anything was started");
  }
  return first;
}

void SweepDriver::close(api::SweepCell& cell, std::string gap) {
  cell.state = api::CellState::done;
  cell.endedAt = now();
  cell.gap = std::move(gap);
  cell.exitCode = kExitNotReal;
}

Result<SweepDriver::Taken> SweepDriver::take(const RunEnd& end, api::SweepCell& cell) {
  if (!end.report)
    return end.interrupted ? Result<Taken>(Taken::kStopped)
                           : fail(Errc::kUnavailable,
                                  "how " + (end.run.empty() ? cell.experiment : end.run) +
                                      " ended is not known here; the same command goes on from it");
  const api::Report& report = *end.report;
  // A signal that came when the run was over anyway takes nothing from it.
  if (end.interrupted && report.state != api::RunState::Completed) return Taken::kStopped;
  if (report.state == api::RunState::Aborted && !report.stateReason.starts_with("abortWhen"))
    return Taken::kStopped;
  if (report.state == api::RunState::Failed) return Taken::kLost;
  report::judge_cell(report, cell);
  cell.endedAt = now();
  not_back_ = cell.effectsBack ? "" : cell.experiment;
  return Taken::kDone;
}

Result<> SweepDriver::finish_begun() {
  for (api::SweepCell& cell : progress_.cells) {
    if (cell.state != api::CellState::begun || cell.attempts == 0 || ground_.interrupted())
      continue;
    const auto& all = progress_.document.spec.faults;
    const auto row = std::ranges::find(all, cell.fault, &api::SweptFault::name);
    if (row == all.end()) continue;
    const auto experiment = experiment_of({&*row, cell.severity});
    if (!experiment) return fail(experiment.error());
    if (auto good = look_for(*experiment, cell); !good) return good;
    if (cell.state == api::CellState::done)
      if (auto good = kept(); !good) return good;
  }
  return {};
}

Result<> SweepDriver::look_for(const api::Experiment& experiment, api::SweepCell& cell) {
  say_(cell.experiment + " was begun before this command: looking for its run");
  const auto found = ground_.find(experiment);
  if (!found) return fail(found.error());
  if (!*found) {
    say_("its run is not there: it will be run anew");
    return {};
  }
  const auto taken = take(**found, cell);
  if (!taken) return fail(taken.error());
  if (*taken == Taken::kDone) {
    say_("its run " + (*found)->run + " has ended: its report is taken");
    cell.notes.emplace_back("the command was started anew during this cell");
  } else if (!ground_.interrupted()) {
    say_("its run " + (*found)->run + " came to nothing" +
         ((*found)->report ? " (" + (*found)->report->stateReason + ")" : "") +
         ": it will be run anew");
  }
  return {};
}

// Waits until the alerts are silent. False: a person wants the end.
Result<bool> SweepDriver::settle(const api::Experiment& experiment, api::SweepCell& cell) {
  const api::SweepRest& rest = progress_.document.spec.rest;
  if (!first_ && rest.least.value.count() > 0 && !ground_.pause(in_ms(rest.least))) return false;
  if (!not_back_.empty()) {
    say_("the effects of " + not_back_ + " were not back in their band: waiting " +
         words(rest.most.value));
    cell.notes.push_back("begun " + words(rest.most.value) + " after " + not_back_ +
                         ", whose effects were not back in their band");
    if (!ground_.pause(in_ms(rest.most))) return false;
  }
  const auto end = clock_.steady() + rest.most.value;
  for (bool told = false;; told = true) {
    const auto plan = ground_.plan(experiment);
    if (!plan) return fail(plan.error().with_context(experiment.metadata.name));
    const auto firing = std::ranges::find_if(plan->alerts, api::fires_already);
    if (firing == plan->alerts.end()) return true;
    if (clock_.steady() >= end) {
      close(cell, "not comparable: " + firing->alert + " was still firing");
      return true;
    }
    if (!told)
      say_(firing->alert + " fires: waiting for its end, at most " + words(rest.most.value));
    if (!ground_.pause(kLook)) return false;
  }
}

Result<bool> SweepDriver::run_cell(const Wanted& wanted) {
  const auto experiment = experiment_of(wanted);
  if (!experiment) return fail(experiment.error());
  const std::string& name = experiment->metadata.name;
  auto at = std::ranges::find(progress_.cells, name, &api::SweepCell::experiment);
  if (at == progress_.cells.end()) {
    progress_.cells.push_back(
        {.fault = wanted.row->name, .severity = wanted.severity, .experiment = name});
    at = progress_.cells.end() - 1;
  } else if (at->state == api::CellState::done) {  // a gap, tried again
    if (std::erase(again_, name) == 0)
      return fail(Errc::kInternal, name + " is done, and was asked for again");
    *at = {
        .fault = at->fault, .severity = at->severity, .experiment = name, .attempts = at->attempts};
  }
  api::SweepCell& cell = *at;
  say_(name + ": " + wanted.row->name + " " + wanted.severity);
  for (int lost = 0;; ++lost) {
    const auto settled = settle(*experiment, cell);
    if (!settled || !*settled) return settled;
    not_back_.clear();
    if (cell.state == api::CellState::done) return true;  // a gap
    ++cell.attempts;
    cell.startedAt = now();
    if (auto good = kept(); !good) return fail(good.error());
    const auto end = ground_.run(*experiment);
    if (!end) return fail(end.error().with_context(name));
    first_ = false;
    const auto taken = take(*end, cell);
    if (!taken) return fail(taken.error());
    if (*taken == Taken::kDone) return true;
    if (*taken == Taken::kStopped) {
      say_(name + " was stopped" + (end->report ? ": " + end->report->stateReason : std::string()));
      return false;
    }
    cell.notes.push_back("run " + end->run + " was lost: " + end->report->stateReason);
    if (lost > 0) {
      report::judge_cell(*end->report, cell);
      cell.endedAt = now();
      return true;
    }
    say_(cell.notes.back() + "; once more");
  }
}

Result<SweepEnd> SweepDriver::run() {
  if (task_.threshold)
    for (const api::SweptFault* row : rows()) {
      std::erase_if(progress_.thresholds,
                    [&](const api::AskedThreshold& asked) { return asked.fault == row->name; });
      progress_.thresholds.push_back({row->name, resolution_of(*row)});
    }
  while (true) {
    const auto wanted = next();
    if (!wanted) return fail(wanted.error());
    if (!*wanted) break;
    if (ground_.interrupted()) return SweepEnd{kExitAborted, thresholds()};
    const auto goes_on = run_cell(**wanted);
    if (!goes_on) return fail(goes_on.error());
    if (auto good = kept(); !good) return fail(good.error());
    if (!*goes_on) return SweepEnd{kExitAborted, thresholds()};
    const api::SweepCell* cell = find(**wanted);
    if (cell == nullptr) return fail(Errc::kInternal, "a cell that was run is not there");
    say_(cell->experiment + ": " + report::cell_word(*cell));
  }
  if (auto good = kept(); !good) return fail(good.error());
  return SweepEnd{code(), thresholds()};
}

}  // namespace faultline::cli
