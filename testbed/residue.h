// SPDX-License-Identifier: Apache-2.0
// Is anything of ours left in this kernel? Asks the kernel itself, not the agent's bookkeeping.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace faultline::testbed {

// BPF programs, maps and links named fl_* (a filter that is left keeps its program), devices named
// fl-*, processes fl-cpu, and files of the undo journal, that were not there when this was made and
// that no process outside of this test's family holds (people test on one machine).
class ResidueCheck {
 public:
  ResidueCheck();
  // What is there now: "program 12 fl_loss_to", "device fl-d5 12" (its index). While something is
  // at work, not while it ends: it looks at maps, which left() does only at last.
  [[nodiscard]] std::vector<std::string> now() const;
  // The kernel frees some objects after a grace period, and what a process beside us has just
  // closed is held by nobody until then: asks for 2 s, and returns what was there each time.
  [[nodiscard]] std::vector<std::string> left() const;

 private:
  [[nodiscard]] std::vector<std::string> unnamed() const;
  std::set<std::string> before_;
};

}  // namespace faultline::testbed
