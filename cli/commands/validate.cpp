// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/documents.h"
#include "cli/text.h"
#include "report/format.h"
#include "report/report.h"

namespace faultline::cli {

Result<int> run_validate(Invocation& call, Console& console) {
  const auto document = load_experiment(call, console, call.arguments[0]);
  if (!document) return fail(document.error());
  std::size_t pods = 0;
  if (const auto file = call.get("pods")) {
    const auto loaded = load_pods(call, console, *file);
    if (!loaded) return fail(loaded.error());
    pods = loaded->pods.size();
  }
  const api::Experiment& experiment = document->experiment;
  if (call.json()) {
    print_json(console.out, boost::json::object{{"valid", true},
                                                {"name", experiment.metadata.name},
                                                {"experiment", api::to_json(experiment)}});
    return kExitMet;
  }
  std::vector<std::string> faults;
  for (const api::Fault& fault : experiment.spec.faults) faults.emplace_back(fault.name());
  console.out << printable(document->name + ": valid: " + experiment.metadata.name) << ", "
              << (faults.empty() ? "no faults" : report::join(faults, ", ")) << "\n";
  if (const std::string note = report::too_short_words(experiment.spec.phases);
      !note.empty() && !experiment.spec.faults.empty())
    console.err << printable(document->name) << ": note: " << note << "\n";
  if (const auto file = call.get("pods"))
    console.out << printable(*file) << ": valid: " << report::plural(pods, "pod", "pods") << "\n";
  return kExitMet;
}

}  // namespace faultline::cli
