// SPDX-License-Identifier: Apache-2.0
// Which fault is in which slot of fl_faults, and which slots a task is asked by: the user-space
// side of bpf/include/call_faults.bpf.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/kernel/ids.h"
#include "agent/kernel/mapped_array.h"
#include "base/result.h"
#include "syscall_abi.h"

namespace faultline::agent {

// A fault that programs are to ask for the tasks of a cgroup and of those below it.
struct ShownFault {
  std::uint32_t slot;
  CgroupId cgroup;
  std::string cgroup_path;  // absolute, without a slash at its end
  std::uint32_t level;      // of the cgroup, the root's is 0
};

// What the maps should say when these faults are shown. Order of arming. Pure.
//
// The faults that a task of this cgroup is asked by: those on it and on the cgroups above it.
[[nodiscard]] std::vector<std::uint32_t> slots_on(const std::string& cgroup_path,
                                                  const std::vector<ShownFault>& shown);
// One bit for each cgroup with a fault, for fl_cgroup_bits.
using CgroupBits = std::array<std::uint64_t, FL_CGROUP_WORDS>;
[[nodiscard]] CgroupBits bits_of(const std::vector<ShownFault>& shown);
// The depths that programs look at, for fl_levels. Errors: kUnsupported for more than FL_LEVELS, or
// one that a byte cannot hold.
Result<std::uint64_t> pack_levels(const std::vector<ShownFault>& shown);

// Not thread-safe; programs read and write beside it.
class CallSlots {
 public:
  // Maps and globals of a loaded object, which outlives this: fl_faults, fl_cgroups, fl_levels,
  // fl_cgroup_bits.
  static Result<CallSlots> map(int faults_fd, int cgroups_fd, __u64& levels,
                               __u64 (&bits)[FL_CGROUP_WORDS]);

  // An empty slot. A slot that was used rests until no program can be within it any more: slots
  // are used one after the other, and when all were, this waits once for the programs that run and
  // takes back all that rest. Errors: kUnavailable when all FL_CALL_FAULTS are in use; what the
  // kernel said.
  Result<std::uint32_t> take();
  [[nodiscard]] fl_call_fault& operator[](std::uint32_t slot) const { return faults_[slot]; }
  // From now on the tasks of the fault's cgroup, and of those below it, are asked by it, after
  // those that were shown before. The slot is filled already. Errors: kUnsupported where a task
  // would have too many faults; what the kernel said; then nothing has changed.
  Result<> show(ShownFault fault);
  // From now on no task that makes a call is. A program that runs may still be within it.
  Result<> hide(std::uint32_t slot);
  // It is hidden.
  void give_back(std::uint32_t slot) { resting_.push_back(slot); }

 private:
  CallSlots(MappedArray<fl_call_fault> faults, int cgroups_fd, __u64& levels, __u64* bits)
      : faults_(std::move(faults)), cgroups_fd_(cgroups_fd), levels_(&levels), bits_(bits) {}
  Result<> write(const std::string& below, const std::vector<ShownFault>& shown);
  void publish(std::uint64_t levels);

  MappedArray<fl_call_fault> faults_;
  int cgroups_fd_;
  __u64 *levels_, *bits_;
  std::vector<ShownFault> shown_;  // order of arming
  std::uint32_t next_ = 0;         // slots from here on were never used
  std::vector<std::uint32_t> free_, resting_;
};

}  // namespace faultline::agent
