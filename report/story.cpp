// SPDX-License-Identifier: Apache-2.0
#include "report/story.h"

#include <algorithm>
#include <set>

#include "report/format.h"

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

std::string effect_sentence(const api::Report& report) {
  const std::vector<const api::EffectReport*> ranked = ranked_effects(report);
  const auto clear = std::ranges::find_if(ranked, [](const api::EffectReport* e) {
    return e->role != api::PodRole::control && weight(*e) > 0;
  });
  if (report.experiment.spec.faults.empty()) return "";
  if (clear == ranked.end())
    return ranked.empty() ? "" : "No measured effect changed beyond chance.";
  const api::EffectReport& e = **clear;
  const api::Metric& metric = *api::find_metric(e.metric);
  const bool acted = std::ranges::any_of(
      report.injections, [](const api::InjectionReport& row) { return row.injected > 0; });
  std::string text = (acted ? "The clearest effect: " : "What changed most, for another reason: ") +
                     metric_words(metric) + " of " + e.pod + " went from " +
                     figure_words(main_figure(e.baseline, metric), metric) + " to " +
                     figure_words(main_figure(e.fault, metric), metric);
  const std::string ratio = ratio_words(e, metric);
  if (!ratio.empty()) text += " (" + ratio + ")";
  return text + ".";
}

std::string control_sentence(const api::Report& report) {
  const api::EffectReport* moved = nullptr;
  std::set<std::string> pods;
  for (const api::EffectReport* e : ranked_effects(report)) {
    if (e->role != api::PodRole::control || !e->metric.starts_with("request.") || !e->change)
      continue;
    pods.insert(e->pod);
    // A twentieth is what two phases of the same service differ by without any fault.
    if (weight(*e) > 0.05 && (moved == nullptr || weight(*e) > weight(*moved))) moved = e;
  }
  if (pods.empty()) return "";
  if (moved == nullptr)
    return "Requests of " + plural(pods.size(), "untouched control pod", "untouched control pods") +
           " did not change.";
  const api::Metric& metric = *api::find_metric(moved->metric);
  return "An untouched control pod changed too (" + metric_words(metric) + " of " + moved->pod +
         " by " + change_words(metric, *moved->change) +
         "), so part of the effect may have another cause.";
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
  return "injected";
}

std::string acted_words(const api::InjectionReport& row) {
  if (row.matched == 0) return "0 matched";
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
      if (measured_only)
        return report.expectations.empty() ? "Nothing was injected; the run measured."
                                           : "Nothing was injected, and every expectation held.";
      return report.expectations.empty()
                 ? "Every fault was real; nothing was expected of the effects."
                 : "Every fault was real, and every expectation held.";
    case api::RunVerdict::missed:
      if (report.expectations.size() == 1)
        return "The expectation did not hold: the system has shown something worth knowing.";
      return count_words(missed) + " of " + count_words(report.expectations.size()) +
             " expectations did not hold: the system has shown something worth knowing.";
    case api::RunVerdict::not_real:
      return "A fault was not armed or hit nothing, so this run says nothing about the system.";
    case api::RunVerdict::aborted:
      return "The run was stopped before its end" + because(report) + ".";
    case api::RunVerdict::failed:
      break;
  }
  return "The run could not be carried out" + because(report) + ".";
}

std::string residue_words(const api::Report& report) {
  if (!report.residue) return "not known";
  return report.residue->empty() ? "none" : join(*report.residue, "; ");
}

std::string summary(const api::Report& report) {
  std::vector<std::string> sentences{verdict_reason(report)};
  constexpr std::size_t kMostRows = 3;
  for (std::size_t i = 0; i < report.injections.size() && i < kMostRows; ++i)
    sentences.push_back(fault_sentence(report.injections[i]));
  if (report.injections.size() > kMostRows)
    sentences.push_back(
        plural(report.injections.size() - kMostRows, "more injection is", "more injections are") +
        " listed below.");
  sentences.push_back(effect_sentence(report));
  if (!report.experiment.spec.faults.empty()) sentences.push_back(control_sentence(report));
  if (report.recovery.seconds)
    sentences.push_back("Effects were back to normal " +
                        seconds_words(*report.recovery.seconds, 2) +
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
