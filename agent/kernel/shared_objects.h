// SPDX-License-Identifier: Apache-2.0
// Which BPF objects of this process several faults share, so that no run is blamed for what another
// one still uses (agent/link/residue.h).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace faultline::agent {

enum class SharedKind { kProgram, kMap, kLink };

// Says, while it lives, that an object is shared. Thread-safe.
class SharedObject {
 public:
  SharedObject() = default;
  // `fd` is only asked for the object's id. Where that cannot be read, nothing is said.
  SharedObject(SharedKind kind, int fd);
  SharedObject(SharedObject&& o) noexcept : kind_(o.kind_), id_(std::exchange(o.id_, 0)) {}
  SharedObject& operator=(SharedObject&& o) noexcept {
    std::swap(kind_, o.kind_);
    std::swap(id_, o.id_);
    return *this;
  }
  ~SharedObject();

  [[nodiscard]] static std::vector<std::pair<SharedKind, std::uint32_t>> all();

 private:
  SharedKind kind_{};
  std::uint32_t id_ = 0;  // 0: none
};

}  // namespace faultline::agent
