// SPDX-License-Identifier: Apache-2.0
// Which fault an entry of the timeline is about: never a guess.
#include <algorithm>

#include "report/gameday/parts.h"

namespace faultline::report::gameday {
namespace {

// When a fault run begins to count: its first injected event, or, of one whose report is missing,
// its begin in the timeline. Not set: it never acted.
api::Timestamp begin_of(const api::DayRun& run) {
  if (!run.fault) return {};
  return run.known ? run.firstInjectedAt : run.begunAt;
}

bool expects(const api::DayRun& run, const std::string& alert) {
  return std::ranges::any_of(
      run.detections, [&](const api::DetectionReport& d) { return d.within && d.alert == alert; });
}

}  // namespace

Attribution::Attribution(const Sources& from, const std::vector<api::DayRun>& runs)
    : from_(from), runs_(runs) {
  std::vector<api::Timestamp> begins;
  for (const api::DayRun& run : runs)
    if (const api::Timestamp begin = begin_of(run); begin.set()) begins.push_back(begin);
  std::ranges::sort(begins);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Window window{i, begin_of(runs[i]), {}};
    if (!window.from.set()) continue;
    // The next fault that began when this run was over ends its time.
    if (runs[i].overAt.set()) {
      const auto next = std::ranges::lower_bound(begins, runs[i].overAt);
      if (next != begins.end()) window.to = std::max(*next, window.from);
    }
    windows_.push_back(window);
  }
}

api::Timestamp Attribution::end_of(std::size_t run) const {
  const auto window = std::ranges::find(windows_, run, &Window::run);
  return window == windows_.end() ? api::Timestamp{} : window->to;
}

std::vector<std::size_t> Attribution::runs_of(const api::DayEntry& entry) const {
  std::vector<std::size_t> found;
  for (const Window& window : windows_)
    if (window.from <= entry.at && (!window.to.set() || entry.at < window.to))
      found.push_back(window.run);
  // What the entry names makes fewer of them, unless it names none.
  const auto narrow = [&](const auto& fits) {
    std::vector<std::size_t> fewer;
    std::ranges::copy_if(found, std::back_inserter(fewer), fits);
    if (!fewer.empty()) found = std::move(fewer);
  };
  // An alert's entry is of the step that waits for it, which need not be the one it is about.
  if (!entry.step.empty() && entry.kind != api::EntryKind::alert) {
    const bool names_a_fault = std::ranges::any_of(runs_, [&](const api::DayRun& run) {
      return begin_of(run).set() && from_.steps.within(run.step, entry.step);
    });
    if (names_a_fault)
      std::erase_if(
          found, [&](std::size_t run) { return !from_.steps.within(runs_[run].step, entry.step); });
  }
  if (!entry.word.empty()) narrow([&](std::size_t run) { return expects(runs_[run], entry.word); });
  return found;
}

}  // namespace faultline::report::gameday
