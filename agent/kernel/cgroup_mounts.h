// SPDX-License-Identifier: Apache-2.0
// Where the hierarchies of control groups are mounted. Pure and thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::agent {

struct CgroupMount {
  std::string point;  // where it is mounted
  // The cgroup that it shows there, as /proc/PID/cgroup of this process's cgroup namespace writes
  // it: "/", or "/../.." for the node's mount in a container.
  std::string root;
  std::vector<std::string> controllers{};  // of cgroup v1; cgroup2 says them in files
  bool is_v2 = false;
  [[nodiscard]] bool has(std::string_view controller) const;
};

// One mount of each hierarchy: the first that shows its root, else the one that shows the most,
// else the first. `mountinfo`: text of /proc/self/mountinfo (proc(5)).
[[nodiscard]] std::vector<CgroupMount> cgroup_mounts(std::string_view mountinfo);
// Of this process. Errors: kNotFound when /proc does not say.
Result<std::vector<CgroupMount>> cgroup_mounts();

}  // namespace faultline::agent
