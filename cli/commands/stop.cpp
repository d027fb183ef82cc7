// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <ostream>
#include <thread>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

constexpr std::chrono::seconds kLimit{20};

// The runs among `wanted` as they are now; waits until all have ended or the time is over.
Result<std::vector<api::RunSummary>> wait_ended(const ControllerApi& api,
                                                const std::vector<std::string>& wanted) {
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (true) {
    auto all = api.runs();
    if (!all) return fail(all.error());
    std::erase_if(*all, [&](const api::RunSummary& run) {
      return std::ranges::find(wanted, run.run) == wanted.end();
    });
    const bool over =
        std::ranges::all_of(*all, [](const api::RunSummary& run) { return ended(run.state); });
    if (over || std::chrono::steady_clock::now() > end) return all;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// Stops one; that it has ended by itself in between is no error.
Result<> stop_one(const ControllerApi& api, const std::string& run) {
  auto done = api.stop(run);
  if (!done && done.error().code != Errc::kConflict) return fail(done.error());
  return {};
}

// The ids of what was asked to stop.
Result<std::vector<std::string>> ask(const Invocation& call, const ControllerApi& api) {
  if (!call.has("all")) {
    const auto run = api.run_to_stop(call.arguments[0]);
    if (!run) return fail(run.error());
    if (auto done = stop_one(api, *run); !done) return fail(done.error());
    return std::vector{*run};
  }
  const auto runs = api.runs(api.home());
  if (!runs) return fail(runs.error());
  std::vector<std::string> wanted;
  for (const api::RunSummary& run : *runs)
    if (!ended(run.state)) wanted.push_back(run.run);
  if (api.home().empty()) {
    // Also what begins at this moment.
    if (auto done = api.stop_all(); !done) return fail(done.error());
    return wanted;
  }
  for (const std::string& run : wanted)
    if (auto done = stop_one(api, run); !done) return fail(done.error());
  return wanted;
}

}  // namespace

Result<int> run_stop(Invocation& call, Console& console) {
  if (call.has("all") == !call.arguments.empty())
    return fail(Errc::kInvalid, "'stop' takes either a NAME or --all");
  if (call.has("all-namespaces") && !call.has("all"))
    return fail(Errc::kInvalid, "--all-namespaces is for --all: one run has one namespace");
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const auto wanted = ask(call, *api);
  if (!wanted) return fail(wanted.error());
  const auto runs = wait_ended(*api, *wanted);
  if (!runs) return fail(runs.error());
  const bool over =
      std::ranges::all_of(*runs, [](const api::RunSummary& run) { return ended(run.state); });
  if (call.json()) {
    print_json(console.out, boost::json::object{{"stopped", over}, {"runs", api::to_json(*runs)}});
    return over ? kExitMet : kExitCouldNotRun;
  }
  if (runs->empty()) console.out << "nothing runs\n";
  for (const api::RunSummary& run : *runs)
    console.out << printable(run.run + ": " + boost::describe::enum_to_string(run.state, "?") +
                             (run.stateReason.empty() ? "" : ": " + run.stateReason))
                << "\n";
  if (!over)
    return fail(Errc::kUnavailable, "not all have ended within " + std::to_string(kLimit.count()) +
                                        " s; their faults end with the lease");
  return kExitMet;
}

}  // namespace faultline::cli
