// SPDX-License-Identifier: Apache-2.0
// What would have noticed: the effects that moved most, and the monitoring's own metrics for them.
#include <algorithm>

#include "report/alert_episodes.h"
#include "report/detections.h"
#include "report/format.h"
#include "report/story.h"

namespace faultline::report {
namespace {

using api::DetectionVerdict;

// The effects whose metrics show this one too, the nearest first. What has no metric of its own
// shows in how long requests take, or in that they fail.
std::vector<std::string_view> shown_by(std::string_view effect) {
  if (effect.starts_with("tls.")) effect.remove_prefix(4);  // a service's metrics are of both
  if (effect == "request.rate" || effect == "request.responses")
    return {"request.rate", "request.errors"};
  if (effect == "request.errors" || effect == "request.abandoned" || effect == "request.unanswered")
    return {"request.errors", "connect.errors", "request.latency"};
  if (effect.starts_with("connect.") && effect != "connect.latency")
    return {"connect.errors", "request.errors"};
  if (effect == "net.bytes" || effect == "net.packets")
    return {effect, "net.bytes", "request.rate"};
  if (effect == "cpu.usage") return {"cpu.usage"};
  return {"request.latency", "request.errors"};
}

// Where answers are short, how long a request took in all says what its first byte says.
std::string_view kind_of(std::string_view effect) {
  if (effect.starts_with("tls.")) effect.remove_prefix(4);
  return effect == "request.duration" ? "request.latency" : effect;
}

std::vector<const api::EffectReport*> moved_most(const api::Report& report) {
  std::vector<const api::EffectReport*> ranked;
  for (const api::EffectReport& effect : report.effects)
    if (effect.role != api::PodRole::control && weight(effect) > 0) ranked.push_back(&effect);
  std::ranges::stable_sort(ranked, std::ranges::greater{},
                           [](const api::EffectReport* effect) { return weight(*effect); });
  std::vector<const api::EffectReport*> out;
  for (const api::EffectReport* effect : ranked) {
    const bool told = std::ranges::any_of(out, [&](const api::EffectReport* other) {
      return kind_of(other->metric) == kind_of(effect->metric);
    });
    if (!told) out.push_back(effect);
    if (out.size() >= kMostHints) break;
  }
  return out;
}

std::string moved_words(const api::EffectReport& effect) {
  const api::Metric& metric = *api::find_metric(effect.metric);
  const Telling figure = telling_figure(effect);
  return metric_words(effect) + " of " + effect.pod + " went from " +
         figure_words(figure.before, metric) + " to " + figure_words(figure.during, metric);
}

// The candidate for an effect: a rule of the nearest kind that fired, the earliest of them; else
// what is known of why there is none.
const api::AlertCandidate* candidate_for(const api::MonitoringRecord& record,
                                         const api::EffectReport& effect) {
  const Telling figure = telling_figure(effect);
  const bool fell = figure.change.value_or(0) < 0;
  const api::AlertCandidate* reason = nullptr;
  for (const std::string_view kind : shown_by(effect.metric)) {
    const api::AlertCandidate* best = nullptr;
    for (const api::AlertCandidate& one : record.candidates) {
      if (one.pod != effect.pod || one.metric != kind) continue;
      if (kind == effect.metric && one.falls != fell) continue;
      if (one.reason.empty() && (best == nullptr || one.trueAt < best->trueAt)) best = &one;
      if (!one.reason.empty() && reason == nullptr) reason = &one;
    }
    if (best != nullptr) return best;
  }
  if (reason != nullptr) return reason;
  // Nothing is known of the pod, or not all was asked.
  for (const api::AlertCandidate& one : record.candidates)
    if (one.pod == effect.pod && one.metric.empty()) return &one;
  return nullptr;
}

}  // namespace

bool wants_hints(DetectionVerdict verdict) {
  switch (verdict) {
    case DetectionVerdict::late:
    case DetectionVerdict::missed:
    case DetectionVerdict::before_fault:
      return true;
    case DetectionVerdict::detected:
    case DetectionVerdict::flapping:
    case DetectionVerdict::still_firing:
    case DetectionVerdict::not_notified:
    case DetectionVerdict::false_alarm:
    case DetectionVerdict::unknown:
      return false;
  }
  return false;
}

void add_hints(const api::MonitoringRecord& record, const DetectionTimes& times,
               api::Report& report) {
  std::vector<api::DetectionHint> hints;
  for (const api::EffectReport* effect : moved_most(report)) {
    api::DetectionHint hint{.text = moved_words(*effect), .promql = {}, .seconds = {}};
    const api::AlertCandidate* candidate = candidate_for(record, *effect);
    if (candidate != nullptr && candidate->reason.empty()) {
      if (candidate->metric != effect->metric)
        hint.text += ", which " + candidate->metric + " shows";
      hint.promql = candidate->promql;
      hint.seconds = seconds_between(times.first_injected, candidate->trueAt);
    } else if (candidate != nullptr) {
      hint.text +=
          "; no rule for it: " + (candidate->source.empty() ? "" : candidate->source + ": ") +
          candidate->reason;
    } else {
      hint.text += record.candidates.empty()
                       ? "; which metrics the monitoring has for it was not asked"
                       : "; the monitoring has no metric of this pod that shows it";
    }
    hints.push_back(std::move(hint));
  }
  if (hints.empty()) hints.push_back({"no measured effect moved beyond chance", {}, {}});
  for (api::DetectionReport& detection : report.detections)
    if (detection.within && wants_hints(detection.verdict)) detection.hints = hints;
}

}  // namespace faultline::report
