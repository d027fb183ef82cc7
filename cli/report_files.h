// SPDX-License-Identifier: Apache-2.0
// Reports as files.
#pragma once

#include <string>

#include "cli/controller_api.h"

namespace faultline::cli {

// Fetches report.json, report.md and report.html of a run and writes them into `folder`, which is
// made if need be; each file is replaced whole. Returns the path of report.html.
[[nodiscard]] Result<std::string> write_report(const ControllerApi& api, const std::string& run,
                                               const std::string& folder);

}  // namespace faultline::cli
