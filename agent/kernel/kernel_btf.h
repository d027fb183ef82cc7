// SPDX-License-Identifier: Apache-2.0
// The functions that the kernel's BTF names. Reading it takes about 30 ms and 10 MB, so what was
// looked up once is remembered for the life of the process, and the BTF is read where a name is
// asked for the first time. Make one where several are looked up, and let it go. Not thread-safe;
// several may be used at once.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct btf;

namespace faultline::agent {

class KernelBtf {
 public:
  // Errors: as the kernel says, kUnsupported where it has no BTF.
  static Result<KernelBtf> load();
  // The id of a function; -1: the kernel has none of that name, or its BTF cannot be read any more.
  [[nodiscard]] int function(const std::string& name) const;

 private:
  struct Free {
    void operator()(btf* b) const;
  };
  explicit KernelBtf(btf* b) : btf_(b) {}
  mutable std::unique_ptr<btf, Free> btf_;  // nullptr: not read yet
};

}  // namespace faultline::agent
