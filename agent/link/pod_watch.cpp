// SPDX-License-Identifier: Apache-2.0
#include "agent/link/pod_watch.h"

#include <spdlog/spdlog.h>

#include "kube/json.h"

namespace faultline::agent {
namespace {

kube::InformerOptions pods_of(const std::string& node) {
  kube::InformerOptions options;
  options.collection = kube::pods();
  options.selection.fields = "spec.nodeName=" + node;
  options.from_cache = true;  // every node asks
  options.trim = [](boost::json::object& pod) {
    if (auto* metadata = pod.if_contains("metadata"); metadata != nullptr && metadata->is_object())
      metadata->get_object().erase("managedFields");
  };
  return options;
}

}  // namespace

PodWatch::PodWatch(boost::asio::any_io_executor executor, kube::Config config, const Clock& clock,
                   const std::string& node, KubernetesSource& source)
    : source_(source),
      client_(executor, std::move(config)),
      informer_(executor, client_, clock, pods_of(node),
                {.added = [this](const auto& pod) { tell(pod); },
                 .modified = [this](const auto&, const auto& pod) { tell(pod); },
                 .deleted =
                     [this](const auto& pod) {
                       source_.remove(std::string(kube::meta(pod, "namespace")),
                                      std::string(kube::meta(pod, "name")));
                       if (changed_) changed_();
                     },
                 .synced = {}}) {}

void PodWatch::tell(const boost::json::object& object) {
  auto pod = parse_kube_pod(object);
  if (pod)
    source_.upsert(std::move(*pod));
  else
    spdlog::warn("{}", pod.error().message);
  if (changed_) changed_();
}

}  // namespace faultline::agent
