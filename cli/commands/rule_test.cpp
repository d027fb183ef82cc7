// SPDX-License-Identifier: Apache-2.0
// faultline rule-test: what a run measured, as a test of an alert rule for promtool.
#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <ostream>

#include "api/alerts.h"
#include "base/printable.h"
#include "base/quoted.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/report_files.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

namespace fs = std::filesystem;

// The controller names the files; a name that leads elsewhere is none.
bool plain(const std::string& name) {
  return !name.empty() && name.size() <= 200 && name.front() != '.' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

Result<int> run_rule_test(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const auto run = api->run_to_read(call.arguments[0]);
  if (!run) return fail(run.error());
  const auto files = api->rule_test(*run, call.arguments[1]);
  if (!files) return fail(files.error());
  for (const std::string& name : {files->rulesFile, files->testFile})
    if (!plain(name))
      return fail(Errc::kInternal, "the controller names a file " + in_quotes(name));
  const fs::path folder = call.get("directory").value_or(".");
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec) return fail(from_errno(ec.value(), "cannot make the folder " + folder.string()));
  const fs::path rules = folder / files->rulesFile, test = folder / files->testFile;
  if (auto written = replace_file(rules.string(), files->rules); !written)
    return fail(written.error());
  if (auto written = replace_file(test.string(), files->test); !written)
    return fail(written.error());
  if (call.json()) {
    boost::json::array notes;
    for (const std::string& note : files->notes) notes.emplace_back(note);
    print_json(console.out, boost::json::object{{"run", *run},
                                                {"alert", call.arguments[1]},
                                                {"rules", rules.string()},
                                                {"test", test.string()},
                                                {"notes", std::move(notes)}});
    return kExitMet;
  }
  console.out << printable(rules.string()) << "\n" << printable(test.string()) << "\n";
  for (const std::string& note : files->notes) console.out << "note: " << printable(note) << "\n";
  console.out << "promtool test rules " << printable(test.string()) << "\n";
  return kExitMet;
}

}  // namespace faultline::cli
