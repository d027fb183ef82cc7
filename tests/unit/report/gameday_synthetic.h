// SPDX-License-Identifier: Apache-2.0
// A game day, made up and never measured. For tests of its report only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/gameday_record.h"
#include "report/gameday/gameday.h"
#include "report/report.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report::synthetic {

struct Day {
  api::GameDayRecord record;
  std::map<std::string, api::Report> runs;

  // The entry is changed by the caller; it lives as long as no other is added.
  api::DayEntry& add(api::EntryKind kind, double when, const std::string& step = "") {
    api::DayEntry entry;
    entry.number = record.entries.size() + 1;
    entry.kind = kind;
    entry.at = entry.recordedAt = at(when);
    entry.step = step;
    record.entries.push_back(entry);
    return record.entries.back();
  }
  api::DayEntry& say(api::EntryKind kind, double when, const std::string& who, api::DayRole role,
                     const std::string& text = "", const std::string& step = "") {
    api::DayEntry& entry = add(kind, when, step);
    entry.who = who;
    entry.role = role;
    entry.text = text;
    entry.via = "cli";
    entry.key = "key-" + std::to_string(entry.number);
    return entry;
  }
  void run(const std::string& step, const std::string& id, double from, double to) {
    add(api::EntryKind::run_begun, from, step).run = id;
    api::DayEntry& over = add(api::EntryKind::run_over, to, step);
    over.run = id;
  }
  [[nodiscard]] api::GameDayReport report(const std::vector<api::GameDayReport>& earlier = {},
                                          Names names = Names::kHidden) const {
    return gameday_report(record, runs, earlier, names);
  }
};

inline void move_time(api::Timestamp& at, double when) {
  if (at.set()) at.value += std::chrono::nanoseconds(static_cast<std::int64_t>(when * 1e9));
}

// A report as of a run that began so much later.
inline api::Report later(api::Report report, double when) {
  for (api::TimelineEntry& entry : report.timeline) move_time(entry.at, when);
  for (api::InjectionReport& row : report.injections) {
    move_time(row.firstInjectedAt, when);
    move_time(row.lastInjectedAt, when);
  }
  for (api::DetectionReport& d : report.detections)
    for (api::Timestamp* at : {&d.firstScrapeAt, &d.trueAt, &d.pendingAt, &d.firingAt,
                               &d.notifiedAt, &d.resolvedAt, &d.resolvedNotifiedAt})
      move_time(*at, when);
  move_time(report.recovery.recoveredAt, when);
  for (api::Gap& gap : report.gaps) {
    move_time(gap.from, when);
    move_time(gap.to, when);
  }
  return report;
}

inline api::DetectionReport detected(const std::string& alert, double first, double after) {
  api::DetectionReport d;
  d.source = "main";
  d.group = "shop";
  d.alert = alert;
  d.labels = {{"service", "checkout"}};
  d.verdict = api::DetectionVerdict::detected;
  d.firstScrapeAt = at(first + 1.5);
  d.trueAt = at(first + after - 20);
  d.pendingAt = d.trueAt;
  d.firingAt = at(first + after);
  d.notifiedAt = at(first + after + 2);
  d.resolvedAt = at(first + after + 60);
  d.within = 60;
  d.seconds = after;
  d.floor = 25;
  d.receivers = {"pager"};
  d.steps = {{"scrape", 1.5, 0.0, "scrape_interval 5s"},
             {"expression", after - 21.5, 0.0, "range window 30s, evaluation interval 5s"},
             {"for", 20, 20, "for 20s"},
             {"group", 2, 2, "group_wait 2s"}};
  return d;
}

inline api::DetectionReport missed(const std::string& alert) {
  api::DetectionReport d;
  d.source = "main";
  d.group = "shop";
  d.alert = alert;
  d.verdict = api::DetectionVerdict::missed;
  d.reason = "its expression was never true";
  d.within = 30;
  return d;
}

inline const api::Report& slow_report() {
  static const api::Report report = [] {
    api::Report out = build(slow_payments(1));
    out.detections = {detected("CheckoutSlow", 10.2061, 31.5)};
    return out;
  }();
  return report;
}

inline const api::Report& refused_report() {
  static const api::Report report = [] {
    api::Report out = build(refused_connects(1));
    out.detections = {missed("CheckoutErrors")};
    api::DetectionReport other = detected("DiskFull", 10.24, 30);
    other.within.reset();
    other.verdict = api::DetectionVerdict::false_alarm;
    out.detections.push_back(other);
    return out;
  }();
  return report;
}

inline api::Step experiment_step(const std::string& name, const api::Experiment& experiment) {
  api::Step step;
  step.name = name;
  step.title = "The step " + name;
  step.experiment.emplace();
  step.experiment->spec = experiment.spec;
  return step;
}

// Names as nothing else here has them.
inline constexpr const char* kAnn = "zanna@example.com";
inline constexpr const char* kBob = "zbob";
inline constexpr const char* kCleo = "zcleo";
inline constexpr const char* kDora = "zdora";

inline Day blank_day() {
  Day day;
  api::GameDayRecord& record = day.record;
  record.day = "payments-day-2";
  record.document.apiVersion = "faultline.dev/v1alpha1";
  record.document.kind = "GameDay";
  record.document.metadata.name = "payments-day";
  record.document.metadata.namespace_ = "shop";
  record.document.spec.title = "Payments is slow";
  record.document.spec.hypothesis = "The pager rings within a minute, and checkout stays up";
  record.document.spec.owner = kAnn;
  record.document.spec.roles = {{kAnn}, {kBob}, {kCleo}, {kDora}};
  record.requestedBy = kAnn;
  record.state = api::DayState::waiting;
  return day;
}

// 0 s: payments is slow, which the alert notices; from 120 s on checkout's connects are refused,
// which nobody is told before: an observer finds it. The commander has a task with a runbook.
inline Day payments_day() {
  using api::DayRole;
  using api::EntryKind;
  Day day = blank_day();
  api::GameDayRecord& record = day.record;
  record.state = api::DayState::completed;
  api::Step outage, respond, wait;
  outage.name = "outage";
  respond.name = "respond";
  respond.title = "Make checkout fast again";
  respond.task = api::StepTask{.text = "Bring checkout below 200 ms", .role = DayRole::commander};
  respond.task->runbook = api::Runbook{.file = "runbooks/slow.md",
                                       .text =
                                           "# Slow\n\n1. Look at the dashboard\n2. Restart "
                                           "payments\n3. Tell support\n"};
  wait.name = "rings";
  wait.waitFor = api::StepWait{.alert = "CheckoutSlow"};
  outage.parallel = {experiment_step("slow", slow_report().experiment), respond, wait};
  api::Step refused = experiment_step("refused", refused_report().experiment);
  refused.surprise = true;
  record.document.spec.steps = {outage, refused};

  day.say(EntryKind::created, -60, kAnn, DayRole::facilitator);
  day.add(EntryKind::check, -59).word = "agents";
  record.entries.back().good = true;
  day.add(EntryKind::rehearsed, -50).seconds = 0.212;
  day.say(EntryKind::started, -5, kAnn, DayRole::facilitator);
  for (const char* step : {"outage", "slow", "respond", "rings"})
    day.add(EntryKind::step_begun, -4, step);
  day.add(EntryKind::run_begun, 0, "slow").run = "slow-1";
  day.say(EntryKind::note, 15, kCleo, DayRole::scribe, "checkout looks slower");
  day.add(EntryKind::alert, 42.5, "rings").word = "CheckoutSlow";
  day.add(EntryKind::step_over, 42.5, "rings").outcome = api::StepOutcome::met;
  day.say(EntryKind::acknowledged, 47.5, kBob, DayRole::commander, "I look").word = "CheckoutSlow";
  day.add(EntryKind::run_over, 51, "slow").run = "slow-1";
  day.add(EntryKind::step_over, 51, "slow").outcome = api::StepOutcome::met;
  api::DayEntry& tick = day.say(EntryKind::tick, 55, kBob, DayRole::commander, "", "respond");
  tick.item = 1;
  tick.good = true;
  day.say(EntryKind::tick, 70, kBob, DayRole::commander, "it hangs", "respond").item = 2;
  day.say(EntryKind::missing, 75, kBob, DayRole::commander, "How to roll back", "respond");
  day.say(EntryKind::mitigated, 80, kBob, DayRole::commander, "rolled back").recordedAt = at(140);
  day.say(EntryKind::answered, 90, kBob, DayRole::commander, "", "respond").outcome =
      api::StepOutcome::done;
  day.add(EntryKind::step_over, 90, "respond").outcome = api::StepOutcome::done;
  day.add(EntryKind::step_over, 90, "outage").outcome = api::StepOutcome::met;
  day.add(EntryKind::step_begun, 118, "refused");
  day.add(EntryKind::run_begun, 120, "refused").run = "refused-1";
  day.say(EntryKind::found, 150, kDora, DayRole::observer, "connects are refused", "refused");
  day.add(EntryKind::run_over, 171, "refused").run = "refused-1";
  day.add(EntryKind::step_over, 171, "refused").outcome = api::StepOutcome::missed;
  day.say(EntryKind::action, 175, kCleo, DayRole::scribe).action =
      api::ActionItem{"Alert on refused connects", kBob, "2026-12-31", "refused"};
  api::DayEntry& over = day.add(EntryKind::over, 180);
  over.word = "completed";

  day.runs["slow-1"] = slow_report();
  day.runs["slow-1"].run = "slow-1";
  day.runs["refused-1"] = later(refused_report(), 120);
  day.runs["refused-1"].run = "refused-1";
  return day;
}

}  // namespace faultline::report::synthetic
