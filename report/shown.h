// SPDX-License-Identifier: Apache-2.0
// Internal to report/.
#pragma once

#include "api/report.h"

namespace faultline::report {

// The report as its renderings show it: every text in it is printable() and one line, whoever wrote
// it (a purpose over several lines is read as one). What a format itself gives a meaning to (HTML,
// Markdown) is the renderer's to escape. Pure and thread-safe.
[[nodiscard]] api::Report shown(const api::Report& report);

}  // namespace faultline::report
