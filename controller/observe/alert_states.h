// SPDX-License-Identifier: Apache-2.0
// What Prometheus makes of an expression that has a value at some evaluations of a rule: pending,
// firing, kept firing. Times are numbers of evaluations on the rule's grid. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "controller/observe/prometheus.h"

namespace faultline::controller::observe {

// Evaluations first..last on end.
struct Spell {
  std::int64_t first = 0, last = 0;
  friend bool operator==(const Spell&, const Spell&) = default;
};

// The grid of a rule's evaluations, by the source's clock.
struct EvaluationGrid {
  double origin = 0;  // the time of evaluation 0, seconds since the epoch
  double step = 0;    // seconds
  [[nodiscard]] double at(std::int64_t evaluation) const {
    return origin + static_cast<double>(evaluation) * step;
  }
  // The first evaluation that is not before `time`, and the last that is not behind it.
  [[nodiscard]] std::int64_t from(double time) const;
  [[nodiscard]] std::int64_t to(double time) const;
};

// At which evaluations each series of an expression had a value; which value does not matter.
class Values {
 public:
  // What a range query on the grid gave; of a time that no other one was about.
  void add(const std::vector<Series>& series, const EvaluationGrid& grid);
  void add(Values other);  // of the same grid
  // Call it after the last add(): puts what ranges cut apart together again.
  void settle();
  // By the labels that an alert keeps: without the metric's name.
  [[nodiscard]] const std::map<Labels, std::vector<Spell>>& series() const { return series_; }
  // How much is kept: one for a spell, kSeries for a series, whose labels take that much more.
  [[nodiscard]] std::size_t size() const { return series_.size() * kSeries + spells_; }
  static constexpr std::size_t kSeries = 30;

 private:
  std::map<Labels, std::vector<Spell>> series_;
  std::size_t spells_ = 0;
};

struct HoldTimes {
  double for_seconds = 0, keep_firing_for = 0;
};

// One firing of one instance: pending from `active` on, firing from `fired` to `last`.
struct Firing {
  std::int64_t active = 0, fired = 0, last = 0;
  friend bool operator==(const Firing&, const Firing&) = default;
};

// `spells` in order, none touching another. As Prometheus does it: an instance fires at the first
// evaluation whose time is `for` behind that at which it became active; while it fires and has no
// value it is kept firing for evaluations less than `keep_firing_for` behind the first without one.
[[nodiscard]] std::vector<Firing> firings(const std::vector<Spell>& spells, const HoldTimes& hold,
                                          double step);

}  // namespace faultline::controller::observe
