// SPDX-License-Identifier: Apache-2.0
// Was anybody told of an alert that fired? Internal to report/detections. Pure and thread-safe.
#pragma once

#include <string>
#include <vector>

#include "api/detection.h"
#include "api/experiment.h"
#include "report/alert_episodes.h"
#include "report/alert_owners.h"
#include "report/detections.h"

namespace faultline::report {

enum class Told {
  told,        // a notification arrived
  not_told,    // it could not be told, or should have arrived and did not
  unmeasured,  // by its settings it was told, but nobody who was told tells Faultline
  ambiguous,   // a notification arrived that may be of it or of another alert
  too_early,   // the record was closed before it had to be told
};
struct Delivery {
  Told told = Told::unmeasured;
  std::string reason;  // of all but told
  api::Timestamp notified, resolved_notified;
  std::vector<std::string> receivers;
  // The way whose settings count for it: to the receiver that was told first, or would have been.
  const api::AlertRoute* route = nullptr;
};

// `receiver`: who should be told; empty: any with an integration. `owners` is of all instances of
// the record, of which `instance` is one.
[[nodiscard]] Delivery delivery_of(const api::MonitoringRecord& record, const AlertOwners& owners,
                                   const Instance& instance, const Episode& episode,
                                   const std::string& receiver, const DetectionTimes& times);

}  // namespace faultline::report
