// SPDX-License-Identifier: Apache-2.0
// What the engine remembers of a node.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "controller/engine/engine.h"

namespace faultline::controller {

struct Engine::Node {
  std::string instance;
  bool described = false;  // info and pods of this instance are known
  api::NodeInfo info;
  std::vector<api::PodRef> pods;
  ClockEstimate clock;
  SteadyTime last_seen;
  UtcTime last_seen_utc;
  int held = 0;
  std::deque<std::string> retired;  // earlier instances: none of them may come back
};

}  // namespace faultline::controller
