// SPDX-License-Identifier: Apache-2.0
// Limits of a test pod or container, whichever version of cgroups has the controllers on this
// machine. Beside cgroup v1 it makes directories of the same path there, as a runtime does.
// Failures throw std::runtime_error.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace faultline::testbed {

class CgroupLimits {
 public:
  // `cgroup2`: of TestPod::cgroup_path() or container_cgroup(), which outlives this. Above a
  // container the pod's limits come first. On a machine of cgroup2 alone no process may be in the
  // cgroup above any more.
  explicit CgroupLimits(std::string cgroup2);
  CgroupLimits(const CgroupLimits&) = delete;
  CgroupLimits& operator=(const CgroupLimits&) = delete;
  ~CgroupLimits();  // kills what is in the directories that it made

  void set_cpus(double cpus) const;  // CPU seconds a second; 0: no limit
  void set_pids(int most) const;
  // The calling process, in all hierarchies.
  void join() const;
  // What all that was ever in it used, and how long it was throttled: the kernel's own figures.
  [[nodiscard]] double cpu_seconds() const;
  [[nodiscard]] double throttled_seconds() const;
  [[nodiscard]] bool is_v1() const { return !made_.empty(); }

 private:
  [[nodiscard]] std::string file(const std::string& controller, const std::string& name) const;
  std::string cgroup2_;
  std::vector<std::string> made_;
};

}  // namespace faultline::testbed
