// SPDX-License-Identifier: Apache-2.0
#include "report/floor.h"

#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/promql.h"

namespace faultline::report {

double for_on_grid(const api::AlertRule& rule) {
  if (!(rule.forSeconds > 0)) return 0;
  if (!(rule.evaluationInterval > 0)) return rule.forSeconds;
  // Times of a grid are whole nanoseconds; the rounding of doubles must not cost a whole interval.
  return std::ceil(rule.forSeconds / rule.evaluationInterval - 1e-9) * rule.evaluationInterval;
}

std::optional<double> first_true(const std::vector<ExpressionSample>& samples, double needed) {
  std::optional<double> since;
  for (const ExpressionSample& sample : samples) {
    if (!sample.holds) {
      since.reset();
      continue;
    }
    if (sample.at < 0) continue;  // it was true before: then the first time from 0 on counts
    if (!since) since = sample.at;
    if (sample.at - *since >= needed) return since;
  }
  return since;
}

std::optional<double> earliest_firing(const api::AlertRule& rule,
                                      const std::vector<ExpressionSample>& samples,
                                      std::optional<double> first_scrape) {
  const double needed = for_on_grid(rule);
  const auto since = first_true(samples, needed);
  if (!since) return std::nullopt;
  return std::max(0.0, *since - std::max(0.0, first_scrape.value_or(0))) + needed;
}

CouldFire could_fire(const api::AlertRule& rule, double fault, std::optional<double> within) {
  const double scrape = rule.scrapeInterval.value_or(0);
  const double needed = for_on_grid(rule);
  CouldFire out;
  out.earliest = needed;
  out.enough = scrape + rule.evaluationInterval + needed;
  // What a scrape found stays until the next one, and a range holds it for its whole window.
  const double longest = fault + scrape + rule.longestWindow;
  std::string settings = "for " + promql_duration_words(rule.forSeconds);
  if (rule.evaluationInterval > 0)
    settings += ", evaluation interval " + promql_duration_words(rule.evaluationInterval);
  if (rule.scrapeInterval) settings += ", scrape_interval " + promql_duration_words(scrape);
  if (!rule.problem.empty()) {
    out.possible = false;
    out.reason = rule.problem;
  } else if (needed > longest) {
    out.possible = false;
    out.reason = "needs at least " + exact_seconds_words(needed) + " (" + settings +
                 "); the fault is " + exact_seconds_words(fault) + ": set phases.fault to " +
                 exact_seconds_words(out.enough);
  } else if (within && needed > *within) {
    out.possible = false;
    out.reason = "cannot fire before " + exact_seconds_words(needed) + " (" + settings +
                 "); it is expected within " + exact_seconds_words(*within);
  } else if (out.enough > fault) {
    out.reason = "needs up to " + exact_seconds_words(out.enough) + " (" + settings +
                 "); the fault is " + exact_seconds_words(fault) +
                 ": whether it fires depends on when the fault begins";
  }
  return out;
}

}  // namespace faultline::report
