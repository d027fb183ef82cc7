// SPDX-License-Identifier: Apache-2.0
// The earliest that an alert can fire, from the settings of the monitoring and from what its
// expression really gave. Pure and thread-safe. All times and lengths are seconds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/monitoring_record.h"

namespace faultline::report {

// From the first evaluation that finds the expression true to the one that lets the alert fire:
// `for`, rounded up to whole evaluation intervals. 0 without `for`.
[[nodiscard]] double for_on_grid(const api::AlertRule& rule);

// What the expression gave at one time.
struct ExpressionSample {
  double at = 0;  // since the first injected event
  bool holds = false;
};

// Since the first injected event: when the expression was true first and stayed so for as long as
// the alert needs, or up to the last sample. `samples` are in order of time. A time between two
// samples is not seen: the result is at most one distance of samples late. Empty: never.
[[nodiscard]] std::optional<double> first_true(const std::vector<ExpressionSample>& samples,
                                               double needed);

// The earliest firing of a rule whose series were like those of this run, whatever the grids of
// scrapes and evaluations: the scrape comes with the first event (`first_scrape`: it came so much
// later), and an evaluation as soon as the expression is true.
[[nodiscard]] std::optional<double> earliest_firing(const api::AlertRule& rule,
                                                    const std::vector<ExpressionSample>& samples,
                                                    std::optional<double> first_scrape);

// Whether an alert could fire for a fault of this length, known before the run.
struct CouldFire {
  bool possible = true;  // false: no alignment of the grids lets it fire, or not in time
  double earliest = 0;   // since the first injected event, with the best alignment
  double enough = 0;     // a fault of this length lets it fire whatever the alignment, if its
                         // expression is true as soon as a scrape shows the fault
  std::string reason;    // of impossible, or of one that needs luck; else empty
};
// `fault`: phases.fault. `within`: of the expectation. A rule with a range window is given the
// whole window after the fault, in which its expression can still be true.
[[nodiscard]] CouldFire could_fire(const api::AlertRule& rule, double fault,
                                   std::optional<double> within);

}  // namespace faultline::report
