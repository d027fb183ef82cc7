// SPDX-License-Identifier: Apache-2.0
// A pod as this node sees it: what faults and collectors attach to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/kernel/ids.h"
#include "api/selector.h"

namespace faultline::agent {

struct PodInterface {
  std::string name;       // in the pod: eth0
  IfIndex pod_index{};    // in the pod's namespace
  IfIndex host_index{};   // of the veth peer in the host's namespace; 0: no host-side peer
  std::string host_name;  // or empty
};

// A snapshot; TargetSource resolves again when the pod restarts, which changes the ids.
struct Pod {
  api::PodRef ref;
  std::string cgroup_path;  // of the cgroup2 directory, absolute
  std::string netns_path;   // can be opened to enter the namespace
  CgroupId cgroup{};
  NetnsId netns{};
  std::vector<PodInterface> interfaces;  // without lo
  std::vector<std::string> addresses;    // "10.0.0.2", "fd00::2"

  // Same cgroup and namespace as before? If not, whatever was attached to the old one must be
  // attached anew.
  [[nodiscard]] bool same_place(const Pod& o) const {
    return cgroup == o.cgroup && netns == o.netns && interfaces.size() == o.interfaces.size();
  }
};

}  // namespace faultline::agent
