// SPDX-License-Identifier: Apache-2.0
// MTTD, MTTA and MTTR: each from two moments that somebody or something wrote down, or a reason.
#include <algorithm>

#include "report/format.h"
#include "report/gameday/parts.h"

namespace faultline::report::gameday {
namespace {

constexpr std::string_view kFirst = "first injected event";

// The first entry of one kind that is about a run for certain, and those that may be about it or
// about another one.
struct Said {
  const api::DayEntry* first = nullptr;
  std::uint64_t unclear = 0;
  api::Timestamp unclear_from;

  void take(const api::DayEntry& entry, bool sure) {
    if (sure) {
      if (first == nullptr || entry.at < first->at) first = &entry;
    } else {
      if (++unclear == 1 || entry.at < unclear_from) unclear_from = entry.at;
    }
  }
  // Nothing that may be about this run was said before `first`.
  [[nodiscard]] bool known() const {
    return first != nullptr && (unclear == 0 || first->at <= unclear_from);
  }
};

// What is known of one fault run beside its report. alert: an awaited one fired. person: found or
// acknowledged, whichever came first.
struct Heard {
  Said alert, person, acknowledged, mitigated;
  const api::DayEntry* foreign = nullptr;  // acknowledged, but an alert that nothing expects
  std::string before;                      // an awaited alert that fired before the fault
  std::string no_report;                   // why it has none, if so
  api::Timestamp end;                      // until when something can be about the run
};

std::vector<Heard> heard(const Sources& from, const Awaited& awaited,
                         const std::vector<api::DayRun>& runs) {
  std::vector<Heard> out(runs.size());
  const Attribution attribution(from, runs);
  for (std::size_t run = 0; run < runs.size(); ++run) {
    if (runs[run].firstInjectedAt.set()) out[run].before = awaited.before(runs[run]);
    out[run].end = attribution.end_of(run);
    if (!runs[run].known)
      out[run].no_report = "the report of the run " + no_report(from, runs[run].run);
  }
  for (const api::DayEntry& entry : from.record.entries) {
    const bool alert = awaited.fires(entry);
    const bool found = entry.kind == api::EntryKind::found && !entry.step.empty();
    const bool acknowledged = entry.kind == api::EntryKind::acknowledged;
    const bool mitigated = entry.kind == api::EntryKind::mitigated;
    if (!entry.at.set() || !(alert || found || acknowledged || mitigated)) continue;
    const std::vector<std::size_t> of = attribution.runs_of(entry);
    const bool sure = of.size() == 1;
    if (acknowledged && !awaited.concerns(entry)) {
      for (const std::size_t run : of)
        if (out[run].foreign == nullptr) out[run].foreign = &entry;
      continue;
    }
    for (const std::size_t run : of) {
      if (alert) out[run].alert.take(entry, sure);
      if (found || acknowledged) out[run].person.take(entry, sure);
      if (acknowledged) out[run].acknowledged.take(entry, sure);
      if (mitigated) out[run].mitigated.take(entry, sure);
    }
  }
  return out;
}

api::DayFigure figure(api::Timestamp from, std::string since, api::Timestamp to,
                      std::string until) {
  return {seconds_from(from, to), from, to, std::move(since), std::move(until), ""};
}

api::DayFigure no_figure(std::string reason) {
  api::DayFigure out;
  out.reason = std::move(reason);
  return out;
}

std::string unclear_words(const Said& said, std::string_view what) {
  return plural(said.unclear, "entry", "entries") + " (" + std::string(what) +
         ") could be about this fault or about another one at the same time";
}

// Why nothing can be said of a fault run; empty: its first injected event is known.
std::string no_begin(const Heard& heard, const api::DayRun& run) {
  if (!run.known) return heard.no_report;
  return run.firstInjectedAt.set() ? "" : "no event was injected";
}

const api::DetectionReport* first_firing(const api::DayRun& run) {
  const api::DetectionReport* first = nullptr;
  for (const api::DetectionReport& d : run.detections)
    if (d.within && d.firingAt.set() && d.firingAt >= run.firstInjectedAt &&
        d.verdict != api::DetectionVerdict::before_fault &&
        (first == nullptr || d.firingAt < first->firingAt))
      first = &d;
  return first;
}

// Why it is not known whether an expected alert fired; empty: it is known.
std::string not_known(const api::DayRun& run) {
  for (const api::DetectionReport& d : run.detections)
    if (d.within && d.verdict == api::DetectionVerdict::unknown)
      return with_more("whether alert " + d.alert + " fired is not known", d.reason);
  return "";
}

std::string fired_before(const Heard& heard, const api::DayRun& run) {
  std::string alert = heard.before;
  for (const api::DetectionReport& d : run.detections)
    if (d.within && d.verdict == api::DetectionVerdict::before_fault) alert = "alert " + d.alert;
  return alert.empty() ? ""
                       : alert +
                             " fired before anything was injected, and nobody said that they "
                             "noticed";
}

// Fills in the detection. Returns the alert's firing: not set, if none fired; nothing, if it is not
// known whether one did.
std::optional<api::Timestamp> detect(const Heard& heard, const Awaited& awaiting,
                                     api::DayRun& run) {
  if (const std::string why = no_begin(heard, run); !why.empty()) {
    run.detection = no_figure(why);
    return std::nullopt;
  }
  const api::DetectionReport* alert = first_firing(run);
  const api::DayEntry* awaited = heard.alert.first;
  const std::string first(kFirst);
  const bool by_day = awaited != nullptr && (alert == nullptr || awaited->at < alert->firingAt);
  const api::Timestamp seen = by_day             ? awaited->at
                              : alert != nullptr ? alert->firingAt
                                                 : api::Timestamp{};
  std::optional<api::Timestamp> firing{std::in_place};
  if (heard.alert.unclear > 0 && !heard.alert.known() &&
      (alert == nullptr || heard.alert.unclear_from < alert->firingAt)) {
    run.detection = no_figure(unclear_words(heard.alert, "an alert fired"));
    firing.reset();
  } else if (const std::string deaf = awaiting.deaf(run, seen, by_day, heard.end); !deaf.empty()) {
    run.detection = no_figure(deaf);
    firing.reset();
  } else if (by_day) {
    firing = awaited->at;
    run.detection = figure(run.firstInjectedAt, first, *firing,
                           "alert " + awaited->word + ", which was awaited, was seen to fire");
  } else if (alert != nullptr) {
    firing = alert->firingAt;
    run.detection = figure(run.firstInjectedAt, first, *firing, "alert " + alert->alert + " fired");
    for (const api::DetectionStep& step : alert->steps)
      if (step.seconds && step.name != "group")
        run.detectionParts.push_back({step.name, *step.seconds, step.cause});
  } else if (const std::string why = not_known(run); !why.empty()) {
    run.detection = no_figure(why);
    firing.reset();
  } else if (heard.person.known()) {
    run.detection = figure(run.firstInjectedAt, first, heard.person.first->at,
                           heard.person.first->kind == api::EntryKind::found
                               ? "somebody found it; no expected alert fired"
                               : "somebody acknowledged it; no expected alert fired");
  } else if (heard.person.unclear > 0) {
    run.detection = no_figure(unclear_words(heard.person, "somebody noticed"));
  } else if (const std::string before = fired_before(heard, run); !before.empty()) {
    run.detection = no_figure(before);
  } else if (heard.foreign != nullptr) {
    run.detection = no_figure("no expected alert fired; somebody acknowledged " +
                              heard.foreign->word + ", which no run and no step expects");
  } else {
    run.detection = no_figure("no expected alert fired, and nobody said that they noticed");
    run.noticed = false;
  }
  if (run.detection.seconds) run.noticed = true;
  return firing;
}

const api::DetectionReport* told(const api::DayRun& run, api::Timestamp firing) {
  const auto found = std::ranges::find_if(run.detections, [&](const api::DetectionReport& d) {
    return d.within && d.firingAt == firing && d.notifiedAt.set() && d.notifiedAt >= firing;
  });
  return found == run.detections.end() ? nullptr : &*found;
}

void acknowledge(const Heard& heard, const std::optional<api::Timestamp>& fired, bool unattended,
                 api::DayRun& run) {
  if (const std::string why = no_begin(heard, run); !why.empty()) {
    run.acknowledgement = no_figure(why);
    return;
  }
  if (!heard.acknowledged.known()) {
    run.acknowledgement = no_figure(
        heard.acknowledged.unclear > 0 ? unclear_words(heard.acknowledged, "somebody acknowledged")
        : heard.foreign != nullptr
            ? "what was acknowledged, " + heard.foreign->word + ", no run and no step expects"
        : unattended ? "nobody acknowledged it; the day was unattended"
                     : "nobody acknowledged it");
    return;
  }
  if (!fired) {
    run.acknowledgement = no_figure(run.detection.reason);
    return;
  }
  const api::Timestamp at = heard.acknowledged.first->at, firing = *fired;
  if (!firing.set() || at < firing) {
    run.acknowledgement =
        figure(run.firstInjectedAt,
               std::string(kFirst) + (firing.set() ? ", since the alert had not fired yet"
                                                   : ", since no expected alert fired after it"),
               at, "acknowledged");
    return;
  }
  run.acknowledgement = figure(firing, "alert fired", at, "acknowledged");
  const api::DetectionReport* detection = told(run, firing);
  if (detection == nullptr || detection->notifiedAt > at) return;
  run.acknowledgementParts = {
      {"told", seconds_from(firing, detection->notifiedAt), join(detection->receivers, ", ")},
      {"taken", seconds_from(detection->notifiedAt, at), ""}};
}

void repair(const Heard& heard, api::DayRun& run) {
  if (const std::string why = no_begin(heard, run); !why.empty()) {
    run.repair = no_figure(why);
    return;
  }
  const std::string first(kFirst);
  if (heard.mitigated.known()) {
    const api::Timestamp at = heard.mitigated.first->at;
    run.repair = figure(run.firstInjectedAt, first, at, "mitigated");
    if (!run.detection.seconds || run.detection.to > at) return;
    run.repairParts.push_back({"noticed", *run.detection.seconds, run.detection.until});
    api::Timestamp last = run.detection.to;
    if (run.acknowledgement.seconds && run.acknowledgement.to >= last &&
        run.acknowledgement.to <= at) {
      run.repairParts.push_back({"acknowledged", seconds_from(last, run.acknowledgement.to), ""});
      last = run.acknowledgement.to;
    }
    run.repairParts.push_back({"mitigated", seconds_from(last, at), ""});
  } else if (heard.mitigated.unclear > 0) {
    run.repair = no_figure(unclear_words(heard.mitigated, "somebody mitigated"));
  } else if (run.recoveredAt.set()) {
    run.repair = figure(run.firstInjectedAt, first, run.recoveredAt,
                        "effects back in the baseline band; nobody mitigated");
    if (run.lastInjectedAt.set() && run.lastInjectedAt <= run.recoveredAt)
      run.repairParts = {{"fault acted", seconds_from(run.firstInjectedAt, run.lastInjectedAt), ""},
                         {"back after it", seconds_from(run.lastInjectedAt, run.recoveredAt), ""}};
  } else {
    run.repair = no_figure(with_more("nobody mitigated, and no recovery was seen", run.recovery));
  }
}

api::DayMean mean(const std::vector<api::DayRun>& runs, api::DayFigure api::DayRun::*which) {
  api::DayMean out;
  double sum = 0;
  for (const api::DayRun& run : runs) {
    if (!run.fault) continue;
    ++out.of;
    const std::optional<double>& seconds = (run.*which).seconds;
    if (!seconds) continue;
    ++out.known;
    sum += *seconds;
  }
  if (out.known > 0) out.seconds = sum / static_cast<double>(out.known);
  return out;
}

// Somebody noticed before the alert that the figure is of.
void add_people_first(const Heard& heard, const std::optional<api::Timestamp>& fired,
                      const api::DayRun& run, api::GameDayReport& report) {
  const api::Timestamp firing = fired.value_or(api::Timestamp{});
  if (!firing.set() || !heard.person.known() || heard.person.first->at >= firing) return;
  report.surprises.push_back({api::SurpriseKind::people_first, run.step, run.run,
                              "people noticed before the alert did",
                              seconds_from(heard.person.first->at, firing)});
}

}  // namespace

void add_figures(const Sources& from, api::GameDayReport& report) {
  const Awaited awaited(from);
  const std::vector<Heard> all = heard(from, awaited, report.runs);
  for (std::size_t i = 0; i < report.runs.size(); ++i) {
    api::DayRun& run = report.runs[i];
    if (!run.fault) {
      run.detection = run.acknowledgement = run.repair = no_figure("nothing was to be injected");
      continue;
    }
    const std::optional<api::Timestamp> firing = detect(all[i], awaited, run);
    acknowledge(all[i], firing, report.unattended, run);
    repair(all[i], run);
    add_people_first(all[i], firing, run, report);
  }
  report.mttd = mean(report.runs, &api::DayRun::detection);
  report.mtta = mean(report.runs, &api::DayRun::acknowledgement);
  report.mttr = mean(report.runs, &api::DayRun::repair);
}

}  // namespace faultline::report::gameday
