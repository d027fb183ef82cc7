// SPDX-License-Identifier: Apache-2.0
#include "cli/outcome.h"

#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/report_files.h"
#include "cli/text.h"
#include "report/report.h"

namespace faultline::cli {

Result<FinishedRun> finish_run(const ControllerApi& api, const std::string& run,
                               const std::string& folder, Print print, Console& console) {
  const auto text = api.report_text(run, "json");
  if (!text) return fail(text.error());
  auto report = api::from_json_text<api::Report>(*text);
  if (!report) return fail(report.error().with_context("the controller sent no report"));
  const int code = report::exit_code(*report);
  if (print == Print::kText)
    console.out << "\n" << report::to_terminal(*report, console.color) << std::flush;
  Result<std::string> page;
  if (!folder.empty()) page = write_report(api, run, folder, *text);
  if (print == Print::kJson) {
    boost::json::object answer{{"run", run}, {"exitCode", code}, {"folder", nullptr}};
    if (page && !folder.empty()) answer["folder"] = folder;
    answer["report"] = api::to_json(*report);
    print_json(console.out, answer);
  } else if (print == Print::kText && page && !folder.empty()) {
    console.out << "  report       " << printable(*page) << "\n" << std::flush;
  }
  if (!page) print_error(console, page.error(), false, {});
  return FinishedRun{code, std::move(*report)};
}

}  // namespace faultline::cli
