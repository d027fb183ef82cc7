// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/policy.h"

#include <algorithm>
#include <set>

#include "report/format.h"

namespace faultline::controller {
namespace {

tl::unexpected<Error> denied(const Rules& rules, const std::string& rule, std::string words) {
  return fail(Errc::kDenied, std::move(words) + " (rule " + rule + " of " + rules.origin + ")");
}

constexpr std::string_view kNotKnownYet =
    "the namespaces of the cluster are not known yet, so that nothing can start: the controller "
    "could not list them (see /readyz and its log)";

bool is_true(const Labels& labels, std::string_view key) {
  const auto found = labels.find(std::string(key));
  return found != labels.end() && found->second == "true";
}

// Of one workload, "namespace/kind/name". `hit` by all runs, `own` by the one that asks.
struct Share {
  std::string name;
  std::size_t pods = 0, ready = 0, hit = 0, ready_hit = 0, own = 0;
  std::set<std::string> runs;  // the others
};

std::map<std::string, Share> shares(const std::vector<api::PodRef>& targets,
                                    const std::vector<api::PodRef>& pods, const Hits& others) {
  std::set<std::string> own;
  for (const api::PodRef& pod : targets) own.insert(pod.id());
  std::map<std::string, Share> all;
  for (const api::PodRef& pod : pods) {
    if (pod.workload.empty()) continue;
    Share& share = all[pod.namespace_ + "/" + pod.workload];
    share.name = pod.workload + " in " + pod.namespace_;
    const bool is_own = own.contains(pod.id());
    const auto other = others.find(pod.id());
    if (!is_own && other != others.end()) share.runs.insert(other->second);
    const bool is_hit = is_own || other != others.end();
    ++share.pods;
    share.ready += pod.ready ? 1 : 0;
    share.own += is_own ? 1 : 0;
    share.hit += is_hit ? 1 : 0;
    share.ready_hit += is_hit && pod.ready ? 1 : 0;
  }
  std::erase_if(all, [](const auto& entry) { return entry.second.own == 0; });
  return all;
}

// ", with those of run slow-1": empty when there are none.
std::string with_runs(const std::set<std::string>& runs) {
  constexpr std::size_t kNamed = 3;
  if (runs.empty()) return {};
  std::vector<std::string> named;
  for (const std::string& run : runs) {
    if (run.empty()) return ", with those of other runs";  // one of them is nobody's to know
    if (named.size() < kNamed) named.push_back(run);
  }
  if (runs.size() > kNamed) named.push_back(std::to_string(runs.size() - kNamed) + " more");
  return std::string(", with those of ") + (runs.size() == 1 ? "run " : "runs ") +
         report::join(named, ", ");
}

}  // namespace

std::string why_closed(const Rules& rules, const std::string& namespace_) {
  if (std::ranges::find(rules.policy.protectedNamespaces, namespace_) !=
      rules.policy.protectedNamespaces.end())
    return "namespace " + namespace_ +
           " is protected: its pods are never targets (rule protectedNamespaces of " +
           rules.origin + ")";
  if (!rules.knows_namespaces) return rules.in_cluster ? std::string(kNotKnownYet) : std::string();
  const auto space = rules.namespaces.find(namespace_);
  if (space == rules.namespaces.end())
    return "namespace " + namespace_ +
           " is not known, so that nobody can say whether it is open: wait a moment if it is new";
  std::string value;
  if (const auto of_space = space->second.find(std::string(api::kNamespaceLabel));
      of_space != space->second.end())
    value = of_space->second;
  const std::string label(api::kNamespaceLabel);
  if (rules.policy.namespaceAccess == api::NamespaceAccess::opt_in && value != "enabled")
    return "namespace " + namespace_ + " has not opted in: whoever owns it labels it " + label +
           "=enabled (rule namespaceAccess opt-in of " + rules.origin + ")";
  if (rules.policy.namespaceAccess == api::NamespaceAccess::opt_out && value == "disabled")
    return "namespace " + namespace_ + " has opted out by its label " + label +
           "=disabled: ask whoever owns it (rule namespaceAccess opt-out of " + rules.origin + ")";
  return {};
}

std::string why_protected(const Rules& rules, const api::PodRef& pod) {
  if (std::string closed = why_closed(rules, pod.namespace_); !closed.empty()) return closed;
  if (!pod.isProtected && !is_true(pod.labels, api::kProtectedPod)) return {};
  return "pod " + pod.id() + " is marked " + std::string(api::kProtectedPod) +
         "=true: it is never a target; ask whoever owns it";
}

Result<> allows(const Rules& rules, const api::Experiment& experiment) {
  if (rules.in_cluster && !rules.knows_namespaces)
    return fail(Errc::kUnavailable, std::string(kNotKnownYet));
  const api::Selector& selector = experiment.spec.target.selector;
  std::set<std::string> named(selector.namespaces.begin(), selector.namespaces.end());
  for (const auto& [space, names] : selector.pods) named.insert(space);
  for (const std::string& space : named)
    if (std::string why = why_closed(rules, space); !why.empty())
      return fail(Errc::kDenied, why + "; take it out of spec.target.selector");
  const auto& longest = rules.policy.maxDuration;
  if (experiment.spec.phases.fault.value > longest.value)
    return denied(rules, "maxDuration",
                  "spec.phases.fault is " + experiment.spec.phases.fault.format() +
                      ", and at most " + longest.format() + " is allowed here");
  const api::Phases& phases = experiment.spec.phases;
  // As numbers: the sum of three that are each nearly forever is no duration.
  const double whole =
      phases.baseline.seconds() + phases.fault.seconds() + phases.recovery.seconds();
  const auto& longest_run = rules.policy.maxRunDuration;
  if (whole > longest_run.seconds())
    return denied(rules, "maxRunDuration",
                  "spec.phases are " + phases.baseline.format() + ", " + phases.fault.format() +
                      " and " + phases.recovery.format() + ", and at most " + longest_run.format() +
                      " together are allowed here for a run");
  return {};
}

Result<> allows_targets(const Rules& rules, const api::Experiment& experiment,
                        const std::vector<api::PodRef>& targets,
                        const std::vector<api::PodRef>& pods, const Hits& others) {
  const api::Policy& policy = rules.policy;
  const std::size_t all_hit = targets.size() + others.size();
  if (static_cast<std::int64_t>(all_hit) > policy.maxPods)
    return denied(rules, "maxPods",
                  "blast radius: " + report::plural(all_hit, "pod", "pods") + " would be hit" +
                      (others.empty() ? ""
                                      : " by all runs together, " + std::to_string(targets.size()) +
                                            " of them by this one") +
                      ", and at most " + std::to_string(policy.maxPods) +
                      " are allowed here; choose fewer");
  for (const auto& [id, share] : shares(targets, pods, others)) {
    const auto allowed =
        std::max<std::size_t>(1, static_cast<std::size_t>(policy.maxPercentOfWorkload / 100 *
                                                          static_cast<double>(share.pods)));
    if (share.hit > allowed)
      return denied(rules, "maxPercentOfWorkload",
                    "blast radius: " + std::to_string(share.hit) + " of " +
                        report::plural(share.pods, "pod", "pods") + " of " + share.name +
                        " would be hit" + with_runs(share.runs) + ", and at most " +
                        std::to_string(allowed) + " are allowed here; choose fewer");
    if (share.ready == 0 || share.ready_hit < share.ready) continue;
    const std::string all = "every ready pod of " + share.name + " would be hit (" +
                            std::to_string(share.ready) + " of " + std::to_string(share.ready) +
                            with_runs(share.runs) + ")";
    if (!policy.allowAllReadyPods)
      return denied(rules, "allowAllReadyPods", all + "; choose fewer, or run more replicas");
    if (!experiment.spec.limits.allReadyPods)
      return fail(Errc::kDenied,
                  all +
                      ": choose fewer, or say that it is meant with spec.limits.allReadyPods: "
                      "true");
  }
  return {};
}

}  // namespace faultline::controller
