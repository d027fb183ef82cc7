// SPDX-License-Identifier: Apache-2.0
// A stored run to its report and to everything a person reads of it.
#include "report/report.h"

#include "api/codec.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  const auto record = api::from_json_text<api::RunRecord>(input);
  if (!record) return;
  const api::Report built = report::build(*record);
  const std::string markdown = report::to_markdown(built);
  must(markdown.find('\x1b') == std::string::npos, "no terminal escape is in Markdown");
  (void)report::to_html(built, *record).size();
  const std::string terminal = report::to_terminal(built, false);
  must(terminal.find('\x1b') == std::string::npos, "no escape of others reaches a terminal");
  (void)report::exit_code(built);
  (void)api::from_json_text<api::Report>(api::to_json_text(built)).has_value();
}

}  // namespace faultline::fuzz
