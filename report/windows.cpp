// SPDX-License-Identifier: Apache-2.0
#include "report/windows.h"

#include <algorithm>
#include <set>

#include "report/spans.h"

namespace faultline::report {
namespace {

// Whether a gap says that the metric of the pod was not measured in [from, to).
bool in_gap(const std::vector<const api::Gap*>& gaps, const std::string& pod,
            std::string_view metric, UtcTime from, UtcTime to) {
  return std::ranges::any_of(gaps, [&](const api::Gap* gap) {
    if (!gap->pod.empty() && gap->pod != pod) return false;
    if (!gap->metric.empty() && gap->metric != metric) return false;
    if (gap->missed) return false;  // the rest of it was measured
    return gap->from.value < to && (!gap->to.set() || from < gap->to.value);
  });
}

using Spans = std::map<std::string, FaultSpan>;

// Clocks of two nodes, and what is read a moment before or after, do not agree better.
constexpr std::chrono::milliseconds kSameTime{2};

const FaultSpan* span_of(const api::EffectWindow& window, const Spans& spans) {
  if (window.phase != api::RunPhase::fault) return nullptr;
  const auto span = spans.find(window.pod.id());
  return span == spans.end() ? nullptr : &span->second;
}

bool counts_to_phase(const api::EffectWindow& window, const Spans& spans) {
  const FaultSpan* span = span_of(window, spans);
  if (span == nullptr) return true;
  const auto length = window.to.value - window.from.value;
  const auto acted = std::min(window.to.value, span->to) - std::max(window.from.value, span->from);
  return acted.count() > 0 && acted >= length / 2;
}

bool at_edge(const api::EffectWindow& window, const Spans& spans) {
  const FaultSpan* span = span_of(window, spans);
  if (span == nullptr) return false;
  return window.from.value < span->from - kSameTime ||
         (span->to != UtcTime::max() && window.to.value > span->to + kSameTime);
}

Point point_of(const api::EffectWindow& window, const api::EffectSample* sample) {
  Point point{.phase = window.phase, .from = window.from.value, .to = window.to.value};
  if (sample == nullptr) return point;
  point.value = sample->value;
  point.numerator = sample->numerator;
  point.denominator = sample->denominator;
  if (sample->histogram) point.histogram = &*sample->histogram;
  return point;
}

// Windows of one pod, by time.
using PodWindows = std::vector<const api::EffectWindow*>;

// Much of what a fault breaks breaks when it begins: connections that are reset, calls that fail.
bool keeps_first_edge(const api::Metric& metric) {
  return metric.higher_is_worse &&
         (metric.kind == api::MetricKind::kCounter || metric.kind == api::MetricKind::kFraction);
}

void add_series_of(const std::string& pod, api::PodRole role, const PodWindows& windows,
                   std::string_view only,
                   const std::vector<const api::Gap*>& gaps, const Spans& spans,
                   std::vector<Series>& out) {
  // Position in `windows` -> sample, for each series.
  std::map<SeriesKey, std::map<std::size_t, const api::EffectSample*>> found;
  for (std::size_t i = 0; i < windows.size(); ++i)
    for (const api::EffectSample& sample : windows[i]->samples)
      if (api::find_metric(sample.metric) != nullptr && (only.empty() || only == sample.metric))
        found[{pod, sample.metric, sample.labels}][i] = &sample;
  for (const auto& [key, samples] : found) {
    Series series{key, role, api::find_metric(key.metric), {}};
    const bool zero_or_none = series.metric->kind == api::MetricKind::kCounter ||
                              series.metric->kind == api::MetricKind::kHistogram;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const api::EffectWindow& window = *windows[i];
      const auto sample = samples.find(i);
      if (sample != samples.end())
        series.points.push_back(point_of(window, sample->second));
      else if (zero_or_none && !in_gap(gaps, pod, key.metric, window.from.value, window.to.value))
        series.points.push_back(point_of(window, nullptr));
      else
        continue;
      series.points.back().at_edge = at_edge(window, spans);
    }
    out.push_back(std::move(series));
  }
}

}  // namespace

std::vector<Point> Series::in(api::RunPhase phase) const {
  std::vector<Point> whole, edges;
  bool first = true;
  for (const Point& point : points) {
    if (point.phase != phase) continue;
    (point.at_edge && !(first && keeps_first_edge(*metric)) ? edges : whole).push_back(point);
    first = false;
  }
  return whole.empty() ? edges : whole;
}

std::optional<UtcTime> armed_at(const api::RunRecord& record) {
  std::optional<UtcTime> last;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::InjectionStatus& injection : node.injections)
      if (injection.armedAt.set() && injection.state != api::InjectionState::blocked)
        last = std::max(last.value_or(UtcTime{}), injection.armedAt.value);
  return last;
}

std::vector<Series> all_series(const api::RunRecord& record, std::string_view only) {
  const Spans spans = fault_spans(record);
  std::map<std::string, PodWindows> by_pod;
  std::set<std::string> connected;
  std::vector<const api::Gap*> gaps;
  for (const api::Gap& gap : record.gaps) gaps.push_back(&gap);
  for (const api::NodeRecord& node : record.nodes) {
    for (const api::Gap& gap : node.gaps) gaps.push_back(&gap);
    for (const api::RunEvent& event : node.events)
      if (event.kind == api::RunEventKind::connected) connected.insert(event.pod);
    for (const api::EffectWindow& window : node.windows)
      if (window.to > window.from && counts_to_phase(window, spans))
        by_pod[window.pod.id()].push_back(&window);
  }
  std::vector<Series> out;
  for (auto& [pod, windows] : by_pod) {
    std::ranges::stable_sort(windows, {}, [](const api::EffectWindow* w) { return w->from; });
    const api::PodRole role =
        connected.contains(pod) ? api::PodRole::connected : windows.front()->role;
    add_series_of(pod, role, windows, only, gaps, spans, out);
  }
  return out;
}

api::Histogram merged(const std::vector<Point>& points) {
  api::Histogram all;
  for (const Point& point : points)
    if (point.histogram != nullptr) all.merge(*point.histogram);
  return all;
}

std::optional<double> rate_of(const api::Metric& metric, const std::vector<Point>& points) {
  double seconds = 0, events = 0, weighted = 0, numerator = 0, denominator = 0;
  for (const Point& point : points) {
    seconds += point.seconds();
    events += metric.kind == api::MetricKind::kHistogram && point.histogram != nullptr
                  ? static_cast<double>(point.histogram->count())
                  : point.value;
    weighted += point.value * point.seconds();
    numerator += point.numerator;
    denominator += point.denominator;
  }
  if (metric.kind == api::MetricKind::kFraction)
    return denominator > 0 ? std::optional(numerator / denominator) : std::nullopt;
  if (seconds <= 0) return std::nullopt;
  return (metric.kind == api::MetricKind::kGauge ? weighted : events) / seconds;
}

}  // namespace faultline::report
