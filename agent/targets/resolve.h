// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/kernel/netlink.h"
#include "agent/targets/pod.h"
#include "base/result.h"

namespace faultline::agent {

// A pod from its two paths: ids, interfaces (without lo, by index), addresses (link-local and
// loopback ones left out; IPv4 before IPv6). `host` talks to the host's namespace. An interface has
// a host-side peer when it is a veth whose other end is in the host's namespace: checked from both
// sides, since interface numbers repeat between namespaces. A pod in the host's own namespace
// (hostNetwork) has no interface of its own, so it gets none: a fault there would hit the node.
// Errors: kNotFound when a path is gone, kInvalid when it is no cgroup2 or no namespace.
Result<Pod> resolve_pod(const api::PodRef& ref, const std::string& cgroup_path,
                        const std::string& netns_path, Netlink& host);

// Puts a container into the pod and its name into the pod's ref, both in the order of names.
// Errors: kNotFound when the cgroup is gone, kInvalid when it is none of cgroup2.
Result<> add_container(Pod& pod, const std::string& name, const std::string& cgroup_path);

}  // namespace faultline::agent
