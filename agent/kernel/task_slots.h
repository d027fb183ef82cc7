// SPDX-License-Identifier: Apache-2.0
// Which slots of an object's array are in use, and which of them are on whose tasks: the user-space
// side of bpf/include/task_slots.bpf.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/kernel/ids.h"
#include "base/result.h"
#include "slots_abi.h"

namespace faultline::agent {

// A slot that programs are to ask for the tasks of a cgroup and of those below it.
struct ShownSlot {
  std::uint32_t slot;
  CgroupId cgroup;
  std::string cgroup_path;  // absolute, without a slash at its end
  std::uint32_t level;      // of the cgroup, the root's is 0
};

// What the maps should say when these slots are shown. Order of showing. Pure.
//
// The slots that a task of this cgroup is asked by: those on it and on the cgroups above it.
[[nodiscard]] std::vector<std::uint32_t> slots_on(const std::string& cgroup_path,
                                                  const std::vector<ShownSlot>& shown);
// One bit for each cgroup with a slot, for fl_cgroup_bits.
using CgroupBits = std::array<std::uint64_t, FL_CGROUP_WORDS>;
[[nodiscard]] CgroupBits bits_of(const std::vector<ShownSlot>& shown);
// The depths that programs look at, for fl_levels. Errors: kUnsupported for more than FL_LEVELS, or
// one that a byte cannot hold.
Result<std::uint64_t> pack_levels(const std::vector<ShownSlot>& shown);

// Not thread-safe; programs read and write beside it.
class TaskSlots {
 public:
  // Of a loaded object, which outlives this: the map fl_cgroups and the globals fl_levels and
  // fl_cgroup_bits; where programs sleep within slots, how many are inside of each, by slot.
  TaskSlots(int cgroups_fd, __u64& levels, __u64 (&bits)[FL_CGROUP_WORDS], __u32* inside = nullptr)
      : cgroups_fd_(cgroups_fd), levels_(&levels), bits_(bits), inside_(inside) {}

  // The number of a slot that nobody uses; what is in it is the caller's to empty. A slot that was
  // used rests until no program can be within it any more: slots are used one after the other, and
  // when all were, this waits once for the programs that run and takes back all that rest, but
  // those in which a program sleeps. Errors: kUnavailable when all FL_SLOTS are in use; what the
  // kernel said.
  Result<std::uint32_t> take();
  // From now on the tasks of the cgroup, and of those below it, are asked by the slot, after those
  // that were shown before. The slot is filled already. Errors: kUnsupported where a task would
  // have too many slots; what the kernel said; then nothing has changed.
  Result<> show(ShownSlot slot);
  // From now on no task that makes a call is. A program that runs may still be within it.
  Result<> hide(std::uint32_t slot);
  // It is hidden.
  void give_back(std::uint32_t slot) { resting_.push_back(slot); }

 private:
  Result<> write(const std::string& below, const std::vector<ShownSlot>& shown);
  void publish(std::uint64_t levels);
  void free_rested();

  int cgroups_fd_;
  __u64 *levels_, *bits_;
  __u32* inside_;                 // nullptr: no program sleeps
  std::vector<ShownSlot> shown_;  // order of showing
  std::uint32_t next_ = 0;        // slots from here on were never used
  std::vector<std::uint32_t> free_, resting_;
};

}  // namespace faultline::agent
