// SPDX-License-Identifier: Apache-2.0
#include "report/story.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "report/format.h"
#include "report/stats.h"

namespace faultline::report {
namespace {

bool ended(const api::Report& report) {
  return report.state == api::RunState::Completed || report.state == api::RunState::Aborted ||
         report.state == api::RunState::Failed;
}

std::string because(const api::Report& report) {
  return report.stateReason.empty() ? "" : ": " + report.stateReason;
}

// What happened to each fault; pods together where there are several.
std::string fault_sentence(const api::InjectionReport& row) {
  const std::string who = row.fault + " on " + row.pod;
  switch (row.verdict) {
    case api::InjectionVerdict::blocked:
      return who + " was not armed: " + row.reason + ".";
    case api::InjectionVerdict::no_traffic:
      return who + " was armed but met no matching traffic.";
    case api::InjectionVerdict::confirmed:
      return who + " acted as asked: " + acted_words(row) + " (asked " + row.asked + ").";
    case api::InjectionVerdict::partial:
      break;
  }
  return who + " acted, but not quite as asked: " + acted_words(row) + "; " + row.reason + ".";
}

// Why the first of these rows is as it is, and how many others there are.
std::string first_reason(const std::vector<const api::InjectionReport*>& rows) {
  const api::InjectionReport& row = *rows.front();
  std::string text = row.fault + " on " + row.pod + " was " +
                     (row.verdict == api::InjectionVerdict::blocked      ? "not armed"
                      : row.verdict == api::InjectionVerdict::no_traffic ? "without traffic"
                                                                         : "partial");
  if (!row.reason.empty()) text += " (" + row.reason + ")";
  if (rows.size() > 1) text += "; so " + plural(rows.size() - 1, "other is", "others are");
  return text;
}

// Rows that are not confirmed, the worst first.
std::vector<const api::InjectionReport*> weak_rows(const api::Report& report) {
  std::vector<const api::InjectionReport*> rows;
  for (const api::InjectionReport& row : report.injections)
    if (row.verdict != api::InjectionVerdict::confirmed) rows.push_back(&row);
  const auto severity = [](const api::InjectionReport* row) {
    switch (row->verdict) {
      case api::InjectionVerdict::blocked:
        return 0;
      case api::InjectionVerdict::no_traffic:
        return 1;
      case api::InjectionVerdict::partial:
      case api::InjectionVerdict::confirmed:
        break;
    }
    return 2;
  };
  std::ranges::stable_sort(rows, {}, severity);
  return rows;
}

std::string expected_words(const api::Report& report) {
  return report.expectations.empty() ? "nothing was expected of the effects"
                                     : "every expectation held";
}

std::string missed_words(std::uint64_t missed, std::uint64_t of) {
  if (of == 1) return "the expectation did not hold";
  return count_words(missed) + " of " + count_words(of) + " expectations did not hold";
}

std::string not_judged_words() {
  return "The phases are too short to tell a change from chance (" +
         std::to_string(kFewestWindows) + " windows of 1 s in each are needed).";
}

std::string effect_sentence(const api::Report& report) {
  if (report.experiment.spec.faults.empty()) return "";
  const api::EffectReport* clear = nullptr;
  bool measured = false, judged = false;
  for (const api::EffectReport* e : ranked_effects(report)) {
    if (e->role == api::PodRole::control || !is_felt(*e)) continue;
    measured = measured || e->change;
    judged = judged || e->significant || e->significantTail;
    if (clear == nullptr && is_change(*e)) clear = e;
  }
  if (!measured) return "Of requests and connects nothing could be compared.";
  if (!judged) return not_judged_words();
  if (clear == nullptr)
    return "No latency, error or rate of requests was seen to change beyond chance.";
  const api::EffectReport& e = *clear;
  const api::Metric& metric = *api::find_metric(e.metric);
  const Telling figure = telling_figure(e);
  const bool acted = std::ranges::any_of(
      report.injections, [](const api::InjectionReport& row) { return row.injected > 0; });
  std::string text = (acted ? "The clearest effect: " : "What changed most, for another reason: ") +
                     metric_words(e) + " of " + e.pod + " went from " +
                     figure_words(figure.before, metric) + " to " +
                     figure_words(figure.during, metric);
  const std::string ratio = ratio_words(e, metric);
  if (!ratio.empty()) text += " (" + ratio + ")";
  if (e.changeAgainstControls && figure.quantile.value_or(0.5) == 0.5)
    text += "; against the control pods " +
            change_words(metric, *e.changeAgainstControls, e.ci95AgainstControls);
  return text + ".";
}

std::string control_sentence(const api::Report& report) {
  std::set<std::string> pods, unjudged;
  for (const api::EffectReport& e : report.effects) {
    if (e.role != api::PodRole::control || !is_felt(e) || !e.change) continue;
    pods.insert(e.pod);
    const bool slow_end = e.tailQuantile.has_value();
    if (!e.significant || (slow_end && !e.significantTail)) unjudged.insert(e.pod);
  }
  if (pods.empty()) return "";
  const std::vector<const api::EffectReport*> moved = moved_controls(report);
  if (!moved.empty()) {
    std::string text = moved_control_words(*moved.front());
    if (moved.size() > 1)
      text +=
          " So did " + plural(moved.size() - 1, "other control pod", "other control pods") + ".";
    return text;
  }
  if (!unjudged.empty())
    return "Whether the control pods changed cannot be told: the phases are too short.";
  return "Requests of " + plural(pods.size(), "control pod", "control pods") +
         " did not change beyond chance, neither at the median nor at the slow end.";
}

}  // namespace

std::string_view done_word(std::string_view fault) {
  if (fault == "networkLatency" || fault == "syscallLatency") return "delayed";
  if (fault == "networkBandwidth") return "held up";
  if (fault == "networkLoss" || fault == "networkPartition") return "dropped";
  if (fault == "networkDuplicate") return "doubled";
  if (fault == "networkCorrupt") return "damaged";
  if (fault == "networkReorder") return "reordered";
  if (fault == "tcpReset") return "reset";
  if (fault == "socketError" || fault == "syscallError") return "failed";
  if (fault == "cpuPressure") return "ms of CPU time got";
  return "injected";
}

std::string acted_words(const api::InjectionReport& row) {
  if (row.matched == 0) return "0 matched";
  if (row.fault == "cpuPressure")
    return "asked for " + count_words(row.matched) + " ms of CPU time, got " +
           count_words(row.injected) + " ms" +
           (row.rate ? " = " + percent_words(*row.rate) : std::string());
  std::string text = count_words(row.matched) + " matched, " + count_words(row.injected) + " " +
                     std::string(done_word(row.fault));
  if (row.link && row.link->dropped > 0)
    text += " (" + count_words(row.link->dropped) + " dropped)";
  if (row.link && row.link->measured)
    text += ", " + number_words(*row.link->measured / 1e6, 4) + " Mbit/s while they waited";
  if (row.addedLatency && row.addedLatency->p50) {
    text += ", +" + seconds_words(*row.addedLatency->p50, 4) + " p50";
    if (row.addedLatency->p95) text += ", +" + seconds_words(*row.addedLatency->p95, 4) + " p95";
  }
  if (row.rate && !row.link && (!row.addedLatency || row.injected != row.matched)) {
    text += " = " + percent_words(*row.rate);
    if (row.rateCi95)
      text += " (95 % interval " + percent_words(row.rateCi95->low) + " to " +
              percent_words(row.rateCi95->high) + ")";
  }
  return text;
}

std::string link_words(const api::LinkReport& link) {
  const auto megabits = [](double bits) { return number_words(bits / 1e6, 4) + " Mbit/s"; };
  return (link.measured ? megabits(*link.measured) + " passed while packets waited"
                        : "Packets waited for too short a time to measure how fast they passed") +
         ", asked " + megabits(link.asked) + "; " + count_words(link.dropped) +
         " found the queue full";
}

std::string_view verdict_word(api::InjectionVerdict verdict) {
  switch (verdict) {
    case api::InjectionVerdict::confirmed:
      return "confirmed";
    case api::InjectionVerdict::partial:
      return "partial";
    case api::InjectionVerdict::no_traffic:
      return "no-traffic";
    case api::InjectionVerdict::blocked:
      break;
  }
  return "blocked";
}

std::string_view role_word(api::PodRole role) {
  switch (role) {
    case api::PodRole::target:
      return "target";
    case api::PodRole::observed:
      return "observed";
    case api::PodRole::connected:
      return "connected";
    case api::PodRole::control:
      break;
  }
  return "control";
}

std::string headline(const api::Report& report) {
  if (!ended(report)) return "running";
  switch (report.verdict) {
    case api::RunVerdict::met:
      return "met";
    case api::RunVerdict::missed:
      return "missed";
    case api::RunVerdict::partial:
      return "partial";
    case api::RunVerdict::not_real:
      return "not real";
    case api::RunVerdict::aborted:
      return "aborted";
    case api::RunVerdict::failed:
      break;
  }
  return "failed";
}

std::string verdict_reason(const api::Report& report) {
  if (!ended(report)) return "The run has not ended; these are the figures so far.";
  const auto missed = static_cast<std::uint64_t>(
      std::ranges::count(report.expectations, false, &api::ExpectationReport::met));
  const bool measured_only = report.experiment.spec.faults.empty();
  switch (report.verdict) {
    case api::RunVerdict::met:
      if (measured_only && report.expectations.empty())
        return "Nothing was injected; the run only measured.";
      return (measured_only ? "Nothing was injected" : "Every fault was real") +
             std::string(report.expectations.empty() ? "; " : ", and ") + expected_words(report) +
             ".";
    case api::RunVerdict::missed: {
      const auto first =
          std::ranges::find(report.expectations, false, &api::ExpectationReport::met);
      if (first == report.expectations.end()) return "An expectation did not hold.";
      std::string text = first->measured.starts_with("not measured")
                             ? "An expectation cannot be called met: "
                             : "An expectation did not hold: ";
      text += first->text + ", measured: " + first->measured;
      if (missed > 1) text += "; " + missed_words(missed, report.expectations.size());
      return text + ".";
    }
    case api::RunVerdict::partial:
    case api::RunVerdict::not_real: {
      const std::vector<const api::InjectionReport*> weak = weak_rows(report);
      const bool partial = report.verdict == api::RunVerdict::partial;
      std::string text = weak.empty() ? "A fault was not real" : first_reason(weak);
      text += partial ? ", so the fault was real only in part"
                      : ", so this run says nothing about the system";
      if (missed > 0) text += "; " + missed_words(missed, report.expectations.size());
      return text + ".";
    }
    case api::RunVerdict::aborted:
      return "The run was stopped before its end" + because(report) + ".";
    case api::RunVerdict::failed:
      break;
  }
  return "The run could not be carried out" + because(report) + ".";
}

std::string recovery_words(const api::Report& report) {
  if (!report.recovery.seconds) return "";
  return "under " + seconds_words(std::floor(std::max(0.0, *report.recovery.seconds)) + 1, 1);
}

std::vector<const api::EffectReport*> moved_controls(const api::Report& report) {
  // A twentieth is what two phases of the same service differ by without any fault.
  constexpr double kLeast = 0.05;
  std::vector<const api::EffectReport*> moved;
  std::set<std::string> pods;
  for (const api::EffectReport* e : ranked_effects(report))
    if (e->role == api::PodRole::control && is_felt(*e) && is_change(*e) && weight(*e) > kLeast &&
        pods.insert(e->pod).second)
      moved.push_back(e);
  return moved;
}

std::string moved_control_words(const api::EffectReport& effect) {
  const api::Metric& metric = *api::find_metric(effect.metric);
  const Telling figure = telling_figure(effect);
  return "Control pod " + effect.pod + " changed (" + metric_words(effect) + " from " +
         figure_words(figure.before, metric) + " to " + figure_words(figure.during, metric) +
         "): it may depend on a target, or part of the effect may have another cause.";
}

std::string gap_words(const api::Gap& gap) {
  if (!gap.missed || !gap.of) return gap.reason;
  return gap.reason + " (" + count_words(*gap.missed) + " of " + count_words(*gap.of) + ")";
}

std::string residue_words(const api::Report& report) {
  if (!report.residue) return "not known";
  return report.residue->empty() ? "none" : join(*report.residue, "; ");
}

std::string summary(const api::Report& report) {
  std::vector<std::string> sentences{verdict_reason(report)};
  constexpr std::size_t kMostRows = 3;
  std::vector<const api::InjectionReport*> rows = weak_rows(report);
  for (const api::InjectionReport& row : report.injections)
    if (row.verdict == api::InjectionVerdict::confirmed) rows.push_back(&row);
  // The reason of the verdict has told the first of them.
  const bool told = ended(report) && (report.verdict == api::RunVerdict::partial ||
                                      report.verdict == api::RunVerdict::not_real);
  for (std::size_t i = told && !rows.empty() ? 1 : 0; i < rows.size() && i < kMostRows; ++i)
    sentences.push_back(fault_sentence(*rows[i]));
  if (report.injections.size() > kMostRows)
    sentences.push_back(
        plural(report.injections.size() - kMostRows, "more injection is", "more injections are") +
        " listed below.");
  sentences.push_back(effect_sentence(report));
  if (!report.experiment.spec.faults.empty()) sentences.push_back(control_sentence(report));
  if (report.recovery.seconds)
    sentences.push_back("Effects were back to normal in " + recovery_words(report) +
                        " after the last injected event (measured in windows of 1 s).");
  if (ended(report)) {
    if (!report.residue)
      sentences.emplace_back("Whether anything was left on the nodes could not be checked.");
    else if (report.residue->empty())
      sentences.emplace_back("Nothing was left behind on the nodes.");
    else
      sentences.push_back("Left behind on the nodes: " + join(*report.residue, "; ") + ".");
  }
  if (!report.gaps.empty())
    sentences.push_back(plural(report.gaps.size(), "gap", "gaps") +
                        " in the measuring: see below.");
  std::erase(sentences, "");
  return join(sentences, " ");
}

}  // namespace faultline::report
