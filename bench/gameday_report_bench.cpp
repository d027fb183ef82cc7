// SPDX-License-Identifier: Apache-2.0
// The report of a long game day: 100 steps with a run each, and 10 000 entries in the timeline,
// made up. How long the report and each of its outputs take, against the same day with a tenth of
// what people said, and how much memory the process had at most. Needs no root. Prints one JSON
// line.
//
// usage: gameday_report_bench [entries [steps [rounds]]]   10 000, 100, 5
#include <sys/resource.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "report/gameday/gameday.h"

namespace faultline {
namespace {

using std::chrono::steady_clock;

api::Timestamp at(double seconds) {
  return {UtcTime{std::chrono::sys_days{std::chrono::year{2026} / 11 / 23}} +
          std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1e3))};
}

// A run of `pods` pods whose fault began at `begin`, and whose alert fired 30 s later.
api::Report run_report(const std::string& id, double begin, int pods) {
  api::Report report;
  report.run = id;
  report.state = api::RunState::Completed;
  report.verdict = api::RunVerdict::met;
  report.residue.emplace();
  report.recovery = {at(begin + 65), 5.0, "back"};
  report.timeline = {{"t0", "asked", at(begin - 10), 0.0, ""},
                     {"t3", "first effect", at(begin + 1), 11.0, "shop/pod-0 request.latency p50"}};
  for (int i = 0; i < pods; ++i) {
    const std::string pod = "shop/pod-" + std::to_string(i);
    if (i < 2) {
      api::InjectionReport row;
      row.pod = pod;
      row.node = "node-1";
      row.fault = "networkLatency";
      row.asked = "50 ms";
      row.firstInjectedAt = at(begin);
      row.lastInjectedAt = at(begin + 60);
      report.injections.push_back(row);
    }
    for (const char* metric : {"request.latency", "request.rate", "request.errors", "tcp.rtt"}) {
      api::EffectReport effect;
      effect.pod = pod;
      effect.role = i < 2 ? api::PodRole::target : api::PodRole::observed;
      effect.metric = metric;
      effect.baseline = effect.fault = api::PhaseStats{100, 0.1, 0.2, 0.3, 0.4, 10.0};
      effect.change = 0.05;
      effect.ci95 = api::Interval{0.04, 0.06};
      effect.significant = true;
      report.effects.push_back(effect);
    }
  }
  api::DetectionReport alert;
  alert.alert = "Slow";
  alert.verdict = api::DetectionVerdict::detected;
  alert.within = 60;
  alert.seconds = 30;
  alert.firingAt = at(begin + 30);
  report.detections.push_back(alert);
  return report;
}

struct Day {
  api::GameDayRecord record;
  std::map<std::string, api::Report> runs;
};

Day day_of(int entries, int steps) {
  Day day;
  api::GameDayRecord& record = day.record;
  record.day = "long-day-1";
  record.document.metadata.name = "long-day";
  record.document.spec.title = "A long day";
  record.document.spec.roles.commander = {"bob"};
  record.state = api::DayState::completed;
  const auto add = [&](api::EntryKind kind, double seconds, const std::string& step) {
    api::DayEntry entry;
    entry.number = record.entries.size() + 1;
    entry.kind = kind;
    entry.at = entry.recordedAt = at(seconds);
    entry.step = step;
    record.entries.push_back(entry);
    return &record.entries.back();
  };
  add(api::EntryKind::started, 0, "");
  const int said = std::max(0, entries - 2 - 4 * steps) / std::max(1, steps);
  for (int i = 0; i < steps; ++i) {
    api::Step step;
    step.name = "step-" + std::to_string(i);
    step.experiment.emplace();
    step.experiment->spec.emplace();
    record.document.spec.steps.push_back(step);
    const double begin = 100.0 * i + 10;
    const std::string run = "run-" + std::to_string(i);
    add(api::EntryKind::step_begun, begin - 10, step.name);
    add(api::EntryKind::run_begun, begin - 9, step.name)->run = run;
    for (int k = 0; k < said; ++k) {
      api::DayEntry* entry = add(k % 10 == 0 ? api::EntryKind::acknowledged : api::EntryKind::note,
                                 begin + 80.0 * k / std::max(1, said), "");
      entry->who = "bob";
      entry->role = api::DayRole::commander;
      entry->text = "what somebody says in the middle of an incident, number " + std::to_string(k);
    }
    add(api::EntryKind::run_over, begin + 75, step.name)->run = run;
    add(api::EntryKind::step_over, begin + 75, step.name)->outcome = api::StepOutcome::met;
    day.runs[run] = run_report(run, begin, 20);
  }
  add(api::EntryKind::over, 100.0 * steps + 10, "");
  return day;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double seconds_of(const std::function<std::size_t()>& work, int rounds) {
  std::vector<double> values;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = steady_clock::now();
    if (work() == 0) throw std::runtime_error("nothing was written");
    values.push_back(std::chrono::duration<double>(steady_clock::now() - begin).count());
  }
  return median(std::move(values));
}

int run(int entries, int steps, int rounds) {
  boost::json::object out{{"bench", "gameday_report"}, {"entries", entries}, {"steps", steps}};
  double all[2] = {0, 0};
  for (const bool many : {false, true}) {
    const Day day = day_of(many ? entries : entries / 10, steps);
    const api::GameDayReport report = report::gameday_report(day.record, day.runs, {});
    const std::pair<const char*, std::function<std::size_t()>> work[] = {
        {"report",
         [&] { return report::gameday_report(day.record, day.runs, {}).timeline.size(); }},
        {"json", [&] { return report::gameday_json(report).size(); }},
        {"markdown", [&] { return report::gameday_markdown(report).size(); }},
        {"html", [&] { return report::gameday_html(report).size(); }},
        {"terminal", [&] { return report::gameday_terminal(report).size(); }},
        {"incident", [&] { return report::gameday_incident(report, day.runs).size(); }}};
    for (const auto& [name, one] : work) {
      const double seconds = seconds_of(one, rounds);
      all[many ? 1 : 0] += seconds;
      if (many) out[std::string(name) + "Seconds"] = seconds;
    }
  }
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  out["seconds"] = all[1];
  out["ratioToATenthOfTheEntries"] = all[1] / all[0];
  out["mostMemoryMiB"] = static_cast<double>(usage.ru_maxrss) / 1024;
  std::cout << boost::json::serialize(out) << "\n";
  return all[1] < 2 ? 0 : 1;  // the report in under 2 s
}

}  // namespace
}  // namespace faultline

int main(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) {
    return argc > i ? std::max(1, std::stoi(argv[i])) : otherwise;
  };
  try {
    return faultline::run(argument(1, 10'000), argument(2, 100), argument(3, 5));
  } catch (const std::exception& e) {
    std::cerr << "gameday_report_bench: " << e.what() << "\n";
    return 2;
  }
}
