// SPDX-License-Identifier: Apache-2.0
// What collectors with a sweep have in common: a program of theirs that user space runs once a
// window, and gaps of single metrics.
#pragma once

#include <string>
#include <vector>

#include "api/sync.h"
#include "base/result.h"

namespace faultline::agent {

// Runs a program of type tc in the kernel, by BPF_PROG_TEST_RUN. Errors: what the kernel said.
Result<> run_sweep(int program_fd);

// Appends a gap of this metric; the caller may add its share.
void add_gap(std::vector<api::Gap>& gaps, std::string metric, std::string reason);

}  // namespace faultline::agent
