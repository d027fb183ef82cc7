// SPDX-License-Identifier: Apache-2.0
// Where a few fields of the kernel's types lie, as a BTF of their own. An object that asks for no
// others (CO-RE) is loaded by it without libbpf reading the kernel's whole BTF, which takes about
// 30 ms and 10 MB each time.
#pragma once

#include <string>
#include <vector>

#include "agent/kernel/fd.h"
#include "base/result.h"

namespace faultline::agent {

// Not thread-safe to make; path() may be used from any thread while it lives.
class KernelFields {
 public:
  struct Field {
    std::string type, name;  // {"sock", "sk_err"}: an integer, in the struct or in what has no name
  };
  // Fields of one type one after the other. Errors: kUnsupported where the kernel has no BTF,
  // kNotFound for no such type or integer.
  static Result<KernelFields> read(const std::vector<Field>& fields);

  // For Skeleton::open(), in this process.
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

 private:
  explicit KernelFields(Fd file) : file_(std::move(file)) {}
  Fd file_;
};

}  // namespace faultline::agent
