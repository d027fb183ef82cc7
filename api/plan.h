// SPDX-License-Identifier: Apache-2.0
// What a run would do: the answer to POST /api/v1/experiments?dryRun=true. Nothing was started.
#pragma once

#include <algorithm>
#include <boost/describe.hpp>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/experiment.h"
#include "api/selector.h"

namespace faultline::api {

// A fault of the experiment that the agent of a node with targets cannot arm.
struct UnsupportedFault {
  std::string node;
  std::string fault;   // networkLatency
  std::string reason;  // FaultSupport::reason of that node
};
BOOST_DESCRIBE_STRUCT(UnsupportedFault, (), (node, fault, reason))

// Whether an expected alert could fire during the fault, by the rules and routes that the monitoring
// has now.
struct PlannedAlert {
  std::string alert;
  std::map<std::string, std::string> labels;  // as expected
  // False: it cannot fire in time, or nobody would be told. Null: the monitoring could not say.
  std::optional<bool> possible;
  std::optional<double> floor;  // seconds from the first injected event to the earliest firing
  std::string reason;           // why it is not possible, or not known; empty: it is possible
  std::vector<std::string> receivers;  // whom its labels lead to, with the kind of integration
  std::vector<std::string> notes;      // silences, a group that is there already, ...
};
BOOST_DESCRIBE_STRUCT(PlannedAlert, (),
                      (alert, labels, possible, floor, reason, receivers, notes))

// How many of `matching` pods the limits let be targets (docs/decisions/0002): the controller and
// the agent both ask here. The epsilon is for percentages that have no exact binary form, so that
// 58 % of 50 are 29.
[[nodiscard]] inline std::int64_t allowed_targets(const Limits& limits, std::int64_t matching) {
  const double share = std::floor(limits.maxPercent * static_cast<double>(matching) / 100 + 1e-9);
  return std::min(limits.maxPods, std::max<std::int64_t>(1, static_cast<std::int64_t>(share)));
}

// Of an Experiment: RunPlan::choice of the plan that a person agreed to.
inline constexpr std::string_view kChoiceNote = "faultline.dev/choice";
// Of an Experiment, "true": it runs although an alert it expects could not fire (run --anyway).
inline constexpr std::string_view kAnywayNote = "faultline.dev/anyway";
// The lease of a controller that was not told another one (--lease).
inline constexpr double kDefaultLeaseSeconds = 3;

struct RunPlan {
  std::int64_t matching = 0;  // pods that match the target selector and are not protected
  std::int64_t allowed = 0;   // how many of them the limits let be targets
  std::vector<PodRef> targets;
  std::vector<PodRef> observed;
  std::vector<PodRef> control;
  Mode mode = Mode::one;
  Limits limit;
  std::vector<UnsupportedFault> unsupported;  // empty: the run can start
  std::uint64_t seed = 0;                     // that chose: a start with ?seed= chooses by it too
  // Stands for exactly these targets on these nodes. A start with ?choice=, or with the annotation
  // kChoiceNote, is refused when it would hit others. Empty: the controller is older.
  std::string choice;
  // How long faults go on at most when an agent loses touch with this controller. 0: it is older.
  double leaseSeconds = 0;
  std::vector<PlannedAlert> alerts;  // of spec.expect.alerts, in their order
};
BOOST_DESCRIBE_STRUCT(RunPlan, (),
                      (matching, allowed, targets, observed, control, mode, limit, unsupported,
                       seed, choice, leaseSeconds, alerts))

}  // namespace faultline::api
