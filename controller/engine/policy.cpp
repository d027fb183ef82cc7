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

bool is_true(const Labels& labels, std::string_view key) {
  const auto found = labels.find(std::string(key));
  return found != labels.end() && found->second == "true";
}

// Of one workload, "namespace/kind/name".
struct Share {
  std::string name;
  std::size_t pods = 0, ready = 0, hit = 0, ready_hit = 0;
};

std::map<std::string, Share> shares(const std::vector<api::PodRef>& targets,
                                    const std::vector<api::PodRef>& pods) {
  std::set<std::string> hit;
  for (const api::PodRef& pod : targets) hit.insert(pod.id());
  std::map<std::string, Share> all;
  for (const api::PodRef& pod : pods) {
    if (pod.workload.empty()) continue;
    Share& share = all[pod.namespace_ + "/" + pod.workload];
    share.name = pod.workload + " in " + pod.namespace_;
    const bool is_hit = hit.contains(pod.id());
    ++share.pods;
    share.ready += pod.ready ? 1 : 0;
    share.hit += is_hit ? 1 : 0;
    share.ready_hit += is_hit && pod.ready ? 1 : 0;
  }
  std::erase_if(all, [](const auto& entry) { return entry.second.hit == 0; });
  return all;
}

}  // namespace

std::string why_closed(const Rules& rules, const std::string& namespace_) {
  if (std::ranges::find(rules.policy.protectedNamespaces, namespace_) !=
      rules.policy.protectedNamespaces.end())
    return "namespace " + namespace_ +
           " is protected: its pods are never targets (rule protectedNamespaces of " +
           rules.origin + ")";
  if (!rules.knows_namespaces) return {};
  std::string value;
  if (const auto space = rules.namespaces.find(namespace_); space != rules.namespaces.end())
    if (const auto label = space->second.find(std::string(api::kNamespaceLabel));
        label != space->second.end())
      value = label->second;
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
  return {};
}

Result<> allows_targets(const Rules& rules, const api::Experiment& experiment,
                        const std::vector<api::PodRef>& targets,
                        const std::vector<api::PodRef>& pods) {
  const api::Policy& policy = rules.policy;
  if (static_cast<std::int64_t>(targets.size()) > policy.maxPods)
    return denied(rules, "maxPods",
                  "blast radius: " + report::plural(targets.size(), "pod", "pods") +
                      " would be hit, and at most " + std::to_string(policy.maxPods) +
                      " are allowed here; choose fewer");
  for (const auto& [id, share] : shares(targets, pods)) {
    const auto allowed =
        std::max<std::size_t>(1, static_cast<std::size_t>(policy.maxPercentOfWorkload / 100 *
                                                          static_cast<double>(share.pods)));
    if (share.hit > allowed)
      return denied(rules, "maxPercentOfWorkload",
                    "blast radius: " + std::to_string(share.hit) + " of " +
                        report::plural(share.pods, "pod", "pods") + " of " + share.name +
                        " would be hit, and at most " + std::to_string(allowed) +
                        " are allowed here; choose fewer");
    if (share.ready == 0 || share.ready_hit < share.ready) continue;
    const std::string all = "every ready pod of " + share.name + " would be hit (" +
                            std::to_string(share.ready) + " of " + std::to_string(share.ready) +
                            ")";
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
