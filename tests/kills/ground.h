// SPDX-License-Identifier: Apache-2.0
// What one worker plays on: a pod, a controller, an agent and a store of its own. Does one round
// after the other and says what did not hold. Not thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/kills/checks.h"
#include "tests/kills/crew.h"
#include "tests/kills/world.h"

namespace faultline::kills {

class Ground {
 public:
  // `seat` outlives it.
  explicit Ground(Seat& seat);
  // The faults that this kernel can arm; what it cannot, and why, is printed by the first worker.
  [[nodiscard]] std::vector<FaultKind> possible();
  // What did not hold. Counts what was really done, and waits while the crew looks for what is
  // left.
  std::vector<std::string> play(const Round& round);
  // After the last round: no record is lost, doubled or changed since it was over, and the store is
  // sound.
  std::vector<std::string> end();

 private:
  void do_it(const Round& round, test::Program& command, Seen& seen);
  void kill(const Round& round, test::Program& command, Seen& seen);
  void stop(const Round& round, test::Program& command, Seen& seen);
  void settle(const std::string& name, const test::Program& command, Seen& seen,
              std::vector<std::string>& out);
  void check_agent(const Seen& seen, std::vector<std::string>& out);
  void check_list(std::vector<std::string>& out);

  Seat& seat_;
  test::Folder folder_;
  testbed::TestNetwork net_;
  testbed::TestPod pod_{net_, "k"};
  Probes probes_{pod_, net_};
  World world_;
  std::map<std::string, std::string> over_;  // runs that are over: state and reason
  int number_ = 0;
};

}  // namespace faultline::kills
