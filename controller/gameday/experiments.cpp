// SPDX-License-Identifier: Apache-2.0
#include "controller/gameday/experiments.h"

#include "controller/engine/scope.h"

namespace faultline::controller::gameday {

std::vector<std::pair<std::string, api::Experiment>> experiments_of(const api::GameDay& day,
                                                                    bool own_namespace) {
  std::vector<std::pair<std::string, api::Experiment>> all;
  const auto take = [&](const std::string& step, api::Experiment experiment) {
    all.emplace_back(
        step, own_namespace ? in_own_namespace(std::move(experiment)) : std::move(experiment));
  };
  api::for_each_step(day, [&](const api::Step& step, const std::string&) {
    // What is in a Secret is not known before the day is made.
    if (step.experiment && step.experiment->spec)
      take(step.name, api::step_experiment(day, step, 0));
    if (!step.sweep) return;
    const api::Sweep sweep = api::step_sweep(day, step);
    for (const api::SweptFault& row : sweep.spec.faults)
      if (auto cell =
              api::cell_experiment(sweep, row, row.severities.front(), cell_name(sweep, row, 1)))
        take(step.name, std::move(*cell));
  });
  return all;
}

}  // namespace faultline::controller::gameday
