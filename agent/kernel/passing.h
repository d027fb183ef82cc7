// SPDX-License-Identifier: Apache-2.0
// The table of packets on their second way (bpf/include/passing_abi.h), one for all objects of this
// process: a loss must not hit a packet again that a delay gives back.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>

#include "agent/kernel/fd.h"
#include "agent/kernel/shared_objects.h"
#include "base/result.h"

namespace faultline::agent {

// Exists while somebody holds it; never pinned. Thread-safe.
class PassingTable {
 public:
  // The one of this process, made if nobody holds it. Errors: what the kernel said.
  static Result<std::shared_ptr<const PassingTable>> of_process();
  // Who gives packets back: never 0, and never twice.
  static std::uint32_t next_owner();

  // Puts the table into an opened object that includes passing.bpf.h, before it is loaded. The
  // object does not keep the PassingTable, whose holder must. Errors: what libbpf said.
  template <class T>
  Result<> enter(T& skeleton) const {
    skeleton.rodata->fl_passing_tag = tag_;
    const int rc = bpf_map__reuse_fd(skeleton.maps.fl_passing, map_.get());
    if (rc != 0) return fail(from_libbpf(rc, "share the table of packets on their second way"));
    return {};
  }

  // What packets on their second way have in tc_index: 1 to 65535.
  [[nodiscard]] std::uint32_t tag() const { return tag_; }

  PassingTable(Fd map, std::uint32_t tag)
      : map_(std::move(map)), said_(SharedKind::kMap, map_.get(), SharedBy::kMeasured), tag_(tag) {}

 private:
  Fd map_;
  SharedObject said_;
  std::uint32_t tag_;  // 1 to 65535
};

}  // namespace faultline::agent
