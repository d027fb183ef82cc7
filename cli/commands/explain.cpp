// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/documents.h"
#include "cli/gameday/day_api.h"
#include "cli/gameday/words.h"
#include "cli/plan_text.h"
#include "cli/sweep/words.h"
#include "cli/text.h"
#include "report/report.h"

namespace faultline::cli {

namespace {

// A sweep: how large it is, and the strongest cell of each row as an experiment.
Result<int> explain_sweep(Invocation& call, Console& console, const SweepFile& document) {
  const api::Sweep& sweep = document.sweep;
  const auto width = static_cast<std::size_t>(console.width());
  std::optional<api::PodsFile> pods;
  if (const auto file = call.get("pods")) {
    auto loaded = load_pods(call, console, *file);
    if (!loaded) return fail(loaded.error());
    pods = std::move(*loaded);
  }
  std::string text = sweep_text(sweep, cells_of(sweep), width);
  for (const api::SweptFault& row : sweep.spec.faults) {
    const auto cell = api::cell_experiment(sweep, row, row.severities.back(),
                                           api::cell_name(sweep, row, row.severities.size()));
    if (!cell) return fail(cell.error());
    text +=
        "\nthe strongest cell of " + printable(row.name) + ":\n" + explain_text(*cell, pods, width);
  }
  if (call.json())
    print_json(console.out, boost::json::object{{"name", sweep.metadata.name},
                                                {"purpose", sweep.spec.experiment.purpose},
                                                {"cells", cells_of(sweep)},
                                                {"text", text}});
  else
    console.out << text;
  return kExitMet;
}

// A game day: its steps, and what they hit in all. What they would hit now, and which alerts could
// not fire, only a controller knows.
Result<int> explain_gameday(Invocation& call, Console& console, const GameDayFile& document) {
  const auto width = static_cast<std::size_t>(console.width());
  std::optional<api::PodsFile> pods;
  std::optional<api::GameDayPlan> plan;
  if (const auto file = call.get("pods")) {
    auto loaded = load_pods(call, console, *file);
    if (!loaded) return fail(loaded.error());
    pods = std::move(*loaded);
  } else if (names_controller(call, console)) {
    const auto api = controller_of(call, console);
    if (!api) return fail(api.error());
    auto answer = DayApi(*api).plan(document.text);
    if (!answer) return fail(answer.error());
    plan = std::move(*answer);
  }
  const std::string text = gameday_text(document.day, pods, plan.has_value(), width) +
                           (plan ? "\n" + day_plan_text(*plan, width) : "");
  if (call.json())
    print_json(console.out,
               boost::json::object{{"name", document.day.metadata.name},
                                   {"title", document.day.spec.title},
                                   {"steps", steps_of(document.day)},
                                   {"plan", plan ? api::to_json(*plan) : boost::json::value()},
                                   {"text", text}});
  else
    console.out << text;
  if (plan)
    if (auto good = day_plan_problem(*plan, false); !good) {
      print_error(console, good.error(), false, {});
      return exit_code_of(good.error().code);
    }
  return kExitMet;
}

}  // namespace

Result<int> run_explain(Invocation& call, Console& console) {
  const auto either = load_any(call, console, call.arguments[0]);
  if (!either) return fail(either.error());
  const auto* document = std::get_if<ExperimentFile>(&*either);
  if (const auto* day = std::get_if<GameDayFile>(&*either))
    return explain_gameday(call, console, *day);
  if (document == nullptr) return explain_sweep(call, console, std::get<SweepFile>(*either));
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
