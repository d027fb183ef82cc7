// SPDX-License-Identifier: Apache-2.0
// A file in which functions are looked for: it is whatever the pod that has it made it.
#include "agent/kernel/elf_functions.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "agent/kernel/fd.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  static constexpr std::array<std::string_view, 2> kNames{"SSL_read", "SSL_write"};
  const agent::Fd file(::memfd_create("fuzz", MFD_CLOEXEC));
  must(file.valid() &&
           ::write(file.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size()),
       "a file in memory");
  const auto found = agent::functions_in(file.get(), kNames);
  must(!found || found->size() <= kNames.size(), "only what was asked for is found");
}

}  // namespace faultline::fuzz
