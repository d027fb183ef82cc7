// SPDX-License-Identifier: Apache-2.0
// A pod as this node sees it: what faults and collectors attach to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/kernel/ids.h"
#include "api/selector.h"

namespace faultline::agent {

struct PodInterface {
  std::string name;       // in the pod: eth0
  IfIndex pod_index{};    // in the pod's namespace
  IfIndex host_index{};   // of its other end in the host's namespace; 0: it has none there
  std::string host_name;  // or empty
  std::string kind;       // "veth", "netkit", "tun", "macvlan"; empty where the kernel names none
  bool ethernet = true;   // its packets begin with an Ethernet header
  friend bool operator==(const PodInterface&, const PodInterface&) = default;
};

// A device of the pod that network faults leave alone, and why.
struct AsideDevice {
  PodInterface device;
  std::string reason;
  friend bool operator==(const AsideDevice&, const AsideDevice&) = default;
};

// The controller of a pod: {"ReplicaSet", "payments-5c9f"}.
struct PodOwner {
  std::string kind, name;
  friend bool operator==(const PodOwner&, const PodOwner&) = default;
};

// Below the pod's cgroup; its namespaces may be the pod's or its own.
struct Container {
  std::string name;
  std::string cgroup_path;  // absolute
  CgroupId cgroup{};
  friend bool operator==(const Container&, const Container&) = default;
};

// A snapshot; TargetSource resolves again when the pod or a container of it restarts, which changes
// the ids. What the controller is told of it is ref, with the names of its containers.
struct Pod {
  api::PodRef ref;
  std::string cgroup_path;  // of the cgroup2 directory, absolute
  std::string netns_path;   // can be opened to enter the namespace
  CgroupId cgroup{};
  NetnsId netns{};
  std::vector<PodInterface> interfaces;  // those that are hit, see devices.h
  std::vector<AsideDevice> aside;        // the others; neither has lo
  std::vector<std::string> addresses;    // "10.0.0.2", "fd00::2"
  std::vector<Container> containers;     // that run, by name; empty where none is known
  // What the API server says of it; without Kubernetes nothing is known.
  std::string uid;
  std::optional<PodOwner> owner;
  std::optional<bool> ready;

  friend bool operator==(const Pod&, const Pod&) = default;
  // Same cgroup and namespace as before? If not, whatever was attached to the old one must be
  // attached anew.
  [[nodiscard]] bool same_place(const Pod& o) const {
    return cgroup == o.cgroup && netns == o.netns && interfaces.size() == o.interfaces.size();
  }
};

// Those of the pod's containers that are named.
[[nodiscard]] std::vector<Container> named_containers(const Pod& pod,
                                                      const std::vector<std::string>& names);
// The pod as far as one of its containers goes: what is attached by cgroup hits that one only.
[[nodiscard]] Pod held_to(Pod pod, const Container& container);

}  // namespace faultline::agent
