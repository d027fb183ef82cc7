// SPDX-License-Identifier: Apache-2.0
// The switch between the two banks that a collector's programs count into (bpf/include/cut.bpf.h):
// the one place that writes fl_cut. Not thread-safe; `shared` is mapped as long as this lives.
#pragma once

#include <atomic>

#include "base/clock.h"
#include "fault_abi.h"

namespace faultline::agent {

class CutSwitch {
 public:
  explicit CutSwitch(fl_cut& shared) : shared_(&shared) {}
  // What happens from `at` on is counted apart: it may be now, or still to come. One store.
  void at(KtimeNs at) { std::atomic_ref(shared_->at_ns).store(at.ns, std::memory_order_release); }
  // The cut has come: the next reading is of bank 0 alone.
  void come() { first_alone_ = true; }
  // Of the reading under way: is bank 1 a part of it?
  [[nodiscard]] bool reads_second() const { return !first_alone_; }
  // The reading is done. All is counted in bank 0 again, and the next reading is of both.
  void done() {
    if (!first_alone_) return;
    first_alone_ = false;
    at({});
  }

 private:
  fl_cut* shared_;
  bool first_alone_ = false;
};

}  // namespace faultline::agent
