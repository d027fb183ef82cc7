// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/sweep.h"

#include <bpf/bpf.h>

#include <array>
#include <utility>

namespace faultline::agent {

Result<> run_sweep(int program_fd) {
  std::array<char, 64> packet{};
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = packet.data();
  options.data_size_in = packet.size();
  if (const int rc = bpf_prog_test_run_opts(program_fd, &options); rc != 0)
    return fail(from_libbpf(rc, "cannot look for requests that ended"));
  return {};
}

void add_gap(std::vector<api::Gap>& gaps, std::string metric, std::string reason) {
  api::Gap gap;
  gap.metric = std::move(metric);
  gap.reason = std::move(reason);
  gaps.push_back(std::move(gap));
}

}  // namespace faultline::agent
