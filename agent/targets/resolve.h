// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/kernel/netlink.h"
#include "agent/targets/devices.h"
#include "agent/targets/pod.h"
#include "base/result.h"

namespace faultline::agent {

// A pod from its two paths: ids, devices (without lo, by index; `wish` and devices.h say which are
// hit), addresses (link-local and loopback ones left out; IPv4 before IPv6). `host` talks to the
// host's namespace. A device has an end there when it is a veth or netkit whose other end is in
// that namespace: checked from both sides, since the numbers of devices repeat between namespaces.
// Devices that are down and have no such end are left out. A pod in the host's own namespace
// (hostNetwork) has no interface of its own, so it gets none: a fault there would hit the node.
// Errors: kNotFound when a path is gone, kInvalid when it is no cgroup2 or no namespace.
Result<Pod> resolve_pod(const api::PodRef& ref, const std::string& cgroup_path,
                        const std::string& netns_path, Netlink& host, const DeviceWish& wish = {});

// Puts a container into the pod and its name into the pod's ref, both in the order of names.
// Errors: kNotFound when the cgroup is gone, kInvalid when it is none of cgroup2.
Result<> add_container(Pod& pod, const std::string& name, const std::string& cgroup_path);

}  // namespace faultline::agent
