// SPDX-License-Identifier: Apache-2.0
// Processes of a test, and memory that they share with it.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <functional>
#include <new>
#include <stdexcept>
#include <utility>

namespace faultline::testbed {

// A forked child that ends with the value of its function. Killed and waited for on destruction,
// and killed by the kernel when the test dies.
class Child {
 public:
  explicit Child(const std::function<int()>& body);
  Child(Child&& o) noexcept : pid_(std::exchange(o.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child();
  // Exit code, or 128 + signal. Once.
  int wait();
  void signal(int number) const;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

// A T that the test and its children see alike. T must be fine without locks: atomics, or written
// by one side and read after wait().
template <class T>
class Shared {
 public:
  Shared() {
    void* p = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::runtime_error("mmap failed");
    value_ = new (p) T();
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { munmap(value_, sizeof(T)); }
  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

}  // namespace faultline::testbed
