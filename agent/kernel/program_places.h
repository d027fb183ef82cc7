// SPDX-License-Identifier: Apache-2.0
// Programs that several users share, each at one place of the kernel (a system call's function, a
// security hook): attached by the first who joins it, detached by the last who leaves it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/kernel/fd.h"
#include "agent/kernel/link.h"
#include "agent/kernel/shared_objects.h"
#include "base/result.h"

namespace faultline::agent {

// Not thread-safe.
class ProgramPlaces {
 public:
  // "__x64_sys_openat", "file_open", "security_file_open".
  using Names = std::vector<std::string>;

  // `of_faults`: when this process dies their links go before everything else (Fd::move_up).
  explicit ProgramPlaces(bool of_faults) : of_faults_(of_faults) {}

  [[nodiscard]] bool has(const std::string& name) const { return places_.contains(name); }
  // A loaded program, for a place that has none. The first is borrowed and outlives this.
  void enter(const std::string& name, int program_fd);
  void enter(const std::string& name, Fd program);

  // One user more at each of these places, which have programs. Errors: with the name of what could
  // not be attached; then nothing has changed.
  Result<> join(const Names& names);
  // One user less.
  void leave(const Names& names);
  // Of places on a function, which one has joined: programs of fentry run newest first, and where
  // anybody attached one after ours, ours is detached and attached again. It misses the calls that
  // begin meanwhile. Errors: with the name of what could not be attached again; it is detached.
  Result<> run_first(const Names& names);
  // Calls that the kernel did not show to the programs at these places since those were loaded
  // (recursion_misses()).
  [[nodiscard]] std::uint64_t missed(const Names& names) const;

 private:
  // In this order: the link goes before the program.
  struct Place {
    int program = -1;
    Fd own;  // where it is ours to close
    SharedObject shared_program, shared_link;
    Link link;  // attached while there are users
    unsigned users = 0;
  };
  static void detach(Place& place);
  Result<> attach(const std::string& name, Place& place) const;
  bool of_faults_;
  std::map<std::string, Place> places_;
};

}  // namespace faultline::agent
