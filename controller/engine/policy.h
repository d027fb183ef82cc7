// SPDX-License-Identifier: Apache-2.0
// What the cluster's policy says to an experiment. Pure and thread-safe. Refusals (kDenied) name
// the rule, whose it is, and how to change it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/policy.h"
#include "api/selector.h"
#include "base/result.h"

namespace faultline::controller {

using Labels = std::map<std::string, std::string>;
using Hits = std::map<std::string, std::string>;  // targets of runs: pod id -> run

// The policy in force, and what of the cluster it is about.
struct Rules {
  api::Policy policy;
  std::string origin = "the controller's default policy";  // where it is written, for refusals
  // Labels of namespaces. Without Kubernetes there are none, and namespaceAccess does not apply. In
  // a cluster nothing starts before they are known, and one that is not among them is closed.
  std::map<std::string, Labels> namespaces;
  bool in_cluster = false;
  bool knows_namespaces = false;
  // A Prometheus is configured: alerts, signals and promql can be asked for.
  bool has_prometheus = false;
};

// Why no pod of the namespace is ever a target; empty: they may be.
[[nodiscard]] std::string why_closed(const Rules& rules, const std::string& namespace_);
// The same of one pod, its namespace included.
[[nodiscard]] std::string why_protected(const Rules& rules, const api::PodRef& pod);

// What can be said before any pod is known: namespaces that are named, and the length of the fault
// and of the run. kUnavailable: the cluster's namespaces are not known yet.
[[nodiscard]] Result<> allows(const Rules& rules, const api::Experiment& experiment);
// What can be said of a choice: how many pods, and how much of each workload. `pods` are all that
// are known, `others` what other runs hit: the limits of a policy hold for all runs together.
[[nodiscard]] Result<> allows_targets(const Rules& rules, const api::Experiment& experiment,
                                      const std::vector<api::PodRef>& targets,
                                      const std::vector<api::PodRef>& pods,
                                      const Hits& others = {});

}  // namespace faultline::controller
