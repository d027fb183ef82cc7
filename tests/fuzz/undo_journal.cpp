// SPDX-License-Identifier: Apache-2.0
// Files of the undo journal, which a crash may have left half. The source is included for the
// functions that only it sees: nothing is undone.
#include "agent/kernel/undo_journal.cpp"  // NOLINT(bugprone-suspicious-include)

#include <sys/mman.h>

#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  static const int file = memfd_create("undo", MFD_CLOEXEC);
  must(file >= 0 && ftruncate(file, 0) == 0, "there is a file in memory");
  must(pwrite(file, input.data(), input.size(), 0) == static_cast<ssize_t>(input.size()),
       "it can be written");
  const auto fields = agent::read_fields("/proc/self/fd/" + std::to_string(file));
  (void)agent::filter_in(fields);
  (void)agent::qdisc_in(fields);
}

}  // namespace faultline::fuzz
