// SPDX-License-Identifier: Apache-2.0
#include "report/alert_scope.h"

#include <algorithm>
#include <initializer_list>

namespace faultline::report {
namespace {

constexpr std::initializer_list<const char*> kNamespaceLabels = {"namespace", "exported_namespace",
                                                                 "kubernetes_namespace"};
constexpr std::initializer_list<const char*> kPodLabels = {"pod", "exported_pod", "pod_name",
                                                           "kubernetes_pod_name"};

std::vector<std::string> values_of(const AlertLabels& labels,
                                   std::initializer_list<const char*> names) {
  std::vector<std::string> out;
  for (const char* name : names)
    if (const auto found = labels.find(name); found != labels.end() && !found->second.empty())
      out.push_back(found->second);
  return out;
}

}  // namespace

AlertLabels asked_labels(const api::AlertRule& rule, const api::ExpectAlert& expect) {
  AlertLabels out = rule.labels;
  for (const auto& [name, value] : expect.labels)
    if (const auto own = out.find(name);
        own == out.end() || own->second.find("{{") != std::string::npos)
      out[name] = value;
  return out;
}

Scope scope_of(const AlertLabels& labels, const RunPods& pods) {
  if (pods.empty()) return Scope::run;
  const auto spaces = values_of(labels, kNamespaceLabels);
  const auto names = values_of(labels, kPodLabels);
  const auto in_space = [&](const api::PodRef& pod) {
    return spaces.empty() || std::ranges::find(spaces, pod.namespace_) != spaces.end();
  };
  if (std::ranges::none_of(pods, in_space)) return Scope::other_namespace;
  const bool of_run = names.empty() || std::ranges::any_of(pods, [&](const api::PodRef& pod) {
                        return in_space(pod) && std::ranges::find(names, pod.name) != names.end();
                      });
  return of_run ? Scope::run : Scope::other_pod;
}

std::string scope_words(const AlertLabels& labels, const RunPods& pods) {
  const Scope scope = scope_of(labels, pods);
  if (scope == Scope::run) return {};
  const auto spaces = values_of(labels, kNamespaceLabels);
  const auto names = values_of(labels, kPodLabels);
  std::string who = spaces.empty() ? "" : spaces.front();
  if (!names.empty()) who += (who.empty() ? "" : "/") + names.front();
  return scope == Scope::other_pod
             ? "it fired for " + who + ", which is neither target nor observed pod of the run"
             : "it fired for " + who + ", and the run has no pod in namespace " + spaces.front();
}

}  // namespace faultline::report
