// SPDX-License-Identifier: Apache-2.0
// What a run would do: the answer to POST /api/v1/experiments?dryRun=true. Nothing was started.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <string>
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

struct RunPlan {
  std::int64_t matching = 0;  // pods that match the target selector and are not protected
  std::int64_t allowed = 0;   // how many of them the limits let be targets
  std::vector<PodRef> targets;
  std::vector<PodRef> observed;
  std::vector<PodRef> control;
  Mode mode = Mode::one;
  Limits limit;
  std::vector<UnsupportedFault> unsupported;  // empty: the run can start
};
BOOST_DESCRIBE_STRUCT(RunPlan, (),
                      (matching, allowed, targets, observed, control, mode, limit, unsupported))

}  // namespace faultline::api
