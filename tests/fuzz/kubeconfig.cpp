// SPDX-License-Identifier: Apache-2.0
// Kubeconfig files, by way of a file in memory.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "kube/config.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  static const int file = memfd_create("kubeconfig", MFD_CLOEXEC);
  must(file >= 0 && ftruncate(file, 0) == 0, "there is a file in memory");
  must(pwrite(file, input.data(), input.size(), 0) == static_cast<ssize_t>(input.size()),
       "it can be written");
  (void)kube::load_kubeconfig(
      {.files = {"/proc/self/fd/" + std::to_string(file)}, .context = {}, .exec_timeout = {}})
      .has_value();
}

}  // namespace faultline::fuzz
