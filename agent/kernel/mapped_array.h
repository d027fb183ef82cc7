// SPDX-License-Identifier: Apache-2.0
// A BPF array map with BPF_F_MMAPABLE, mapped into this process: its entries are plain memory that
// programs read and write beside us. Not thread-safe itself; entries may be used from any thread.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "base/result.h"

namespace faultline::agent {

template <class T>
class MappedArray {
 public:
  // `map_fd`: an array of at least `entries` values of type T; it may be closed afterwards. Errors:
  // what the kernel said.
  static Result<MappedArray> map(int map_fd, std::size_t entries) {
    void* at = ::mmap(nullptr, entries * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (at == MAP_FAILED) return fail(from_errno(errno, "cannot map a BPF array"));
    return MappedArray(static_cast<T*>(at), entries);
  }
  MappedArray(MappedArray&& o) noexcept
      : at_(std::exchange(o.at_, nullptr)), entries_(std::exchange(o.entries_, 0)) {}
  MappedArray& operator=(MappedArray&& o) noexcept {
    std::swap(at_, o.at_);
    std::swap(entries_, o.entries_);
    return *this;
  }
  ~MappedArray() {
    if (at_ != nullptr) ::munmap(at_, entries_ * sizeof(T));
  }
  [[nodiscard]] T& operator[](std::size_t entry) const { return at_[entry]; }

 private:
  MappedArray(T* at, std::size_t entries) : at_(at), entries_(entries) {}
  T* at_;
  std::size_t entries_;
  // The kernel rounds an entry up to 8 bytes.
  static_assert(sizeof(T) % 8 == 0);
};

}  // namespace faultline::agent
