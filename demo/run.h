// SPDX-License-Identifier: Apache-2.0
// `faultline run`, seen by the person as it goes, and what it leaves. For the main thread only.
#pragma once

#include <string>
#include <vector>

#include "api/report.h"
#include "demo/acts.h"

namespace faultline::demo {

struct Ran {
  int status = 0;  // exit code
  api::Report report;
};

// Runs experiment `name` on the shop, with these words more. Throws Interrupted, and
// std::runtime_error when it leaves no report that can be read.
Ran run(const Stage& stage, const std::string& name, const std::vector<std::string>& more = {});

// What is in the file; empty: it cannot be read.
[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace faultline::demo
