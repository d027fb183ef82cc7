// SPDX-License-Identifier: Apache-2.0
// The processes of ours that run inside a pod's cgroup, so that what they use is not taken for the
// pod's own, and so that none is left.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace faultline::agent {

// What the kernel accounts to a task since it began (/proc/PID/schedstat).
struct TaskTimes {
  std::chrono::nanoseconds ran{0};
  // While it could run and had no CPU, or was throttled; what it waits for now comes in at its end.
  std::chrono::nanoseconds waited{0};
};

// Their command name; who sees one in a cgroup knows that it is not the pod's.
inline constexpr const char* kOwnProcessName = "fl-cpu";

// Thread-safe.
class OwnProcesses {
 public:
  // Of this process.
  static OwnProcesses& here();
  explicit OwnProcesses(std::filesystem::path proc = "/proc") : proc_(std::move(proc)) {}

  // `cgroup`: directory of cgroup2 that the process is in.
  void add(pid_t pid, std::filesystem::path cgroup);
  // It was waited for; `cpu`: what it used in all, as the kernel told its parent.
  void ended(pid_t pid, std::chrono::nanoseconds cpu);
  [[nodiscard]] bool has(pid_t pid) const;
  [[nodiscard]] std::vector<pid_t> all() const;
  // CPU time of all that were ever in the cgroup or below it, those that have ended included.
  [[nodiscard]] std::chrono::nanoseconds cpu_time(const std::filesystem::path& cgroup) const;

 private:
  std::filesystem::path proc_;
  mutable std::mutex mutex_;
  std::map<pid_t, std::filesystem::path> running_;
  std::map<std::filesystem::path, std::chrono::nanoseconds> ended_;  // by cgroup
};

// "R" for a process that runs or waits for a CPU, as /proc/PID/stat has it; empty: it is gone.
std::string read_state(const std::filesystem::path& proc, pid_t pid);
// False: the kernel does not say, or the process is gone.
bool read_times(const std::filesystem::path& proc, pid_t pid, TaskTimes& times);

}  // namespace faultline::agent
