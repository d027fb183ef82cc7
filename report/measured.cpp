// SPDX-License-Identifier: Apache-2.0
#include "report/measured.h"

#include <algorithm>

#include "api/gap.h"
#include "report/analysis.h"
#include "report/format.h"
#include "report/spans.h"

namespace faultline::report {
namespace {

struct Range {
  UtcTime from, to;
};

// The part of a gap that lies in the fault phase of the pod; empty when none does.
std::optional<Range> within(const api::Gap& gap, const FaultSpan& span, UtcTime since) {
  const UtcTime from = std::max({gap.from.value, span.from, since});
  const UtcTime to = std::min(gap.to.set() ? gap.to.value : UtcTime::max(), span.to);
  if (from >= to) return std::nullopt;
  return Range{from, to};
}

bool is_of(const api::Gap& gap, const api::PodRef& pod) {
  if (!gap.pod.empty()) return gap.pod == pod.id();
  return gap.node.empty() || gap.node == pod.node;
}

// Whether more than a moment of the range is in no window of the pod.
bool uncovered(const api::RunRecord& record, const std::string& pod, Range range) {
  std::vector<Range> windows;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::EffectWindow& window : node.windows)
      if (window.pod.id() == pod) windows.push_back({window.from.value, window.to.value});
  std::ranges::sort(windows, {}, &Range::from);
  std::chrono::duration<double> missing{0};
  UtcTime covered = range.from;
  for (const Range& window : windows) {
    if (window.to <= covered) continue;
    if (window.from >= range.to) break;
    if (window.from > covered) missing += window.from - covered;
    covered = std::max(covered, window.to);
  }
  // Of a gap that is still open nobody knows how long it will be.
  if (covered < range.to)
    missing += (range.to == UtcTime::max() ? std::chrono::hours(1) : range.to - covered);
  return missing.count() > kSliver;
}

}  // namespace

std::map<std::string, api::PodRef> pods_of(const api::RunRecord& record) {
  std::map<std::string, api::PodRef> pods;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::EffectWindow& window : node.windows)
      pods.try_emplace(window.pod.id(), window.pod);
  for (const api::RunPod& pod : record.pods) pods.insert_or_assign(pod.pod.id(), pod.pod);
  return pods;
}

bool selects(const api::Selector& selector, const api::PodRef& pod, api::PodRole role) {
  if (selector != api::Selector{}) return api::matches(selector, pod);
  return role == api::PodRole::target || role == api::PodRole::observed;
}

Missing missing_of(const api::RunRecord& record, const std::vector<api::Gap>& gaps,
                   const api::Selector& selector, std::string_view metric, UtcTime since) {
  Missing missing;
  std::string partly;
  const std::map<std::string, FaultSpan> spans = fault_spans(record);
  const std::optional<FaultSpan> phase = phase_span(record);
  for (const api::RunPod& pod : record.pods) {
    if (!selects(selector, pod.pod, pod.role)) continue;
    const std::string id = pod.pod.id();
    const auto own = spans.find(id);
    if (own == spans.end() && !phase) continue;
    const FaultSpan& span = own == spans.end() ? *phase : own->second;
    for (const api::Gap& gap : gaps) {
      if (!is_of(gap, pod.pod) || !api::covers(gap, metric)) continue;
      const std::optional<Range> range = within(gap, span, since);
      if (!range) continue;
      if (gap.missed && gap.of) {
        missing.missed += static_cast<double>(*gap.missed);
        missing.of += static_cast<double>(*gap.of);
        if (*gap.missed > 0 && partly.empty()) partly = "not measured on " + id + ": " + gap.reason;
      } else if (missing.blind.empty() && (!gap.metric.empty() || uncovered(record, id, *range))) {
        missing.blind = "not measured on " + id + ": " + gap.reason;
      }
    }
  }
  if (missing.of > 0 && missing.missed >= missing.of && missing.blind.empty())
    missing.blind = partly;
  if (missing.missed > 0)
    missing.partly = count_words(static_cast<std::uint64_t>(missing.missed)) + " of " +
                     count_words(static_cast<std::uint64_t>(missing.of)) + " " + partly;
  return missing;
}

std::string unseen_words(const api::RunRecord& record, const std::vector<api::Gap>& gaps) {
  if (record.experiment.spec.faults.empty()) return "";
  // The metrics that say what callers feel: what is missing of others hides no effect.
  for (const std::string_view metric : {"request.latency", "request.errors", "request.rate"})
    if (const Missing missing = missing_of(record, gaps, {}, metric); !missing.blind.empty())
      return missing.blind;
  for (const api::NodeRecord& node : record.nodes)
    if (node.lost) return "node " + node.node + " was not heard of any more";
  return "";
}

}  // namespace faultline::report
