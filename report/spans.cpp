// SPDX-License-Identifier: Apache-2.0
#include "report/spans.h"

#include <algorithm>

namespace faultline::report {
namespace {

void end_at(FaultSpan& span, UtcTime at, std::string why) {
  if (at >= span.to || at < span.from) return;
  span.to = at;
  span.ended_by = std::move(why);
}

// What is armed on one pod. Empty when nothing was.
std::optional<FaultSpan> armed_span(const api::NodeRecord& node, const std::string& pod) {
  std::optional<FaultSpan> span;
  bool all_ended = true;
  UtcTime last_end{};
  for (const api::InjectionStatus& status : node.injections) {
    if (status.pod.id() != pod || status.state == api::InjectionState::blocked ||
        !status.armedAt.set())
      continue;
    if (!span) span.emplace();
    span->from = std::max(span->from, status.armedAt.value);
    all_ended = all_ended && status.disarmedAt.set();
    last_end = std::max(last_end, status.disarmedAt.value);
  }
  if (span && all_ended) end_at(*span, last_end, "");
  return span;
}

void end_by_events(FaultSpan& span, const api::NodeRecord& node, const std::string& pod) {
  for (const api::RunEvent& event : node.events) {
    if (!event.pod.empty() && event.pod != pod) continue;
    if (event.kind == api::RunEventKind::lease_expired)
      end_at(span, event.at.value, "the agent's lease ran out");
    if (event.kind == api::RunEventKind::pod_gone && !event.pod.empty())
      end_at(span, event.at.value, "the pod was gone");
  }
}

// Of a node that was not heard of again only this is sure: it was there when its silence began.
void end_with_node(FaultSpan& span, const api::RunRecord& record, const api::NodeRecord& node) {
  if (!node.lost) return;
  for (const api::Gap& gap : record.gaps)
    if (gap.node == node.node && gap.pod.empty() && gap.metric.empty())
      end_at(span, gap.from.value, "its node was not heard of any more");
}

}  // namespace

std::map<std::string, FaultSpan> fault_spans(const api::RunRecord& record) {
  std::map<std::string, FaultSpan> spans;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::InjectionStatus& status : node.injections) {
      const std::string pod = status.pod.id();
      std::optional<FaultSpan> span = armed_span(node, pod);
      if (!span) continue;
      end_by_events(*span, node, pod);
      end_with_node(*span, record, node);
      spans.insert_or_assign(pod, std::move(*span));
    }
  FaultSpan together{.from = {}, .to = {}, .ended_by = ""};
  for (const api::RunPod& pod : record.pods) {
    const auto own = spans.find(pod.pod.id());
    if (own == spans.end()) continue;
    if (pod.leftAt.set()) end_at(own->second, pod.leftAt.value, "");  // another pod took its place
    together.to = std::max(together.to, own->second.to);
    if (!pod.joinedAt.set()) together.from = std::max(together.from, own->second.from);
  }
  if (spans.empty()) return spans;
  // A record whose injections name pods that it does not list has only those.
  if (together.to == UtcTime{}) together = spans.begin()->second;
  for (const api::RunPod& pod : record.pods) spans.try_emplace(pod.pod.id(), together);
  for (const api::NodeRecord& node : record.nodes)
    for (const api::EffectWindow& window : node.windows)
      if (!spans.contains(window.pod.id())) spans.emplace(window.pod.id(), together);
  return spans;
}

std::optional<FaultSpan> phase_span(const api::RunRecord& record) {
  const auto begin =
      std::ranges::find(record.history, api::RunState::Injecting, &api::PhaseMark::state);
  if (begin == record.history.end()) return std::nullopt;
  FaultSpan span{.from = begin->at.value, .to = UtcTime::max(), .ended_by = ""};
  if (const auto end = std::next(begin); end != record.history.end()) span.to = end->at.value;
  return span;
}

std::optional<double> fault_seconds(const api::RunRecord& record) {
  const std::optional<FaultSpan> phase = phase_span(record);
  if (!phase) return std::nullopt;
  const double asked = record.experiment.spec.phases.fault.seconds();
  return phase->to == UtcTime::max() ? asked : std::min(asked, phase->seconds());
}

}  // namespace faultline::report
