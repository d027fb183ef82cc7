// SPDX-License-Identifier: Apache-2.0
// Series as `promtool test rules` takes them: a name with labels, and values on one grid of time,
// in its expanding notation. Pure and thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "controller/observe/prometheus.h"

namespace faultline::controller::observe {

// http_requests_total{code="500",job="shop"}
[[nodiscard]] std::string series_name(const Labels& labels);

// The distance of a series' samples, the middle one of all; 0: it has fewer than two.
[[nodiscard]] double interval_of(const Series& series);
// Scrapes are late by milliseconds: 0.998 s is one second. At least a millisecond.
[[nodiscard]] double rounded_interval(double seconds);

// One slot of the grid: a sample, a stale marker, or nothing.
struct Slot {
  enum { kNothing, kStale, kSample } what = kNothing;
  double value = 0;
};
// The series, which has samples, in `count` slots from `from` on. A sample is at most one interval
// of its series from its slot; where none came for longer than that, Prometheus had marked the
// series as stale.
[[nodiscard]] std::vector<Slot> on_grid(const Series& series, double from, double interval,
                                        std::size_t count);
// "_x3 1+0x5 10+2x4 stale": what repeats, or grows by the same whole number, is written once.
[[nodiscard]] std::string expanded(const std::vector<Slot>& slots);

}  // namespace faultline::controller::observe
