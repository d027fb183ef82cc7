// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/documents.h"
#include "cli/gameday/words.h"
#include "cli/sweep/words.h"
#include "cli/text.h"
#include "report/format.h"
#include "report/report.h"

namespace faultline::cli {

namespace {

void print_sweep(const Invocation& call, Console& console, const SweepFile& document) {
  const api::Sweep& sweep = document.sweep;
  if (call.json())
    print_json(console.out, boost::json::object{{"valid", true},
                                                {"name", sweep.metadata.name},
                                                {"cells", cells_of(sweep)},
                                                {"sweep", api::to_json(sweep)}});
  else
    console.out << printable(document.name + ": valid: " + sweep.metadata.name) << ", a sweep of "
                << sweep_size_words(sweep) << "\n";
}

void print_gameday(Invocation& call, Console& console, const GameDayFile& document) {
  const api::GameDay& day = document.day;
  if (call.json())
    print_json(console.out, boost::json::object{{"valid", true},
                                                {"name", day.metadata.name},
                                                {"steps", steps_of(day)},
                                                {"gameday", api::to_json(day)}});
  else
    console.out << printable(document.name + ": valid: " + day.metadata.name) << ", a game day of "
                << gameday_size_words(day) << "\n";
}

void print_pods(Console& console, const std::string& file, std::size_t pods) {
  console.out << printable(file) << ": valid: " << report::plural(pods, "pod", "pods") << "\n";
}

}  // namespace

Result<int> run_validate(Invocation& call, Console& console) {
  const auto either = load_any(call, console, call.arguments[0]);
  if (!either) return fail(either.error());
  std::size_t pods = 0;
  if (const auto file = call.get("pods")) {
    const auto loaded = load_pods(call, console, *file);
    if (!loaded) return fail(loaded.error());
    pods = loaded->pods.size();
  }
  const auto* document = std::get_if<ExperimentFile>(&*either);
  if (document == nullptr) {
    if (const auto* day = std::get_if<GameDayFile>(&*either))
      print_gameday(call, console, *day);
    else
      print_sweep(call, console, std::get<SweepFile>(*either));
    if (const auto file = call.get("pods"); file && !call.json()) print_pods(console, *file, pods);
    return kExitMet;
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
  if (const auto file = call.get("pods")) print_pods(console, *file, pods);
  return kExitMet;
}

}  // namespace faultline::cli
