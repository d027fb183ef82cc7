// SPDX-License-Identifier: Apache-2.0
// Which BPF objects of this process several faults or collectors share, so that no run is blamed
// for what somebody else still uses (agent/link/residue.h).
#pragma once

#include <compare>
#include <cstdint>
#include <utility>
#include <vector>

namespace faultline::agent {

enum class SharedKind { kProgram, kMap, kLink };
enum class SharedBy {
  kRuns,     // faults, and collectors that only runs ask for
  kMeasured  // each pod that is measured, whoever asked for it: runs, and --observe. Also faults
};

// Says, while it lives, that an object is shared. Thread-safe.
class SharedObject {
 public:
  SharedObject() = default;
  // `fd` is only asked for the object's id. Where that cannot be read, nothing is said.
  SharedObject(SharedKind kind, int fd, SharedBy by = SharedBy::kRuns);
  SharedObject(SharedObject&& o) noexcept
      : kind_(o.kind_), by_(o.by_), id_(std::exchange(o.id_, 0)) {}
  SharedObject& operator=(SharedObject&& o) noexcept {
    std::swap(kind_, o.kind_);
    std::swap(by_, o.by_);
    std::swap(id_, o.id_);
    return *this;
  }
  ~SharedObject();

  struct Said {
    SharedKind kind;
    std::uint32_t id;
    SharedBy by;
    friend auto operator<=>(const Said&, const Said&) = default;
  };
  [[nodiscard]] static std::vector<Said> all();

 private:
  SharedKind kind_{};
  SharedBy by_{};
  std::uint32_t id_ = 0;  // 0: none
};

}  // namespace faultline::agent
