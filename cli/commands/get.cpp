// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

std::string state_word(api::RunState state) { return boost::describe::enum_to_string(state, "?"); }

// To the second; the run's own time is in its id and its report.
std::string time_words(const api::Timestamp& time) {
  return time.set() ? time.format().substr(0, 19) + "Z" : "-";
}

std::string left_words(const api::RunSummary& run) {
  if (ended(run.state)) return run.stateReason;
  if (!run.phaseElapsed || !run.phaseTotal) return run.stateReason;
  return std::to_string(std::lround(*run.phaseElapsed)) + "/" +
         std::to_string(std::lround(*run.phaseTotal)) + " s";
}

void print_record(const api::RunRecord& record, Console& console) {
  std::vector<Row> rows{
      {"run", record.run},
      {"experiment", (record.experiment.metadata.namespace_.empty()
                          ? ""
                          : record.experiment.metadata.namespace_ + "/") +
                         record.experiment.metadata.name},
      {"state",
       state_word(record.state) + (record.stateReason.empty() ? "" : ": " + record.stateReason)},
      {"asked by", record.requestedBy}};
  for (const api::RunPod& pod : record.pods)
    rows.push_back({boost::describe::enum_to_string(pod.role, "?"),
                    pod.pod.id() + (pod.pod.node.empty() ? "" : " on " + pod.pod.node)});
  for (const api::PhaseMark& mark : record.history)
    rows.push_back({mark.at.format(),
                    state_word(mark.state) + (mark.reason.empty() ? "" : ": " + mark.reason)});
  console.out << table(rows);
}

}  // namespace

Result<int> run_get(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  if (!call.arguments.empty()) {
    const auto run = api->run_to_read(call.arguments[0]);
    if (!run) return fail(run.error());
    const auto record = api->run(*run);
    if (!record) return fail(record.error());
    if (call.json())
      print_json(console.out, api::to_json(*record));
    else
      print_record(*record, console);
    return kExitMet;
  }
  const auto runs = api->runs(api->home());
  if (!runs) return fail(runs.error());
  if (call.json()) {
    print_json(console.out, boost::json::object{{"runs", api::to_json(*runs)}});
    return kExitMet;
  }
  if (runs->empty()) {
    console.out << "no runs yet"
                << (api->home().empty() ? ""
                                        : " in namespace " + faultline::printable(api->home()) +
                                              "; -A has those of all namespaces")
                << "\n";
    return kExitMet;
  }
  const bool spaces = std::ranges::any_of(
      *runs, [](const api::RunSummary& run) { return !run.namespace_.empty(); });
  std::vector<Row> rows{{"RUN", "EXPERIMENT", "STATE", "STARTED", ""}};
  for (const api::RunSummary& run : *runs)
    rows.push_back(
        {run.run, run.name, state_word(run.state), time_words(run.startedAt), left_words(run)});
  if (spaces) {
    rows[0].insert(rows[0].begin(), "NAMESPACE");
    for (std::size_t i = 0; i < runs->size(); ++i) {
      const std::string& ns = (*runs)[i].namespace_;
      rows[i + 1].insert(rows[i + 1].begin(), ns.empty() ? "-" : ns);
    }
  }
  console.out << table(rows);
  return kExitMet;
}

}  // namespace faultline::cli
