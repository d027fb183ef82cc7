// SPDX-License-Identifier: Apache-2.0
// Steps, tasks with their runbooks, and checks, from the timeline.
#include <algorithm>

#include "report/gameday/parts.h"
#include "report/gameday/times.h"

namespace faultline::report::gameday {
namespace {

using Entries = std::vector<const api::DayEntry*>;

// Entries of each step, in the order of the timeline.
std::map<std::string, Entries> by_step(const api::GameDayRecord& record) {
  std::map<std::string, Entries> out;
  for (const api::DayEntry& entry : record.entries)
    if (!entry.step.empty()) out[entry.step].push_back(&entry);
  return out;
}

std::vector<api::DayStep> times_of(const Sources& from, const Steps::Place& place,
                                   const Entries& entries) {
  const api::Step& step = *place.step;
  api::DayStep blank{.name = step.name, .title = step.title};
  blank.kind = api::step_kind(step);
  blank.depth = place.depth;
  blank.surprise = step.surprise;
  std::vector<api::DayStep> out;
  const auto next = [&](std::int64_t times) {
    out.push_back(blank);
    out.back().times = time_of(out.size() - 1, times);
  };
  for (const api::DayEntry* entry : entries) {
    if (entry->kind == api::EntryKind::step_begun) {
      next(entry->times);
      out.back().begunAt = entry->at;
    } else if (entry->kind == api::EntryKind::step_over) {
      // A step can be over that was never begun: one that was skipped.
      if (out.empty() || out.back().overAt.set()) next(entry->times);
      api::DayStep& last = out.back();
      last.overAt = entry->at;
      last.outcome = entry->outcome;
      last.reason = entry->who.empty() ? from.people.tame(entry->text) : entry->text;
      if (last.begunAt.set()) last.seconds = seconds_from(last.begunAt, entry->at);
    } else if (entry->kind == api::EntryKind::run_begun && !entry->run.empty()) {
      if (out.empty()) next(0);
      out.back().runs.push_back(entry->run);
    }
  }
  if (out.empty()) out.push_back(std::move(blank));
  return out;
}

// Which time of the step something at `at` belongs to: the last that had begun then. A word of
// people can be late; what counts is when it happened.
std::size_t time_at(const std::vector<api::DayStep>& times, api::Timestamp at) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < times.size(); ++i)
    if (times[i].begunAt.set() && times[i].begunAt <= at) found = i;
  return found;
}

// Null: the step had not begun then, so that there is no such time.
std::optional<double> since_begin(const api::DayStep& time, api::Timestamp at) {
  if (!time.begunAt.set() || at < time.begunAt) return std::nullopt;
  return seconds_from(time.begunAt, at);
}

std::string runbook_words(const api::Runbook& runbook) {
  return !runbook.file.empty()        ? runbook.file
         : !runbook.configMap.empty() ? runbook.configMap
                                      : runbook.url;
}

void tick(const Sources& from, const api::DayEntry& entry, const api::DayStep& time,
          api::DayTask& task) {
  if (entry.item < 1) return;
  auto item = std::ranges::find(task.items, entry.item, &api::DayItem::number);
  if (item == task.items.end()) {  // the runbook's text is not known here, as that of an address
    item = std::ranges::upper_bound(task.items, entry.item, {}, &api::DayItem::number);
    item = task.items.insert(item, {.number = entry.item, .text = ""});
  }
  ++item->ticks;
  if (item->at.set() && entry.at < item->at) return;  // an older one that came late
  item->at = entry.at;
  item->worked = entry.good;
  item->who = from.people.who(entry);
  item->seconds = since_begin(time, entry.at);
}

std::vector<api::DayTask> tasks_of(const Sources& from, const Steps::Place& place,
                                   const std::vector<api::DayStep>& times, const Entries& entries) {
  const api::Step& step = *place.step;
  api::DayTask blank{.step = step.name, .title = step.title, .text = step.task->text};
  blank.role = People::whose(step.task->role);
  if (step.task->runbook) {
    blank.runbook = runbook_words(*step.task->runbook);
    std::int64_t number = 0;
    for (std::string& text : api::runbook_steps(step.task->runbook->text)) {
      api::DayItem item{.number = ++number, .text = std::move(text)};
      blank.items.push_back(std::move(item));
    }
  }
  std::vector<api::DayTask> out;
  for (const api::DayStep& time : times) {
    out.push_back(blank);
    out.back().times = time.times;
    out.back().outcome = time.outcome;
    out.back().seconds = time.seconds;
  }
  for (const api::DayEntry* entry : entries) {
    const std::size_t at = time_at(times, entry->at);
    if (entry->kind == api::EntryKind::tick) tick(from, *entry, times[at], out[at]);
    if (entry->kind != api::EntryKind::missing) continue;
    out[at].missing.push_back(
        {entry->text, from.people.who(*entry), entry->at, since_begin(times[at], entry->at)});
  }
  for (api::DayTask& task : out)
    for (const api::DayItem& item : task.items)
      ++(!item.worked ? task.untouched : *item.worked ? task.worked : task.failed);
  return out;
}

}  // namespace

void add_course(const Sources& from, api::GameDayReport& report) {
  const std::map<std::string, Entries> entries = by_step(from.record);
  for (const Steps::Place& place : from.steps.all()) {
    const auto found = entries.find(place.step->name);
    const Entries& mine = found == entries.end() ? Entries{} : found->second;
    std::vector<api::DayStep> times = times_of(from, place, mine);
    if (place.step->task)
      for (api::DayTask& task : tasks_of(from, place, times, mine))
        report.tasks.push_back(std::move(task));
    for (api::DayStep& time : times) report.steps.push_back(std::move(time));
  }
  for (const api::DayEntry& entry : from.record.entries) {
    if (entry.kind == api::EntryKind::check)
      report.checks.push_back(
          {entry.word, entry.good, from.people.tame(entry.text), entry.seconds});
    if (entry.kind == api::EntryKind::rehearsed)
      report.checks.push_back(
          {"abort rehearsed", true, from.people.tame(entry.text), entry.seconds});
  }
}

}  // namespace faultline::report::gameday
