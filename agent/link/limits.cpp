// SPDX-License-Identifier: Apache-2.0
#include "agent/link/limits.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "api/codec.h"
#include "api/plan.h"

namespace faultline::agent {
namespace {

constexpr std::array<std::string_view, 2> kProtected = {"kube-system", "faultline"};

std::string percent(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

}  // namespace

std::optional<std::string> run_refusal(const api::DesiredRun& run) {
  if (auto valid = api::validate(run.experiment); !valid) {
    std::string reason = "rule valid experiment: " + valid.error().message;
    std::replace(reason.begin(), reason.end(), '\n', ';');
    return reason;
  }
  const auto& limits = run.experiment.spec.limits;
  const auto here = std::count_if(run.pods.begin(), run.pods.end(), [](const api::RunPod& p) {
    return p.role == api::PodRole::target;
  });
  // Our own count is a lower bound of what the controller claims for all nodes.
  const std::int64_t targets = std::max<std::int64_t>(run.targets, here);
  const std::int64_t allowed = api::allowed_targets(limits, run.matching);
  if (targets > allowed)
    return "rule limits: " + std::to_string(targets) + " targets, allowed are " +
           std::to_string(allowed) + " (maxPods " + std::to_string(limits.maxPods) +
           ", maxPercent " + percent(limits.maxPercent) + " of " + std::to_string(run.matching) +
           " matching)";
  return std::nullopt;
}

std::optional<std::string> pod_refusal(const api::DesiredRun& run, const Pod& pod,
                                       NetnsId host_netns) {
  if (std::find(kProtected.begin(), kProtected.end(), pod.ref.namespace_) != kProtected.end())
    return "rule protected namespaces: " + pod.ref.namespace_ + " is never a target";
  if (!api::matches(run.experiment.spec.target.selector, pod.ref))
    return "rule target selector: it does not match " + pod.ref.id();
  if (host_netns != NetnsId{} && pod.netns == host_netns)
    return "rule host network: " + pod.ref.id() + " shares the network namespace of the node";
  return std::nullopt;
}

}  // namespace faultline::agent
