// SPDX-License-Identifier: Apache-2.0
// What Prometheus stored, as parts of the record. Pure and thread-safe. Times in seconds are of the
// source's clock, Timestamps of the controller's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/experiment.h"
#include "api/monitoring_record.h"
#include "api/sync.h"
#include "controller/observe/prometheus.h"
#include "controller/observe/rules.h"

namespace faultline::controller::observe {

// Is given one value after the other, of which it may keep a copy. False: it wants no more.
template <class T>
using Take = std::function<bool(const T&)>;

// The changes of each instance of an alert that is `wanted` (its labels with alertname), from the
// raw samples of ALERTS up to `end`. An instance whose samples stop is inactive from the evaluation
// that gave none. `rules` tell the intervals; of an alert without a rule the shortest distance of
// its samples is taken. However many there are, only one is in memory at a time. False: `take` did
// not want all of them.
bool changes_of(const std::vector<Series>& alerts, const std::vector<api::AlertRule>& rules,
                const std::string& source, const Offset& offset, double end,
                const std::function<bool(const Labels&)>& wanted,
                const Take<api::AlertChange>& take);

// A time at which the rules of this group were evaluated, from the same samples: exact where
// AlertRule::lastEvaluation is some milliseconds late. Empty: no alert of the group had a sample.
[[nodiscard]] std::optional<double> grid_of(const std::vector<Series>& alerts,
                                            const std::vector<api::AlertRule>& rules,
                                            const api::AlertRule& rule);

// Whether a series of a rule's expression becomes an alert with all the wanted labels; those of the
// rule are added to the series' own, as Prometheus does. A label that the rule makes from a
// template is not known and decides nothing.
[[nodiscard]] bool instance_has(const api::AlertRule& rule, const Labels& series,
                                const Labels& wanted);

// How many series of a range query had, at each of the times from..to by step, all labels that are
// wanted: instance_has().
[[nodiscard]] std::vector<api::AlertEvaluation> evaluations_of(
    const std::vector<Series>& series, const api::AlertRule& rule, const Labels& wanted,
    std::int64_t expected, double from, double to, double step, bool on_grid, const Offset& offset);
// Leaves the first of each run of equal answers.
void only_changes(std::vector<api::AlertEvaluation>& evaluations);

// The scrapes that raw samples of `up` tell of, one at a time as of changes_of().
bool scrapes_of(const std::vector<Series>& up, const std::string& source, const Offset& offset,
                const Take<api::ScrapeSample>& take);

// `histogram_quantile(0.99, INNER)`, taken apart; empty: it is something else.
struct QuantileQuery {
  double quantile = 0;
  std::string buckets;  // INNER
};
[[nodiscard]] std::optional<QuantileQuery> quantile_query(std::string_view promql);
struct Bucket {
  double low = 0;
  std::optional<double> high;  // empty: it has no upper edge
};
// The bucket that the quantile lies in, from the answer to INNER. Empty: there is no histogram, or
// there are several.
[[nodiscard]] std::optional<Bucket> bucket_of(const std::vector<Series>& buckets, double quantile);

// A regular expression for a matcher of PromQL that any of the words matches, in quotes.
[[nodiscard]] std::string any_of(const std::vector<std::string>& words);

}  // namespace faultline::controller::observe
