// SPDX-License-Identifier: Apache-2.0
// Whose cgroup is it? What kubelets and runtimes name the cgroups of pods and containers. Pure and
// thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace faultline::agent {

// One component of a path: "pod0a1b...", "kubepods-burstable-pod0a1b_....slice".
struct PodCgroupName {
  std::string uid;  // with dashes, or 32 hexadecimal digits (static pods)
  // Not empty where the kubelet's driver and the runtime's differ: then one component names both,
  // "kubepods-pod0a1b_....slice:cri-containerd:0123...", and stands beside the pod's directory.
  std::string container_id;
  // "pod..." names a pod only below a directory that is_pods_parent(); the name of a slice says it
  // itself.
  bool needs_parent = false;
};
[[nodiscard]] std::optional<PodCgroupName> parse_pod_component(std::string_view component);

// May directories named "pod..." be pods, below a directory with these last two components?
// "kubepods", or a QoS class below it. Above the root of a cgroup namespace the kernel shows only
// "..", which may be either.
[[nodiscard]] bool is_pods_parent(std::string_view grandparent, std::string_view parent);

// The id that a component below a pod's directory names: "0123...", "crio-0123...",
// "cri-containerd-0123....scope", "docker-0123....scope". Empty for others, and for CRI-O's
// monitors ("crio-conmon-..."), whose processes are not the pod's.
[[nodiscard]] std::string parse_container_component(std::string_view component);

struct PodCgroup {
  std::string uid;
  std::string container_id;  // empty: the pod's own directory
  friend bool operator==(const PodCgroup&, const PodCgroup&) = default;
};

// `path`: a directory, or a line of /proc/PID/cgroup ("0::/kubepods/...", "4:memory:/..."), with
// any prefix before the pods and anything below the container. Where pods are nested (kind in a
// pod), the outermost counts. Nothing where it is no pod's, and for a monitor.
[[nodiscard]] std::optional<PodCgroup> parse_pod_cgroup(std::string_view path);

}  // namespace faultline::agent
