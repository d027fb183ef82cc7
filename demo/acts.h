// SPDX-License-Identifier: Apache-2.0
// What the demo shows. Each act tells what happens and why, lets Faultline do it, and holds what
// Faultline says against a stopwatch that knows nothing of it. They return whether everything was
// shown as claimed; they throw Interrupted, and std::runtime_error when something cannot be run.
#pragma once

#include <string>

#include "demo/shop.h"

namespace faultline::demo {

struct Stage {
  const Shop& shop;
  std::string programs;     // folder of the executables
  std::string experiments;  // folder of the YAML files
  std::string reports;      // folder that gets one folder a run
};

bool slow_payments(const Stage& stage);
bool who_noticed(const Stage& stage);
bool refused_connects(const Stage& stage);
bool killed_agent(const Stage& stage);

}  // namespace faultline::demo
