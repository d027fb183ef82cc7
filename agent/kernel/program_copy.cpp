// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/program_copy.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <vector>

#include "agent/kernel/libbpf_log.h"

namespace faultline::agent {

// After the load libbpf's instructions are those the kernel was given: relocated, with the
// descriptors of the maps.
Result<Fd> load_copy(const bpf_program* loaded, int function_id) {
  LIBBPF_OPTS(bpf_prog_load_opts, opts,
              .expected_attach_type = bpf_program__expected_attach_type(loaded),
              .prog_flags = bpf_program__flags(loaded),
              .attach_btf_id = static_cast<std::uint32_t>(function_id));
  const auto attempt = [&] {
    return bpf_prog_load(bpf_program__type(loaded), bpf_program__name(loaded), "GPL",
                         bpf_program__insns(loaded), bpf_program__insn_cnt(loaded), &opts);
  };
  int fd = attempt();
  if (fd >= 0) return Fd(fd);
  std::vector<char> log(65536);
  opts.log_level = 1;
  opts.log_buf = log.data();
  opts.log_size = static_cast<std::uint32_t>(log.size());
  fd = attempt();
  if (fd >= 0) return Fd(fd);
  Error error = from_libbpf(fd, std::string("cannot load ") + bpf_program__name(loaded));
  if (const std::string reason = verifier_reason(log.data()); !reason.empty())
    error.message += ": " + reason;
  return fail(std::move(error));
}

}  // namespace faultline::agent
