// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/own_processes.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

bool is_within(const fs::path& path, const fs::path& top) {
  return std::mismatch(top.begin(), top.end(), path.begin(), path.end()).first == top.end();
}

}  // namespace

OwnProcesses& OwnProcesses::here() {
  static OwnProcesses one;
  return one;
}

void OwnProcesses::add(pid_t pid, fs::path cgroup) {
  const std::scoped_lock lock(mutex_);
  // What ended in cgroups that are gone can be asked for no more.
  std::erase_if(ended_, [](const auto& entry) {
    std::error_code ec;
    return !fs::exists(entry.first, ec);
  });
  running_.insert_or_assign(pid, std::move(cgroup));
}

void OwnProcesses::ended(pid_t pid, std::chrono::nanoseconds cpu) {
  const std::scoped_lock lock(mutex_);
  const auto found = running_.find(pid);
  if (found == running_.end()) return;
  ended_[found->second] += cpu;
  running_.erase(found);
}

bool OwnProcesses::has(pid_t pid) const {
  const std::scoped_lock lock(mutex_);
  return running_.contains(pid);
}

std::vector<pid_t> OwnProcesses::all() const {
  const std::scoped_lock lock(mutex_);
  std::vector<pid_t> pids;
  for (const auto& [pid, cgroup] : running_) pids.push_back(pid);
  return pids;
}

std::chrono::nanoseconds OwnProcesses::cpu_time(const fs::path& cgroup) const {
  const std::scoped_lock lock(mutex_);
  std::chrono::nanoseconds sum{0};
  for (const auto& [where, used] : ended_)
    if (is_within(where, cgroup)) sum += used;
  for (const auto& [pid, where] : running_) {
    TaskTimes times;
    if (is_within(where, cgroup) && read_times(proc_, pid, times)) sum += times.ran;
  }
  return sum;
}

std::string read_state(const fs::path& proc, pid_t pid) {
  std::ifstream in(proc / std::to_string(pid) / "stat");
  std::string text, state;
  std::getline(in, text);
  const auto name_end = text.rfind(')');  // "12 (fl-cpu) R 7 ..."
  if (name_end != std::string::npos && name_end + 2 < text.size()) state = text[name_end + 2];
  return state;
}

bool read_times(const fs::path& proc, pid_t pid, TaskTimes& times) {
  std::ifstream in(proc / std::to_string(pid) / "schedstat");
  std::int64_t ran = 0, waited = 0;
  if (!(in >> ran >> waited)) return false;
  times = {std::chrono::nanoseconds(ran), std::chrono::nanoseconds(waited)};
  return true;
}

}  // namespace faultline::agent
