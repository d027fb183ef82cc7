// SPDX-License-Identifier: Apache-2.0
// A test for `promtool test rules` of an alert that fired in a run, over the samples that
// Prometheus stored then. What makes the text is pure and thread-safe.
//
// promtool has one grid of samples and one of evaluations, both from time 0. So each sample is
// moved by less than one interval of its series, and an alert fires there up to a scrape and an
// evaluation earlier or later than it did. So it looks that long after the firing, and before it at
// a time when it could not even be pending.
#pragma once

#include <string>
#include <vector>

#include "api/monitoring_record.h"
#include "controller/observe/prometheus.h"

namespace faultline::controller::observe {

struct RuleTestInput {
  std::string run;
  api::AlertRule rule;
  std::vector<api::AlertChange> changes;  // of the run; those of other alerts are passed over
  api::Timestamp first_injected;
  std::vector<Series> series;  // raw samples of the rule's selectors
  Offset offset;               // of the source's clock
};

struct RuleTest {
  std::string rules_file, test_file;  // plain names: "PaymentsSlow.rules.yml"
  std::string rules, test;            // what is in them
  std::vector<std::string> notes;     // what of the rule or its data is not in them
};

// kInvalid: the alert did not fire after the first injected event; there are more series or samples
// than a test may have (kMostTestSeries, kMostTestSamples); there is no sample.
[[nodiscard]] Result<RuleTest> rule_test(const RuleTestInput& input);
inline constexpr std::size_t kMostTestSeries = 500;
inline constexpr std::size_t kMostTestSamples = 500'000;

// The time, by the controller's clock, from which a test of the rule needs samples: so long before
// the first injected event that every range and offset has them, and a bit of calm is seen.
[[nodiscard]] UtcTime rule_test_from(const api::AlertRule& rule, UtcTime first_injected);
// When the alert fired first after `first_injected`; not set: it did not.
[[nodiscard]] api::Timestamp first_firing(const std::vector<api::AlertChange>& changes,
                                          const api::AlertRule& rule,
                                          api::Timestamp first_injected);

// The raw samples of all selectors of the rule's expression, each series once. kInvalid: the
// expression is of a fixed time, reads too many series, or Prometheus refuses it; else as query().
[[nodiscard]] boost::asio::awaitable<Result<std::vector<Series>>> samples_of(Prometheus& client,
                                                                             std::string expr,
                                                                             double from,
                                                                             double to);

}  // namespace faultline::controller::observe
