// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/pod.h"

#include <algorithm>
#include <utility>

namespace faultline::agent {

std::vector<Container> named_containers(const Pod& pod, const std::vector<std::string>& names) {
  std::vector<Container> found;
  for (const Container& container : pod.containers)
    if (std::ranges::find(names, container.name) != names.end()) found.push_back(container);
  return found;
}

Pod held_to(Pod pod, const Container& container) {
  pod.cgroup_path = container.cgroup_path;
  pod.cgroup = container.cgroup;
  return pod;
}

}  // namespace faultline::agent
