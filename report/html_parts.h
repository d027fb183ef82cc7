// SPDX-License-Identifier: Apache-2.0
// Pieces of the HTML report. Pure and thread-safe. All of them escape what they are given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/run_record.h"

namespace faultline::report {

// Safe between tags and inside a quoted attribute.
[[nodiscard]] std::string escape(std::string_view text);

// Our own sentences: escaped, with a true plus-minus and micro sign, and numbers that do not break.
[[nodiscard]] std::string typeset(std::string_view text);

// A page up to its style sheet, for which the browser itself refuses any request. `title` is text;
// `scripts`: what is in the page may run.
[[nodiscard]] std::string html_head(std::string_view title, bool scripts);

// A cell holds finished HTML; use escape() for text.
struct Column {
  std::string_view name;
  bool number = false;
};
[[nodiscard]] std::string html_table(std::string_view caption, const std::vector<Column>& columns,
                                     const std::vector<std::vector<std::string>>& rows);

[[nodiscard]] std::string badge(std::string_view word,
                                std::string_view tone);  // good warn bad calm
// One injection: what was asked against what was counted, as a bar with its interval, and the
// figures in words below it.
[[nodiscard]] std::string injection_card(const api::InjectionReport& row, const api::Fault* fault);

// "Did anyone notice?": a bar for each alert on the time axis of the run, and every figure as a
// table. Empty: nothing was expected of the monitoring.
[[nodiscard]] std::string noticed_parts(const api::Report& report);

// The data behind the charts and the report itself as JSON that is safe inside <script>.
[[nodiscard]] std::string html_data(const api::Report& report, const api::RunRecord& record);

}  // namespace faultline::report
