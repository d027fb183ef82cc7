// SPDX-License-Identifier: Apache-2.0
// Windows of a run, sorted into series. Pure and thread-safe; a Series points into the RunRecord it
// was made from, which must outlive it.
#pragma once

#include <array>
#include <compare>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/metrics.h"
#include "api/run_record.h"

namespace faultline::report {

// Figures of one window. Which of them mean something follows from the metric's kind.
struct Point {
  api::RunPhase phase = api::RunPhase::baseline;
  UtcTime from, to;
  double value = 0;                           // counters: increase; gauges: mean
  double numerator = 0, denominator = 0;      // fractions
  const api::Histogram* histogram = nullptr;  // null: no value in the window
  // The faults acted in a part of the window only: what was as usual in the rest of it, at the full
  // speed of a healthy service, can outnumber what the fault did in many seconds.
  bool at_edge = false;
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(to - from).count(); }
};

struct SeriesKey {
  std::string pod;  // namespace/name
  std::string metric;
  std::map<std::string, std::string> labels;
  friend auto operator<=>(const SeriesKey&, const SeriesKey&) = default;
};

// One metric of one pod with one set of labels, over the whole run; points in order of time.
struct Series {
  SeriesKey key;
  api::PodRole role = api::PodRole::target;
  const api::Metric* metric = nullptr;  // never null
  std::vector<Point> points;            // windows in which it was measured

  // What the figures of a phase are made of. Windows at an edge of the fault are left out when
  // there are others; only counts of failures keep the first one, since much fails at once.
  [[nodiscard]] std::vector<Point> in(api::RunPhase phase) const;
};

// Every series of the run, or only those of one metric. A counter that is missing from a window
// counted nothing there, unless a gap of that pod and metric says that it was not measured; other
// kinds have no point then. A window in which the faults did not act is left out of the fault
// phase, as is one in which they acted for less than half of its length (see fault_spans()).
[[nodiscard]] std::vector<Series> all_series(const api::RunRecord& record,
                                             std::string_view only = {});

// A window shorter than this is the sliver that a change of phase cut off: it counts in totals, not
// as a value of its own.
inline constexpr double kSliver = 0.25;  // seconds

// The moment from which every fault was armed; empty when none was or there are no faults.
[[nodiscard]] std::optional<UtcTime> armed_at(const api::RunRecord& record);

// One figure for a set of points, as the report shows it. Empty when nothing was measured.
[[nodiscard]] api::Histogram merged(const std::vector<Point>& points);
[[nodiscard]] std::optional<double> rate_of(const api::Metric& metric,
                                            const std::vector<Point>& points);

}  // namespace faultline::report
