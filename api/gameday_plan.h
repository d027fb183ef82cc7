// SPDX-License-Identifier: Apache-2.0
// What a game day would do: the answer to POST /api/v1/gamedays?dryRun=true. Nothing was started.
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <vector>

#include "api/gameday.h"
#include "api/plan.h"

namespace faultline::api {

// Of a step with an experiment, or of the first cell of each row of a sweep.
struct StepPlan {
  std::string step;
  std::string experiment;  // its name
  std::optional<RunPlan> plan;
  std::string problem;  // why it could not begin now; empty: it could
};
BOOST_DESCRIBE_STRUCT(StepPlan, (), (step, experiment, plan, problem))

struct GameDayPlan {
  double leastSeconds = 0;  // phases, pauses and rests; people take no time
  std::vector<StepPlan> steps;
  std::vector<PodRef> hit;           // the targets of all steps, each pod once
  std::vector<std::string> sources;  // of the monitoring, as the controller has them
  std::vector<std::string> notes;    // what a person should know before
};
BOOST_DESCRIBE_STRUCT(GameDayPlan, (), (leastSeconds, steps, hit, sources, notes))

}  // namespace faultline::api
