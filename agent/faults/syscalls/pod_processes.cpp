// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscalls/pod_processes.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

// Of /proc/PID/ns/mnt; 0: the process has ended, or we may not look at it.
std::uint32_t mounts_of(pid_t pid) {
  struct stat is {};
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/mnt";
  return ::stat(path.c_str(), &is) == 0 ? static_cast<std::uint32_t>(is.st_ino) : 0;
}

}  // namespace

std::vector<pid_t> processes_of(const Pod& pod) {
  std::vector<pid_t> pids;
  const auto look_in = [&](const fs::path& cgroup) {
    std::ifstream in(cgroup / "cgroup.procs");
    for (pid_t pid = 0; in >> pid;)
      if (pid > 0) pids.push_back(pid);
  };
  look_in(pod.cgroup_path);
  std::error_code ec;
  for (fs::recursive_directory_iterator it(pod.cgroup_path, ec), end; !ec && it != end;
       it.increment(ec)) {
    std::error_code gone;
    if (it->is_directory(gone)) look_in(it->path());
  }
  return pids;
}

Result<std::uint32_t> node_mounts_for(const Pod& pod) {
  const std::uint32_t node = mounts_of(1);
  if (node == 0) return fail(from_errno(errno, "cannot look at the mount namespace of process 1"));
  const auto elsewhere = [node](pid_t pid) {
    const std::uint32_t mounts = mounts_of(pid);
    return mounts != 0 && mounts != node;
  };
  const bool containers = !pod.uid.empty() || std::ranges::any_of(processes_of(pod), elsewhere);
  return containers ? node : 0;
}

}  // namespace faultline::agent
