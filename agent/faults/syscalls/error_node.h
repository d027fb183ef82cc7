// SPDX-License-Identifier: Apache-2.0
// The programs of syscallError on this node, which all its armed faults share: one program a
// system call or security hook, however many pods. It is made when the first fault is armed and
// goes, with all that is loaded, when the last one goes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/faults/syscalls/call_slots.h"
#include "agent/faults/syscalls/plan.h"
#include "agent/kernel/fd.h"
#include "agent/kernel/link.h"
#include "agent/kernel/shared_objects.h"
#include "agent/kernel/skeleton.h"
#include "syscall_error.skel.h"

namespace faultline::agent {

// Thread-safe.
class SyscallErrorNode {
 public:
  // The one of this process; made, with nothing loaded, where no fault has it. A forked child gets
  // one of its own.
  static std::shared_ptr<SyscallErrorNode> get();

  // Where programs are attached: "__x64_sys_openat", "file_open", "security_file_open".
  using Places = std::vector<std::string>;

  // Has a program at each place that these calls need; those that are there already are used.
  // `lsm`: security hooks by LSM programs, else by fmod_ret on security_*. Errors: with the name of
  // what could not be loaded or attached; then nothing has changed.
  Result<Places> join(const std::vector<PlannedCall>& calls, bool lsm);
  // The last to leave a place detaches its program.
  void leave(const Places& places);
  // Calls that the kernel did not show to the programs at these places since those were loaded
  // (recursion_misses()).
  [[nodiscard]] std::uint64_t missed(const Places& places) const;

  // As those of CallSlots. After the first join(), with which the maps come.
  Result<std::uint32_t> take_slot();
  [[nodiscard]] fl_call_fault& fault(std::uint32_t slot) const { return (*slots_)[slot]; }
  Result<> show(ShownFault fault);
  Result<> hide(std::uint32_t slot);
  void give_back(std::uint32_t slot);

 private:
  struct Place {
    int program = -1;  // of a skeleton, or `copy`
    Fd copy;
    SharedObject shared_program, shared_link;
    Link link;  // attached while there are users
    unsigned users = 0;
  };
  using Wanted = std::map<std::string, PlannedCall>;  // by place

  static void detach(Place& place);
  static std::string place_of(const PlannedCall& call, bool lsm);
  void enter(const std::string& place, int program);
  Result<> load(const Wanted& missing, bool lsm);
  Result<> load_object(const std::vector<PlannedCall>& calls, bool lsm);
  Result<> share_maps(syscall_error_bpf& object) const;

  mutable std::mutex mutex_;
  // The first owns the maps; the program of one of them on a call is the one that copies are made
  // of. In this order: links go before programs, slots before maps.
  std::vector<Skeleton<syscall_error_bpf>> objects_;
  const bpf_program* on_call_ = nullptr;
  std::optional<CallSlots> slots_;
  std::vector<SharedObject> shared_maps_;
  std::map<std::string, Place> places_;
};

}  // namespace faultline::agent
