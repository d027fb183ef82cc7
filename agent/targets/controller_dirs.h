// SPDX-License-Identifier: Apache-2.0
// Where the files of a control group's controllers are: on a node of cgroup2 in its own directory,
// beside cgroup v1 in one directory of each hierarchy. Not thread-safe against the tree: what is
// read may have changed since.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kernel/cgroup_mounts.h"
#include "base/result.h"

namespace faultline::agent {

// The controllers that hold back a process in a pod, or account for it.
inline constexpr std::string_view kLimitingControllers[] = {"cpu",     "cpuacct", "cpuset",
                                                            "freezer", "memory",  "pids"};

struct ControllerDirs {
  struct Place {
    std::string path;   // directory of the cgroup
    std::string mount;  // root of what we see of its hierarchy: where looking upwards ends
  };
  Place v2;
  // By controller ("cpu"), those of kLimitingControllers that are in a hierarchy of cgroup v1.
  std::map<std::string, Place, std::less<>> v1{};

  // Where files of this controller are.
  [[nodiscard]] const Place& of(std::string_view controller) const;
  [[nodiscard]] bool is_v1(std::string_view controller) const { return v1.contains(controller); }
  // Each directory of `v1` once: hierarchies may hold several controllers.
  [[nodiscard]] std::vector<std::string> v1_paths() const;
};

// `cgroup2`: directory of the pod or container below the cgroup2 mount of `mounts`. A directory of
// the same path is looked for in each hierarchy of cgroup v1, as runtimes make it; where there is
// none, a process of the cgroup shows it. `proc`: of the node's process ids. Errors: kNotFound, no
// process shows where the cgroup of cpu, memory or pids is; kInvalid, the path is not below the
// mount.
Result<ControllerDirs> controller_dirs(const std::string& cgroup2,
                                       const std::vector<CgroupMount>& mounts,
                                       const std::string& proc = "/proc");

// A limit of CPU time.
struct CpuLimit {
  double cpus = 0;  // CPU seconds a second
  bool own = true;  // of the cgroup itself; false: of one above it
  friend bool operator==(const CpuLimit&, const CpuLimit&) = default;
};
// That of the cgroup (cpu.max; v1: cpu.cfs_quota_us), else of the nearest cgroup above that has
// one. Nothing: no limit holds, or none can be read.
[[nodiscard]] std::optional<CpuLimit> cpu_limit(const ControllerDirs& dirs);

// The directory of the first cgroup, from this one upwards, that has more processes than its
// pids.max allows. Empty: none. A clone is refused there; who moves a process in is not.
[[nodiscard]] std::string over_pids_limit(const ControllerDirs& dirs);

// All processes in `cgroup2` and below it. Empty where it is gone.
[[nodiscard]] std::vector<pid_t> processes_below(const std::string& cgroup2);
// `cgroup2` and the directories below it that hold a process, the higher ones first.
[[nodiscard]] std::vector<std::string> cgroups_with_processes(const std::string& cgroup2);

}  // namespace faultline::agent
