// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/program_grace.h"

#include <bpf/bpf.h>

#include "agent/kernel/fd.h"

namespace faultline::agent {

// The kernel promises it to whoever changes a map of maps (maybe_wait_bpf_programs() of
// kernel/bpf/syscall.c). membarrier(2) would not do: with one CPU it waits for nobody.
Result<> wait_for_programs() {
  constexpr int kNumber = sizeof(std::uint32_t);
  const Fd inner(
      bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_grace_inner", kNumber, kNumber, 1, nullptr));
  if (!inner.valid()) return fail(from_libbpf(inner.get(), "cannot make a map to wait by"));
  LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = static_cast<std::uint32_t>(inner.get()));
  const Fd outer(
      bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "fl_grace", kNumber, kNumber, 1, &opts));
  if (!outer.valid()) return fail(from_libbpf(outer.get(), "cannot make a map to wait by"));
  const std::uint32_t zero = 0;
  const int fd = inner.get();
  if (const int rc = bpf_map_update_elem(outer.get(), &zero, &fd, BPF_ANY); rc != 0)
    return fail(from_libbpf(rc, "cannot wait for the programs that run"));
  return {};
}

}  // namespace faultline::agent
