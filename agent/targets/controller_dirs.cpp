// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/controller_dirs.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

// What /proc/PID/cgroup says: the path in cgroup2, and in each hierarchy of cgroup v1.
struct CgroupLines {
  std::string v2;
  std::map<std::string, std::string> v1;  // by controller
};

std::optional<CgroupLines> read_lines(const fs::path& file) {
  std::ifstream in(file);
  if (!in) return std::nullopt;
  CgroupLines lines;
  for (std::string line; std::getline(in, line);) {  // "4:cpu,cpuacct:/kubepods/..."
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string path = line.substr(second + 1);
    std::istringstream names(line.substr(first + 1, second - first - 1));
    bool named = false;
    for (std::string name; std::getline(names, name, ',');) {
      lines.v1[name] = path;
      named = true;
    }
    if (!named) lines.v2 = path;
  }
  return lines;
}

std::vector<pid_t> processes_of(const fs::path& dir) {
  std::vector<pid_t> pids;
  std::ifstream in(dir / "cgroup.procs");
  for (pid_t pid = 0; in >> pid;) pids.push_back(pid);
  return pids;
}

// Of a process in `cgroup2` or below it: its lines, and how much deeper than `cgroup2` it is.
struct Witness {
  CgroupLines lines;
  fs::path deeper;
};
std::optional<Witness> find_witness(const std::string& cgroup2, const fs::path& proc) {
  for (const std::string& dir : cgroups_with_processes(cgroup2))
    for (const pid_t pid : processes_of(dir))
      if (auto lines = read_lines(proc / std::to_string(pid) / "cgroup"))
        return Witness{std::move(*lines), fs::path(dir).lexically_relative(cgroup2)};
  return std::nullopt;
}

// The witness's cgroup of that hierarchy without as many names at the end as it is deeper.
fs::path shown_by(const Witness& witness, const std::string& path) {
  fs::path shown = path;
  if (witness.deeper == ".") return shown;
  for (fs::path rest = witness.deeper; !rest.empty() && rest.filename() == shown.filename();
       rest = rest.parent_path())
    shown = shown.parent_path();
  return shown;
}

// Without it the pod's limits would not act.
bool is_needed(std::string_view controller) {
  return controller == "cpu" || controller == "memory" || controller == "pids";
}

std::optional<double> number_in(const fs::path& file) {
  std::ifstream in(file);
  double value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

std::optional<double> cpus_of(const fs::path& dir, bool is_v1) {
  constexpr double kUsualPeriod = 100'000;  // us
  if (is_v1) {
    const auto quota = number_in(dir / "cpu.cfs_quota_us");
    const auto period = number_in(dir / "cpu.cfs_period_us");
    if (!quota || *quota <= 0) return std::nullopt;
    return *quota / period.value_or(kUsualPeriod);
  }
  std::ifstream in(dir / "cpu.max");  // "max 100000", "50000 100000"
  double quota = 0, period = kUsualPeriod;
  if (!(in >> quota) || quota <= 0) return std::nullopt;
  in >> period;
  return quota / period;
}

// From the cgroup upwards, until `look` says yes.
template <class Look>
void upwards(const ControllerDirs::Place& place, Look look) {
  fs::path dir = place.path;
  const fs::path top = place.mount;
  for (;; dir = dir.parent_path()) {
    if (look(dir) || dir == top || dir == dir.parent_path()) return;
  }
}

}  // namespace

const ControllerDirs::Place& ControllerDirs::of(std::string_view controller) const {
  const auto found = v1.find(controller);
  return found == v1.end() ? v2 : found->second;
}

std::vector<std::string> ControllerDirs::v1_paths() const {
  std::vector<std::string> paths;
  for (const auto& [controller, place] : v1)
    if (std::ranges::find(paths, place.path) == paths.end()) paths.push_back(place.path);
  return paths;
}

Result<ControllerDirs> controller_dirs(const std::string& cgroup2,
                                       const std::vector<CgroupMount>& mounts,
                                       const std::string& proc) {
  const auto v2 = std::ranges::find_if(mounts, &CgroupMount::is_v2);
  if (v2 == mounts.end()) return fail(Errc::kNotFound, "no cgroup2 is mounted");
  const fs::path below = fs::path(cgroup2).lexically_relative(v2->point);
  if (below.empty() || *below.begin() == "..")
    return fail(Errc::kInvalid, cgroup2 + " is not below " + v2->point);
  std::error_code gone;
  if (!fs::is_directory(cgroup2, gone)) return fail(Errc::kNotFound, "no cgroup " + cgroup2);
  ControllerDirs dirs{.v2 = {cgroup2, v2->point}};
  std::optional<Witness> witness;
  for (const CgroupMount& mount : mounts) {
    std::vector<std::string_view> wanted;
    for (const std::string_view controller : kLimitingControllers)
      if (!mount.is_v2 && mount.has(controller)) wanted.push_back(controller);
    if (wanted.empty()) continue;
    std::string path = (fs::path(mount.point) / below).lexically_normal();
    std::error_code ec;
    if (!fs::is_directory(path, ec)) {
      if (!witness) witness = find_witness(cgroup2, proc);
      const std::string first(wanted.front());
      if (!witness || !witness->lines.v1.contains(first)) {
        if (std::ranges::none_of(wanted, is_needed)) continue;
        return fail(Errc::kNotFound,
                    "no process of " + cgroup2 + " shows where its cgroup of " + first + " is");
      }
      const fs::path shown =
          shown_by(*witness, witness->lines.v1.at(first)).lexically_relative(mount.root);
      path = shown == "." ? mount.point : (fs::path(mount.point) / shown).string();
    }
    for (const std::string_view controller : wanted)
      dirs.v1[std::string(controller)] = {path, mount.point};
  }
  return dirs;
}

std::optional<CpuLimit> cpu_limit(const ControllerDirs& dirs) {
  std::optional<CpuLimit> limit;
  bool own = true;
  upwards(dirs.of("cpu"), [&](const fs::path& dir) {
    if (const auto cpus = cpus_of(dir, dirs.is_v1("cpu"))) limit = CpuLimit{*cpus, own};
    own = false;
    return limit.has_value();
  });
  return limit;
}

std::string over_pids_limit(const ControllerDirs& dirs) {
  std::string found;
  upwards(dirs.of("pids"), [&](const fs::path& dir) {
    const auto now = number_in(dir / "pids.current"), most = number_in(dir / "pids.max");
    if (now && most && *now > *most) found = dir;  // "max" is no number
    return !found.empty();
  });
  return found;
}

std::vector<std::string> cgroups_with_processes(const std::string& cgroup2) {
  std::vector<std::string> dirs;
  if (!processes_of(cgroup2).empty()) dirs.push_back(cgroup2);
  std::error_code ec;
  for (fs::directory_iterator it(cgroup2, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code gone;
    if (!it->is_directory(gone) || it->is_symlink(gone)) continue;
    for (std::string& dir : cgroups_with_processes(it->path())) dirs.push_back(std::move(dir));
  }
  return dirs;
}

std::vector<pid_t> processes_below(const std::string& cgroup2) {
  std::vector<pid_t> pids;
  for (const std::string& dir : cgroups_with_processes(cgroup2))
    for (const pid_t pid : processes_of(dir)) pids.push_back(pid);
  return pids;
}

}  // namespace faultline::agent
