// SPDX-License-Identifier: Apache-2.0
// Does one round after the other and says what did not hold. Not thread-safe.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "testbed/residue.h"
#include "tests/kills/checks.h"
#include "tests/kills/world.h"

namespace faultline::kills {

class Ground {
 public:
  Ground();
  // The faults that this kernel can arm; what it cannot, and why, is printed.
  [[nodiscard]] std::vector<FaultKind> possible();
  // What did not hold. Counts what was really done, see deeds().
  std::vector<std::string> play(const Round& round);
  // After the last round: no record is lost, doubled or changed since it was over, and the store is
  // sound.
  std::vector<std::string> end();
  // How often each thing was done: "kill agent".
  [[nodiscard]] const std::map<std::string, int>& deeds() const { return deeds_; }

 private:
  void do_it(const Round& round, test::Program& command, Seen& seen);
  void kill(const Round& round, test::Program& command, Seen& seen);
  void stop(const Round& round, test::Program& command, Seen& seen);
  void settle(const std::string& name, Seen& seen, std::vector<std::string>& out);
  void check_list(std::vector<std::string>& out);

  testbed::ResidueCheck residue_;
  test::Folder folder_;
  testbed::TestNetwork net_;
  testbed::TestPod pod_{net_, "k"};
  Probes probes_{pod_, net_};
  World world_;
  std::map<std::string, int> deeds_;
  std::map<std::string, std::string> over_;  // runs that are over: state and reason
  int number_ = 0;
};

}  // namespace faultline::kills
