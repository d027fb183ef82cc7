// SPDX-License-Identifier: Apache-2.0
// The game days of docs/examples/gamedays/, each on a shop and with a monitoring of its own, held
// against what the stopwatch and Prometheus saw. They return whether all was as the README of the
// day says; they throw Interrupted, and std::runtime_error when something cannot be run.
#pragma once

#include <string>
#include <vector>

namespace faultline::demo {

// Who is killed in the middle of a step, and by whom the day has to go on or to be told truthfully.
enum class Killed { kNobody, kController, kAgent };

struct DayStage {
  std::string programs;  // folder of the executables
  std::string examples;  // folder of the folders of days
  std::string reports;   // folder that gets one folder a day
  Killed killed = Killed::kNobody;
};

[[nodiscard]] const std::vector<std::string>& day_names();
// Only slow-dependency has somebody killed.
bool play_day(const DayStage& stage, const std::string& name);

}  // namespace faultline::demo
