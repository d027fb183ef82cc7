// SPDX-License-Identifier: Apache-2.0
#include "testbed/cgroup_limits.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "agent/kernel/cgroup_mounts.h"
#include "agent/targets/controller_dirs.h"
#include "testbed/test_pod.h"

namespace faultline::testbed {
namespace {

namespace fs = std::filesystem;

constexpr const char* kControllers[] = {"cpu", "cpuacct", "memory", "pids"};
constexpr int kPeriod = 100'000;  // us

std::vector<agent::CgroupMount> mounts() {
  auto all = agent::cgroup_mounts();
  if (!all) throw std::runtime_error(all.error().message);
  return *all;
}

void put(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text << std::flush;
  if (!out) throw std::runtime_error("cannot write " + text + " to " + file);
}

double value_of(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  std::string word;
  for (double value = 0; in >> word >> value;)
    if (word == key) return value;
  return 0;
}

}  // namespace

CgroupLimits::CgroupLimits(std::string cgroup2) : cgroup2_(std::move(cgroup2)) {
  std::string root;
  for (const agent::CgroupMount& mount : mounts())
    if (mount.is_v2) root = mount.point;
  const fs::path below = fs::path(cgroup2_).lexically_relative(root);
  std::string in_v2;
  for (const char* controller : kControllers) {
    bool found = false;
    for (const agent::CgroupMount& mount : mounts()) {
      if (!mount.has(controller)) continue;
      const fs::path dir = fs::path(mount.point) / below;
      if (fs::create_directories(dir)) made_.push_back(dir);
      found = true;
    }
    if (!found && std::string(controller) != "cpuacct") in_v2 += std::string(" +") + controller;
  }
  if (in_v2.empty()) return;
  std::string above = root;
  for (const fs::path& name : below) {
    put(above + "/cgroup.subtree_control", in_v2.substr(1));
    above += "/" + name.string();
  }
}

CgroupLimits::~CgroupLimits() {
  for (const std::string& dir : made_) remove_cgroup(dir);
}

std::string CgroupLimits::file(const std::string& controller, const std::string& name) const {
  const auto dirs = agent::controller_dirs(cgroup2_, mounts());
  if (!dirs) throw std::runtime_error(dirs.error().message);
  return dirs->of(controller).path + "/" + name;
}

void CgroupLimits::set_cpus(double cpus) const {
  const auto quota = static_cast<int>(cpus * kPeriod);
  if (is_v1())
    put(file("cpu", "cpu.cfs_quota_us"), std::to_string(cpus > 0 ? quota : -1));
  else
    put(file("cpu", "cpu.max"),
        (cpus > 0 ? std::to_string(quota) : "max") + " " + std::to_string(kPeriod));
}

void CgroupLimits::set_pids(int most) const { put(file("pids", "pids.max"), std::to_string(most)); }

void CgroupLimits::join() const {
  join_cgroup(cgroup2_);
  for (const std::string& dir : made_) join_cgroup(dir);
}

double CgroupLimits::cpu_seconds() const {
  return value_of(cgroup2_ + "/cpu.stat", "usage_usec") * 1e-6;
}

double CgroupLimits::throttled_seconds() const {
  const std::string stat = file("cpu", "cpu.stat");
  return value_of(stat, "throttled_usec") * 1e-6 + value_of(stat, "throttled_time") * 1e-9;
}

}  // namespace faultline::testbed
