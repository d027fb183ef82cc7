// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/alert_states.h"

#include <algorithm>
#include <cmath>

namespace faultline::controller::observe {
namespace {

constexpr double kRounding = 1e-6;  // evaluations; times are milliseconds in doubles

// How many evaluations it takes until `seconds` are over.
std::int64_t evaluations_in(double seconds, double step) {
  if (!(seconds > 0) || !(step > 0)) return 0;
  return static_cast<std::int64_t>(std::ceil(std::min(seconds / step, 1e12) - kRounding));
}

}  // namespace

std::int64_t EvaluationGrid::from(double time) const {
  return static_cast<std::int64_t>(std::ceil((time - origin) / step - kRounding));
}
std::int64_t EvaluationGrid::to(double time) const {
  return static_cast<std::int64_t>(std::floor((time - origin) / step + kRounding));
}

void Values::add(const std::vector<Series>& series, const EvaluationGrid& grid) {
  for (const Series& one : series) {
    if (one.points.empty()) continue;
    Labels labels = one.labels;
    labels.erase("__name__");
    std::vector<Spell>& spells = series_[std::move(labels)];
    bool open = false;
    for (const Point& point : one.points) {
      const auto at = static_cast<std::int64_t>(std::llround((point.at - grid.origin) / grid.step));
      if (open && at <= spells.back().last + 1) {
        spells.back().last = std::max(spells.back().last, at);
        continue;
      }
      spells.push_back({at, at});
      ++spells_;
      open = true;
    }
  }
}

void Values::add(Values other) {
  for (auto& [labels, spells] : other.series_) {
    std::vector<Spell>& to = series_[labels];
    to.insert(to.end(), spells.begin(), spells.end());
  }
  spells_ += other.spells_;
}

void Values::settle() {
  spells_ = 0;
  for (auto& [labels, spells] : series_) {
    std::ranges::sort(spells, {}, &Spell::first);
    std::vector<Spell> joined;
    for (const Spell& spell : spells) {
      if (!joined.empty() && spell.first <= joined.back().last + 1)
        joined.back().last = std::max(joined.back().last, spell.last);
      else
        joined.push_back(spell);
    }
    spells_ += joined.size();
    spells = std::move(joined);
  }
}

std::vector<Firing> firings(const std::vector<Spell>& spells, const HoldTimes& hold, double step) {
  const std::int64_t waits = evaluations_in(hold.for_seconds, step);
  const std::int64_t kept = evaluations_in(hold.keep_firing_for, step);
  std::vector<Firing> out;
  bool firing = false;
  for (const Spell& spell : spells) {
    // The evaluation at which it would resolve finds a value again: it goes on.
    if (firing && spell.first <= out.back().last + 1) {
      out.back().last = spell.last + kept;
      continue;
    }
    firing = spell.first + waits <= spell.last;
    if (firing) out.push_back({spell.first, spell.first + waits, spell.last + kept});
  }
  return out;
}

}  // namespace faultline::controller::observe
