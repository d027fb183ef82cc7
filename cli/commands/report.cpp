// SPDX-License-Identifier: Apache-2.0
#include "report/report.h"

#include <boost/json.hpp>
#include <ostream>

#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/report_files.h"
#include "cli/text.h"

namespace faultline::cli {

Result<int> run_report(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const std::string& run = call.arguments[0];
  const auto folder = call.get("report");
  auto format = call.get("format");
  if (folder) {
    if (format) return fail(Errc::kInvalid, "--report writes every format; leave --format out");
    const auto text = api->report_text(run, "json");
    if (!text) return fail(text.error());
    const auto page = write_report(*api, run, *folder, *text);
    if (!page) return fail(page.error());
    if (call.json())
      print_json(console.out, boost::json::object{{"run", run}, {"folder", *folder}});
    else
      console.out << printable(*page) << "\n";
    return kExitMet;
  }
  if (call.json()) {
    if (format && *format != "json")
      return fail(Errc::kInvalid, "--output json and --format " + *format + " exclude each other");
    format = "json";
  }
  if (format) {
    const auto text = api->report_text(run, *format);
    if (!text) return fail(text.error());
    // The controller made it printable; this one may be another controller.
    console.out << (*format == "json" ? printable_json(*text) : printable_lines(*text))
                << (text->ends_with('\n') ? "" : "\n");
    return kExitMet;
  }
  const auto report = api->report(run);
  if (!report) return fail(report.error());
  console.out << report::to_terminal(*report, console.color);
  return kExitMet;
}

}  // namespace faultline::cli
