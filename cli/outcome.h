// SPDX-License-Identifier: Apache-2.0
// The end of a run as `run` and `watch` show it.
#pragma once

#include <string>

#include "cli/controller_api.h"

namespace faultline::cli {

struct FinishedRun {
  int code = 0;  // the verdict's exit code
  api::Report report;
};

// How a report is printed: not at all, for people, or as the document
// {"run", "exitCode", "folder", "report"}.
enum class Print { kNothing, kText, kJson };

// Fetches the report, prints it and writes its files into `folder` unless that is empty. Files that
// cannot be written are told on `err`, and are no error: the verdict is worth more.
[[nodiscard]] Result<FinishedRun> finish_run(const ControllerApi& api, const std::string& run,
                                             const std::string& folder, Print print,
                                             Console& console);

}  // namespace faultline::cli
