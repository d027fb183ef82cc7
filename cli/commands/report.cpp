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
  const auto folder = call.get("report");
  auto format = call.get("format");
  if (folder && format)
    return fail(Errc::kInvalid, "--report writes every format; leave --format out");
  if (call.json()) {
    if (format && *format != "json")
      return fail(Errc::kInvalid, "--output json and --format " + *format + " exclude each other");
    if (!folder) format = "json";
  }
  const auto chosen = api->run_to_read(call.arguments[0]);
  if (!chosen) return fail(chosen.error());
  const std::string& run = *chosen;
  if (folder) {
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
