// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/documents.h"
#include "cli/plan_text.h"
#include "cli/text.h"
#include "report/report.h"

namespace faultline::cli {

Result<int> run_explain(Invocation& call, Console& console) {
  const auto document = load_experiment(call, console, call.arguments[0]);
  if (!document) return fail(document.error());
  const api::Experiment& experiment = document->experiment;
  const auto width = static_cast<std::size_t>(console.width());

  std::optional<api::RunPlan> plan;
  std::vector<api::NodeStatus> nodes;
  std::optional<api::PodsFile> pods;
  if (const auto file = call.get("pods")) {
    auto loaded = load_pods(call, console, *file);
    if (!loaded) return fail(loaded.error());
    pods = std::move(*loaded);
  } else if (names_controller(call, console)) {
    const auto api = controller_of(call, console);
    if (!api) return fail(api.error());
    auto answer = api->plan(document->text);
    if (!answer) return fail(answer.error());
    plan = std::move(*answer);
    if (auto known = api->nodes()) nodes = std::move(*known);
  }

  const std::string text =
      plan ? plan_text(experiment, *plan, nodes, width) : explain_text(experiment, pods, width);
  if (call.json()) {
    boost::json::array faults;
    for (const api::Fault& fault : experiment.spec.faults)
      faults.push_back({{"fault", fault.name()},
                        {"does", report::asked_words(fault)},
                        {"feels", report::explain_words(fault)}});
    boost::json::object answer{{"name", experiment.metadata.name},
                               {"purpose", experiment.spec.purpose},
                               {"faults", std::move(faults)},
                               {"plan", nullptr},
                               {"text", text}};
    if (plan) answer["plan"] = api::to_json(*plan);
    print_json(console.out, answer);
  } else {
    console.out << text;
  }
  if (plan)
    if (auto good = plan_problem(*plan); !good) {
      print_error(console, good.error(), false, {});
      return exit_code_of(good.error().code);
    }
  return kExitMet;
}

}  // namespace faultline::cli
