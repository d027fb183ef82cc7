// SPDX-License-Identifier: Apache-2.0
// What the timeline knows of the alerts that the day's waitFor steps await, and where it is deaf.
#include <algorithm>

#include "report/alert_episodes.h"
#include "report/format.h"
#include "report/gameday/parts.h"

namespace faultline::report::gameday {
namespace {

// What the gaps that make the timeline deaf have as `word`: the monitoring did not answer (`good`:
// it answers again), or some of what fires is not written down from here on.
constexpr std::string_view kMonitoring = "monitoring", kCut = "alerts", kMany = "alerts-at-once";

// The labels of `CheckoutSlow{pod="checkout-0", svc="checkout"}`; a quote and a backslash in a
// value have a backslash before them. None: the text is no more than a name.
AlertLabels labels_of(std::string_view text) {
  AlertLabels labels;
  std::size_t at = text.find('{');
  if (at == text.npos) return labels;
  for (++at; at < text.size();) {
    const std::size_t equals = text.find("=\"", at);
    if (equals == text.npos) break;
    const std::string key(text.substr(at, equals - at));
    std::string value;
    for (at = equals + 2; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) ++at;
      value += text[at];
    }
    labels.emplace(key, std::move(value));
    ++at;  // the quote
    if (text.substr(at, 2) != ", ") break;
    at += 2;
  }
  return labels;
}

}  // namespace

std::string alert_name(std::string_view words) {
  return std::string(words.substr(0, words.find('{')));
}

Awaited::Awaited(const Sources& from) : from_(from) {
  for (const Steps::Place& place : from.steps.all()) {
    if (const auto& wait = place.step->waitFor; wait && !wait->alert.empty()) {
      expected_.insert(wait->alert);
      if (wait->state == api::AwaitedState::firing) waits_.push_back(place.step);
    }
    const api::ExperimentSpec* spec = nullptr;
    if (place.step->experiment && place.step->experiment->spec)
      spec = &*place.step->experiment->spec;
    if (place.step->sweep) spec = &place.step->sweep->experiment;
    if (spec == nullptr) continue;
    for (const api::ExpectAlert& alert : spec->expect.alerts) expected_.insert(alert.name);
  }
  for (const auto& [id, report] : from.runs)
    for (const api::DetectionReport& d : report.detections)
      if (d.within) expected_.insert(d.alert);
  bool away = false;
  for (const api::DayEntry& entry : from.record.entries) {
    if (entry.kind != api::EntryKind::gap) continue;
    if (entry.word == kCut || entry.word == kMany) {
      holes_.push_back({entry.at, {}, entry.text});
    } else if (entry.word == kMonitoring && !entry.good && !away) {
      holes_.push_back({entry.at, {}, entry.text});
      away_ = holes_.size() - 1;
      away = true;
    } else if (entry.word == kMonitoring && entry.good && away) {
      holes_[away_].to = entry.at;
      away = false;
    }
  }
}

bool Awaited::is_of(const api::DayEntry& entry, const api::Step& step) {
  return entry.kind == api::EntryKind::alert && entry.word == step.waitFor->alert &&
         has_labels(labels_of(entry.text), step.waitFor->labels);
}

bool Awaited::fires(const api::DayEntry& entry) const {
  return !entry.good &&
         std::ranges::any_of(waits_, [&](const api::Step* step) { return is_of(entry, *step); });
}

// The run itself asked for every firing that the step awaits.
bool Awaited::covered(const api::DayRun& run, const api::Step& step) const {
  const auto report = from_.runs.find(run.run);
  if (report == from_.runs.end()) return false;
  const api::StepWait& wait = *step.waitFor;
  const bool asked = std::ranges::any_of(
      report->second.experiment.spec.expect.alerts, [&](const api::ExpectAlert& alert) {
        return alert.name == wait.alert && has_labels(wait.labels, alert.labels);
      });
  return asked && std::ranges::any_of(run.detections, [&](const api::DetectionReport& d) {
           return d.within && d.alert == wait.alert && d.verdict != api::DetectionVerdict::unknown;
         });
}

std::string Awaited::before(const api::DayRun& run) const {
  api::Timestamp begun;  // of the run's step
  for (const api::DayEntry& entry : from_.record.entries)
    if (entry.kind == api::EntryKind::step_begun && entry.step == run.step &&
        entry.at <= run.begunAt)
      begun = entry.at;
  for (const api::Step* step : waits_) {
    if (covered(run, *step)) continue;
    std::set<std::string> firing;
    api::Timestamp over;  // of the step that waits
    for (const api::DayEntry& entry : from_.record.entries) {
      if (entry.kind == api::EntryKind::step_over && entry.step == step->name) over = entry.at;
      if (!is_of(entry, *step) || entry.at >= run.firstInjectedAt) continue;
      if (entry.good)
        firing.erase(entry.text);
      else
        firing.insert(entry.text);
    }
    // What was waited for before is of an earlier step.
    if (firing.empty() || (over.set() && over < begun)) continue;
    return "alert " + step->waitFor->alert + ", which was awaited,";
  }
  return "";
}

std::string Awaited::deaf(const api::DayRun& run, api::Timestamp seen, bool by_day,
                          api::Timestamp end) const {
  if (waits_.empty()) return "";
  const bool all_covered =
      std::ranges::all_of(waits_, [&](const api::Step* step) { return covered(run, *step); });
  for (const Hole& hole : holes_) {
    const api::Timestamp until = seen.set() ? seen : end;
    if (until.set() && hole.from >= until) continue;
    if (hole.to.set() && hole.to < run.firstInjectedAt) continue;
    if (!by_day && all_covered &&
        (seen.set() || (hole.to.set() && run.overAt.set() && hole.to <= run.overAt)))
      continue;
    return "whether and when an awaited alert fired is not known: from " + time_words(hole.from) +
           (hole.to.set() ? " to " + time_words(hole.to) : " on") + ", " + hole.why;
  }
  return "";
}

bool Awaited::concerns(const api::DayEntry& acknowledged) const {
  return acknowledged.word.empty() || expected_.contains(alert_name(acknowledged.word));
}

}  // namespace faultline::report::gameday
