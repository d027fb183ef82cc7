// SPDX-License-Identifier: Apache-2.0
#include "cli/one_run.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <istream>
#include <ostream>

#include "api/codec.h"
#include "cli/cluster/choice.h"
#include "cli/commands/run_steps.h"
#include "cli/follow.h"
#include "cli/outcome.h"
#include "cli/plan_text.h"
#include "cli/progress.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

// Of the private controller: where the monitoring is.
std::vector<std::string> monitoring_options(const Invocation& call) {
  std::vector<std::string> options;
  for (const char* name : {"prometheus", "alertmanager", "monitoring"})
    if (const auto value = call.get(name)) {
      std::error_code ec;
      options.push_back("--" + std::string(name));
      options.push_back(std::string_view(name) == "monitoring"
                            ? std::filesystem::absolute(*value, ec).string()
                            : *value);
    }
  return options;
}

}  // namespace

Result<Place> find_place(Invocation& call, Console& console, const Interrupt& interrupt) {
  Place place;
  const auto pods = call.get("pods");
  if (pods && (call.has("controller") || asks_for_cluster(call)))
    return fail(Errc::kInvalid,
                "--pods is for a run without a controller: with one, its agents know their pods");
  std::vector<std::string> monitoring = monitoring_options(call);
  if (!pods && !monitoring.empty())
    return fail(Errc::kInvalid, monitoring.front() +
                                    " is for a run with --pods: a controller has a monitoring of "
                                    "its own (docs/monitoring.md)");
  if (!pods) {
    auto api = controller_of(call, console);
    if (!api) return fail(api.error());
    place.given = std::move(*api);
    return place;
  }
  if (auto file = load_pods(call, console, *pods); !file) return fail(file.error());
  auto own = LocalCluster::start({.programs = console.programs,
                                  .pods = *pods,
                                  .temp = console.env("TMPDIR").value_or("/tmp"),
                                  .controller_options = std::move(monitoring)},
                                 interrupt);
  if (!own) return fail(own.error());
  place.own = std::move(*own);
  return place;
}

Error with_hint(Error error, const Invocation& call, const Console& console) {
  if (error.code == Errc::kUnavailable && !call.has("pods") && !names_controller(call, console))
    error.message +=
        "\non a machine without a controller, give its pods: --pods PODS.yaml; in a cluster "
        "--kubernetes; else --controller URL";
  return error;
}

Result<> check_folder(const std::string& wanted, const std::string& option) {
  std::error_code ec;
  std::filesystem::path folder = std::filesystem::absolute(wanted.empty() ? "." : wanted, ec);
  while (!std::filesystem::exists(folder, ec) && folder.has_relative_path())
    folder = folder.parent_path();
  const bool good =
      std::filesystem::is_directory(folder, ec) && access(folder.c_str(), W_OK | X_OK) == 0;
  if (good) return {};
  return fail(Errc::kInvalid,
              "the report cannot be written: " + folder.string() + ": " +
                  (std::filesystem::is_directory(folder, ec) ? std::string("no permission")
                                                             : std::string("not a folder")) +
                  "; choose another with " + option);
}

Result<bool> confirmed(const Invocation& call, Console& console, const Interrupt& interrupt) {
  if (call.has("yes") || call.json() || !console.in_is_terminal || !console.out_is_terminal)
    return true;
  console.out << "\nStart? [y/N] " << std::flush;
  std::string answer;
  std::getline(console.in, answer);
  if (interrupt.requested())
    return fail(Errc::kUnavailable, "interrupted before anything was started");
  return answer == "y" || answer == "Y" || answer == "yes";
}

void print_dry_run(const Invocation& call, Console& console, boost::json::value plan) {
  if (call.json())
    print_json(console.out, boost::json::object{{"run", nullptr}, {"plan", std::move(plan)}});
  else
    console.out << "\nnot started: --dry-run\n";
}

Result<RunEnd> run_at(Place& place, const Invocation& call, Console& console,
                      const ExperimentFile& document, Interrupt& interrupt,
                      const RunManner& manner) {
  const ControllerApi& api = place.api();
  std::ostream& talk = call.json() ? console.err : console.out;
  auto plan = api.plan(document.text);
  if (!plan) return fail(with_hint(plan.error(), call, console));
  Result<api::RunSummary> started;
  for (int shown = 1;; ++shown) {
    if (manner.alone) {
      const auto nodes = api.nodes();
      talk << plan_text(document.experiment, *plan, nodes ? *nodes : std::vector<api::NodeStatus>{},
                        static_cast<std::size_t>(console.width()))
           << std::flush;
    }
    if (auto good = plan_problem(*plan, call.has("anyway")); !good) return fail(good.error());
    if (call.has("dry-run")) {
      print_dry_run(call, console, api::to_json(*plan));
      return RunEnd{.code = kExitMet};
    }
    const auto go = manner.alone ? confirmed(call, console, interrupt) : Result<bool>(true);
    if (!go) return fail(go.error());
    if (!*go) {
      talk << "not started\n";
      return RunEnd{.code = kExitAborted};
    }
    if (interrupt.requested())
      return fail(Errc::kUnavailable, "interrupted before anything was started");
    started = api.start(document.text, *plan, call.has("anyway"));
    if (started || started.error().code != Errc::kConflict || shown == kMostPlans) break;
    auto changed = api.plan(document.text, plan->seed);
    if (!changed || changed->choice == plan->choice) break;
    plan = std::move(*changed);
    if (manner.alone) talk << kPlanChanged;
  }
  if (!started) return fail(started.error());
  return follow_to_end(api, place.own.get(), std::move(*started), document.experiment, call,
                       console, interrupt, manner);
}

Result<RunEnd> follow_to_end(const ControllerApi& api, LocalCluster* own, api::RunSummary first,
                             const api::Experiment& experiment, const Invocation& call,
                             Console& console, Interrupt& interrupt, const RunManner& manner) {
  const std::string run = first.run;
  interrupt.last_words(own != nullptr ? "the private agent is ended, its faults with it"
                                      : "if it was not stopped, run: " +
                                            same_controller(call, console, "stop " + run));
  (call.json() ? console.err : console.out) << "\n" << std::flush;
  Progress progress(console, experiment, call.json());
  FollowOptions options;
  options.patience = api.way().patience();
  if (own != nullptr) options.alive = [&] { return own->check(); };
  const auto followed = follow(
      api, std::move(first), interrupt, options,
      [&](const api::RunSummary& summary) { progress.show(summary); },
      [&](const std::string& line) { progress.say(line); });
  progress.finish();
  if (!followed) return fail(followed.error());
  auto finished = finish_run(api, run, manner.folder.empty() ? run : manner.folder,
                             !manner.alone ? Print::kNothing
                             : call.json() ? Print::kJson
                                           : Print::kText,
                             console);
  if (!finished) return fail(finished.error());
  return RunEnd{.code = finished->code,
                .run = run,
                .report = std::move(finished->report),
                .interrupted = followed->interrupted};
}

}  // namespace faultline::cli
