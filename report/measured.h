// SPDX-License-Identifier: Apache-2.0
// What is known of a metric under the fault, and what is not. Pure and thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/metrics.h"
#include "api/run_record.h"

namespace faultline::report {

// What of a metric was not measured in the fault phase on some pods.
struct Missing {
  std::string blind;   // "not measured on shop/x: several requests at once"; else empty
  std::string partly;  // "312 of 4 100 not measured on shop/x: several requests at once"
  double missed = 0;   // of these `of`, over all pods and windows
  double of = 0;
};

// Every pod of the run by id, with what windows say of pods that the run does not list.
[[nodiscard]] std::map<std::string, api::PodRef> pods_of(const api::RunRecord& record);
// Whether a selector means the pod; an empty one means every target and observed pod.
[[nodiscard]] bool selects(const api::Selector& selector, const api::PodRef& pod,
                           api::PodRole role);

// A gap without numbers makes the metric `blind`: one of that metric always, one of the whole pod
// or node where no window covers its time. `gaps`: of the record, or gaps_of() of a run that is
// over. What lies before `since` does not count.
[[nodiscard]] Missing missing_of(const api::RunRecord& record, const std::vector<api::Gap>& gaps,
                                 const api::Selector& selector, std::string_view metric,
                                 UtcTime since = {});

}  // namespace faultline::report
