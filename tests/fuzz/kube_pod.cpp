// SPDX-License-Identifier: Apache-2.0
// Pods as an API server lists them, and what cgroups of a node are called.
#include "agent/targets/kube_pod.h"

#include <string>

#include "agent/kernel/cgroup2.h"
#include "agent/targets/pod_cgroup.h"
#include "kube/json.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  switch (choose(input, 3)) {
    case 0:
      if (const auto object = kube::parse_object(input))
        if (const auto pod = agent::parse_kube_pod(*object)) {
          (void)agent::workload_of(*pod);
          (void)pod->cgroup_uid();
        }
      return;
    case 1:
      (void)agent::parse_pod_cgroup(input);
      (void)agent::parse_pod_component(input);
      (void)agent::parse_container_component(input);
      return;
    default:
      (void)agent::find_cgroup2_mount(input).has_value();
  }
}

}  // namespace faultline::fuzz
