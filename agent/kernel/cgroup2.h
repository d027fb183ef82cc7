// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "agent/kernel/ids.h"
#include "base/result.h"

namespace faultline::agent {

// The first mount of cgroup2 that shows the root of the hierarchy, else the first at all:
// /sys/fs/cgroup on most machines, /sys/fs/cgroup/unified beside cgroup v1. In a container with a
// cgroup namespace of its own: the node's mount, if the container was given it. `mountinfo`: text
// of /proc/self/mountinfo (proc(5)). Errors: kNotFound.
Result<std::string> find_cgroup2_mount(std::string_view mountinfo);
Result<std::string> find_cgroup2_mount();  // of this process

// Errors: kNotFound when it is gone, kInvalid when it is no directory of cgroup2 (with the place of
// the cgroup2 mount, for those who gave a cgroup v1 path).
Result<CgroupId> cgroup_id(const std::string& path);

// How deep below the root of the hierarchy the cgroup is; the root's level is 0. Where the mount
// does not show the root (a node that is itself a container) the kernel is asked how deep we are.
// Errors: kInvalid for a path that is not below the mount, kUnsupported where the mount shows
// neither the root nor a cgroup that this process is in.
Result<std::uint32_t> cgroup_level(const std::string& path);

// The same of a cgroup that the calling process is in, or that is above its own, by asking the
// kernel with a program. Errors: kUnsupported where it is no such cgroup; what the kernel said.
Result<std::uint32_t> level_above_us(CgroupId cgroup);

// Makes the cgroup the one entry of a BPF_MAP_TYPE_CGROUP_ARRAY: what is below it is under it.
Result<> put_cgroup(int map_fd, const std::string& cgroup_path);

}  // namespace faultline::agent
