// SPDX-License-Identifier: Apache-2.0
// Which pods an experiment hits, watches and compares with, and every reason to refuse it. Pure:
// the same cluster, experiment and seed give the same plan. Thread-safe.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/plan.h"
#include "api/run_record.h"
#include "api/sync.h"
#include "base/result.h"
#include "controller/engine/peers.h"
#include "controller/engine/policy.h"

namespace faultline::controller {

// A connected node, as its agent described it. `pods` carry the node's name.
struct KnownNode {
  std::string name;
  api::NodeInfo info;
  std::vector<api::PodRef> pods;
};

struct Cluster {
  std::vector<KnownNode> nodes;  // connected ones only
  std::vector<KnownService> services;
  Hits hits;  // of all runs under way
  Rules rules;
  // Whose pods may be compared with; empty: everybody's. Who asks must not see other people's pods.
  std::optional<std::set<std::string>> comparable;
};

inline constexpr std::size_t kMaxControlPods = 3;

// The plan; `experiment` is valid and its seed is chosen (not 0). What no agent can do is in
// RunPlan::unsupported, not an error. Errors name the rule, the value and what to change:
// kUnavailable (no agent connected), kNotFound (nothing matches, no such container, a peer that
// stands for nobody), kInvalid (the mode's value does not fit the pods), kDenied (protected
// namespace, limits), kConflict (a target is one of another run already), kUnsupported (alerts,
// signals or promql where no Prometheus is configured).
[[nodiscard]] Result<api::RunPlan> resolve(const api::Experiment& experiment,
                                           const Cluster& cluster);

// What can be said before any pod is looked at: errors of resolve() that no pod would change,
// limits that no choice can keep, and faults that none of the agents has (`nodes`; without any
// nothing is said of them). kDenied, kUnsupported.
[[nodiscard]] Result<> can_run(const api::Experiment& experiment, const Rules& rules,
                               const std::vector<const api::NodeInfo*>& nodes);

// Which pods take the place of targets that are gone (`follow: true`), by the rules that held when
// the run began; `record.pods` says who is there. As many as there were, with mode `all` every pod
// that matches. Errors as resolve(); nothing to do is no error.
struct Joining {
  std::vector<api::PodRef> pods;
  std::int64_t matching = 0;
};
[[nodiscard]] Result<Joining> joining(const api::RunRecord& record, const Cluster& cluster);

// kUnsupported, one line a fault and node: "not supported by this agent: <reason>".
[[nodiscard]] Result<> require_supported(const api::RunPlan& plan);

// The first field of the experiment that needs the monitoring: "spec.expect.alerts". Empty: none.
[[nodiscard]] std::string monitoring_field(const api::ExperimentSpec& spec);

// The pods of a plan with their roles.
[[nodiscard]] std::vector<api::RunPod> run_pods(const api::RunPlan& plan);

}  // namespace faultline::controller
