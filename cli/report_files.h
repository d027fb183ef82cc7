// SPDX-License-Identifier: Apache-2.0
// Reports and what a command keeps, as files.
#pragma once

#include <string>
#include <string_view>

#include "cli/controller_api.h"

namespace faultline::cli {

// Writes the file whole or not at all: a reader, a crash and a full disk leave the one before.
// Errors are the system's, with the path.
[[nodiscard]] Result<> replace_file(const std::string& path, std::string_view text);

// Fetches report.md and report.html of a run and writes them into `folder`, which is made if need
// be, beside report.json, whose text is `json` (of ControllerApi::report_text(): who shows the same
// report asks once, since a run that is being stored tells its times to the nanosecond before and
// to the microsecond after); each file is replaced whole. Returns the path of report.html.
[[nodiscard]] Result<std::string> write_report(const ControllerApi& api, const std::string& run,
                                               const std::string& folder, const std::string& json);

}  // namespace faultline::cli
