// SPDX-License-Identifier: Apache-2.0
// The functions that the kernel's BTF names. Reading it takes about 30 ms and 10 MB: make one where
// several are looked up, and let it go. Not thread-safe.
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
  // The id of a function; -1: the kernel has none of that name.
  [[nodiscard]] int function(const std::string& name) const;

 private:
  struct Free {
    void operator()(btf* b) const;
  };
  explicit KernelBtf(btf* b) : btf_(b) {}
  std::unique_ptr<btf, Free> btf_;
};

}  // namespace faultline::agent
