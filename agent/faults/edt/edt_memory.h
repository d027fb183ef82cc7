// SPDX-License-Identifier: Apache-2.0
// How much the packets of all EDT lines of this process hold: one figure that their programs count
// into (bpf/include/edt_abi.h), beside what each line counts for itself. It is memory of the
// kernel, which is nobody's by cgroup: without a bound of all together each pod's line could take
// as much of the node. Its limit is that of PacketBudget.
#pragma once

#include <bpf/libbpf.h>
#include <linux/types.h>

#include <cstdint>
#include <memory>

#include "agent/kernel/fd.h"
#include "agent/kernel/mapped_array.h"
#include "agent/kernel/shared_objects.h"
#include "base/result.h"

namespace faultline::agent {

// Exists while somebody holds it; never pinned. Thread-safe.
class EdtMemory {
 public:
  // The one of this process, made if nobody holds it. Errors: what the kernel said.
  static Result<std::shared_ptr<const EdtMemory>> of_process();

  // Puts the figure into an opened object that has a map fl_edt_held, before it is loaded. The
  // object does not keep the EdtMemory, whose holder must. Errors: what libbpf said.
  template <class T>
  Result<> enter(T& skeleton) const {
    const int rc = bpf_map__reuse_fd(skeleton.maps.fl_edt_held, map_.get());
    if (rc != 0) return fail(from_libbpf(rc, "share how much packets that wait may hold"));
    return {};
  }
  // Bytes that packets hold now.
  [[nodiscard]] std::int64_t held() const;
  void give_back(std::int64_t bytes) const;

  EdtMemory(Fd map, MappedArray<std::int64_t> bytes)
      : map_(std::move(map)), said_(SharedKind::kMap, map_.get()), bytes_(std::move(bytes)) {}

 private:
  Fd map_;
  SharedObject said_;
  MappedArray<std::int64_t> bytes_;
};

// Gives back, at its end, what a line that has ended counted and no packet will take off any more:
// those that were lost with its device.
class EdtRest {
 public:
  // `left`: what the line still holds by its own count, in memory that lives longer than this.
  EdtRest(std::shared_ptr<const EdtMemory> memory, const __s64* left)
      : memory_(std::move(memory)), left_(left) {}
  EdtRest(const EdtRest&) = delete;
  EdtRest& operator=(const EdtRest&) = delete;
  ~EdtRest() { memory_->give_back(*left_); }

 private:
  std::shared_ptr<const EdtMemory> memory_;
  const __s64* left_;
};

}  // namespace faultline::agent
