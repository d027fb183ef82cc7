// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/scope.h"

#include <algorithm>

namespace faultline::controller {
namespace {

void settle(api::Selector& selector, const std::string& own) {
  if (selector.namespaces.empty() && selector.pods.empty()) selector.namespaces = {own};
}

void add(const api::Selector& selector, std::set<std::string>& namespaces) {
  namespaces.insert(selector.namespaces.begin(), selector.namespaces.end());
  for (const auto& [space, names] : selector.pods) namespaces.insert(space);
}

}  // namespace

api::Experiment in_own_namespace(api::Experiment experiment) {
  const std::string& own = experiment.metadata.namespace_;
  api::ExperimentSpec& spec = experiment.spec;
  settle(spec.target.selector, own);
  for (api::Selector& selector : spec.observe) settle(selector, own);
  for (api::Fault& fault : spec.faults)
    std::visit(
        [&]<class T>(T& spec_of) {
          if constexpr (std::is_base_of_v<api::NetworkFilter, T>) {
            if (spec_of.peer) settle(*spec_of.peer, own);
            if (spec_of.except && spec_of.except->peer) settle(*spec_of.except->peer, own);
          }
        },
        fault.spec);
  return experiment;
}

Scope scope_of(const api::Experiment& experiment) {
  const api::ExperimentSpec& spec = experiment.spec;
  const auto asks = [](const api::AbortCondition& condition) { return !condition.promql.empty(); };
  Scope scope;
  scope.queries = !spec.expect.signals.empty() || std::ranges::any_of(spec.abortWhen, asks);
  add(experiment.spec.target.selector, scope.hit);
  for (const api::Selector& selector : experiment.spec.observe) add(selector, scope.seen);
  for (const api::Fault& fault : experiment.spec.faults)
    if (const api::NetworkFilter* filter = api::network_filter(fault)) {
      if (filter->peer) add(*filter->peer, scope.seen);
      if (filter->except && filter->except->peer) add(*filter->except->peer, scope.seen);
    }
  return scope;
}

Scope scope_of(const api::GameDay& day) {
  Scope all;
  const auto take = [&](api::Experiment experiment) {
    if (!day.metadata.namespace_.empty()) experiment = in_own_namespace(std::move(experiment));
    Scope one = scope_of(experiment);
    all.hit.merge(one.hit);
    all.seen.merge(one.seen);
    all.queries = all.queries || one.queries;
  };
  api::for_each_step(day, [&](const api::Step& step, const std::string&) {
    if (step.experiment) take(api::step_experiment(day, step, 0));
    if (step.sweep)
      for (const api::SweptFault& row : step.sweep->faults) {
        api::Experiment cell;
        cell.metadata = day.metadata;
        cell.spec = step.sweep->experiment;
        cell.spec.faults.push_back(row.fault);
        take(std::move(cell));
      }
    if (step.waitFor && !step.waitFor->promql.empty()) all.queries = true;
    if (step.waitFor && step.waitFor->effect) add(step.waitFor->effect->selector, all.seen);
  });
  for (const api::AbortCondition& condition : day.spec.abortWhen)
    all.queries = all.queries || !condition.promql.empty();
  if (!day.metadata.namespace_.empty()) all.hit.insert(day.metadata.namespace_);
  return all;
}

}  // namespace faultline::controller
