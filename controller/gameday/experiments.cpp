// SPDX-License-Identifier: Apache-2.0
#include "controller/gameday/experiments.h"

#include "controller/engine/scope.h"

namespace faultline::controller::gameday {

std::vector<api::Experiment> experiments_of(const api::GameDay& day, const api::Step& step,
                                            bool own_namespace) {
  std::vector<api::Experiment> all;
  // What is in a file that was not read, or elsewhere, is not known.
  if (step.experiment && step.experiment->spec) all.push_back(api::step_experiment(day, step, 0));
  if (step.sweep) {
    const api::Sweep sweep = api::step_sweep(day, step);
    for (const api::SweptFault& row : sweep.spec.faults)
      if (auto cell =
              api::cell_experiment(sweep, row, row.severities.front(), cell_name(sweep, row, 1)))
        all.push_back(std::move(*cell));
  }
  if (own_namespace)
    for (api::Experiment& one : all) one = in_own_namespace(std::move(one));
  return all;
}

std::vector<std::pair<std::string, api::Experiment>> experiments_of(const api::GameDay& day,
                                                                    bool own_namespace) {
  std::vector<std::pair<std::string, api::Experiment>> all;
  for (const api::Step* step : steps_of(day))
    for (api::Experiment& one : experiments_of(day, *step, own_namespace))
      all.emplace_back(step->name, std::move(one));
  return all;
}

std::vector<const api::Step*> steps_of(const api::GameDay& day) {
  std::vector<const api::Step*> steps;
  api::for_each_step(day,
                     [&](const api::Step& step, const std::string&) { steps.push_back(&step); });
  return steps;
}

std::set<std::string> expected_alerts(const api::GameDay& day) {
  std::set<std::string> names;
  const auto take = [&](const api::ExperimentSpec& spec) {
    for (const api::ExpectAlert& alert : spec.expect.alerts) names.insert(alert.name);
  };
  for (const api::Step* step : steps_of(day)) {
    if (step->experiment && step->experiment->spec) take(*step->experiment->spec);
    if (step->sweep) take(step->sweep->experiment);
    if (step->waitFor && !step->waitFor->alert.empty()) names.insert(step->waitFor->alert);
  }
  return names;
}

}  // namespace faultline::controller::gameday
