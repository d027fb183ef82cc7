// SPDX-License-Identifier: Apache-2.0
// The end of a run as `run` and `watch` show it.
#pragma once

#include <string>

#include "cli/controller_api.h"

namespace faultline::cli {

// Fetches the report, prints it (for programs: {"run", "exitCode", "folder", "report"}), writes its
// files into `folder` unless that is empty, and returns the exit code of the verdict.
[[nodiscard]] Result<int> finish_run(const ControllerApi& api, const std::string& run,
                                     const std::string& folder, bool json, Console& console);

}  // namespace faultline::cli
