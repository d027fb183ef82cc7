// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/pod_places.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>

#include "agent/kernel/fd.h"
#include "agent/kernel/netns.h"
#include "agent/targets/pod_cgroup.h"

namespace faultline::agent {
namespace {

// A pod may make as many cgroups and processes as it is allowed to: we look at so many.
constexpr std::size_t kDeepest = 24;
constexpr std::size_t kMostCgroups = 64;
constexpr std::size_t kMostProcesses = 256;
constexpr std::size_t kLongestFile = 64 * 1024;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

Dir open_dir(int at, const char* path) {
  const int fd = ::openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return nullptr;
  Dir dir(::fdopendir(fd));
  if (!dir) ::close(fd);
  return dir;
}

bool is_directory(DIR* dir, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat info {};
  return ::fstatat(::dirfd(dir), entry.d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISDIR(info.st_mode);
}

// `use(name, inode)` for each directory in `dir`.
template <class Use>
void each_directory(DIR* dir, Use use) {
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && is_directory(dir, *entry)) use(name, entry->d_ino);
  }
}

std::optional<std::string> read_file(int at, const std::string& path) {
  const Fd fd(::openat(at, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return std::nullopt;
  std::string text;
  std::array<char, 4096> buffer{};
  while (text.size() < kLongestFile) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

// The lines of cgroup.procs; 0: a process that our process namespace does not have.
std::vector<pid_t> processes_in(const std::string& cgroup) {
  std::vector<pid_t> pids;
  const auto text = read_file(AT_FDCWD, cgroup + "/cgroup.procs");
  if (!text) return pids;
  std::string_view rest = *text;
  // Whole lines only: the beginning of a number that was cut off is another process's.
  for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    pid_t pid = 0;
    const auto [stop, failed] = std::from_chars(rest.data(), rest.data() + end, pid);
    if (failed == std::errc{} && stop == rest.data() + end) pids.push_back(pid);
    rest.remove_prefix(end + 1);
  }
  return pids;
}

std::optional<NetnsId> netns_at(int at, const std::string& path) {
  std::array<char, 64> link{};
  const ssize_t n = ::readlinkat(at, path.c_str(), link.data(), link.size() - 1);
  constexpr std::string_view kKind = "net:[";
  const std::string_view text(link.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  std::uint64_t inode = 0;
  if (!text.starts_with(kKind)) return std::nullopt;
  const auto [stop, failed] =
      std::from_chars(text.data() + kKind.size(), text.data() + text.size(), inode);
  if (failed != std::errc{} || inode == 0) return std::nullopt;
  return NetnsId{inode};
}

struct Seen {
  NetnsId netns{};
  std::uint64_t started = 0;  // clock ticks after boot
};

// The directory of a process stands for that process and no later one of its number. So: open it,
// see that the number is in the cgroup now, and look through it.
Result<Seen> look_at(const NodeRoots& roots, pid_t pid, const std::string& cgroup) {
  const auto gone = [&](int why) {
    return fail(from_errno(why, "cannot look at process " + std::to_string(pid)));
  };
  const std::string path = roots.proc + "/" + std::to_string(pid);
  const Fd process(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!process.valid()) return gone(errno);
  const auto pids = processes_in(cgroup);
  if (std::find(pids.begin(), pids.end(), pid) == pids.end()) return gone(ENOENT);
  const auto netns = netns_at(process.get(), "ns/net");
  if (!netns) return gone(errno);
  const auto stat = read_file(process.get(), "stat");
  if (!stat) return gone(errno);
  // proc(5): field 22, counted from behind the name, which may hold anything.
  std::size_t at = stat->rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat->find(' ', at + 1);
  if (at == std::string::npos) return gone(ENOENT);
  Seen seen{*netns, 0};
  std::from_chars(stat->data() + at + 1, stat->data() + stat->size(), seen.started);
  return seen;
}

struct Candidate {
  PodProcess process;
  bool named = false;  // of a container that the API knows
  std::uint64_t started = 0;
};

// Of one container and the cgroups below it (CRI-O's "container", systemd in a container).
class Gather {
 public:
  Gather(const NodeRoots& roots, bool named, std::vector<Candidate>& found)
      : roots_(roots), named_(named), found_(found) {}
  void from(const std::string& cgroup, std::size_t depth = 0) {
    if (++cgroups_ > kMostCgroups || depth > kDeepest) return;
    auto pids = processes_in(cgroup);
    // The first process of a container mostly has its lowest number.
    std::ranges::sort(pids);
    for (const pid_t pid : pids) {
      if (pid == 0)
        denied_ = {Errc::kDenied,
                   "its processes are hidden from the agent, which must run with hostPID", 0};
      if (pid <= 0 || ++processes_ > kMostProcesses) continue;
      if (const auto seen = look_at(roots_, pid, cgroup))
        found_.push_back({{pid, cgroup, seen->netns}, named_, seen->started});
      else if (seen.error().code == Errc::kDenied)
        denied_ = seen.error();
    }
    if (const Dir dir = open_dir(AT_FDCWD, cgroup.c_str()))
      each_directory(dir.get(), [&](std::string_view name, ino_t) {
        from(cgroup + "/" + std::string(name), depth + 1);
      });
  }
  [[nodiscard]] const std::optional<Error>& denied() const { return denied_; }

 private:
  const NodeRoots& roots_;
  bool named_;
  std::optional<Error> denied_;
  std::size_t cgroups_ = 0, processes_ = 0;
  std::vector<Candidate>& found_;
};

}  // namespace

struct PodPlaces::Walk {
  Places& places;
  std::set<std::string>& stray;
  void into(DIR* dir, const std::string& path, std::string_view grandparent,
            std::string_view parent, std::size_t depth) {
    each_directory(dir, [&](std::string_view name, ino_t) {
      const std::string below = path + "/" + std::string(name);
      if (auto pod = parse_pod_component(name);
          pod && (!pod->needs_parent || is_pods_parent(grandparent, parent))) {
        if (pod->container_id.empty())
          places[std::move(pod->uid)].insert(below);
        else
          stray.insert(std::move(pod->uid));
        return;
      }
      if (depth >= kDeepest) return;
      const std::string component(name);
      if (const Dir next = open_dir(::dirfd(dir), component.c_str()))
        into(next.get(), below, parent, component, depth + 1);
    });
  }
};

Result<> PodPlaces::scan() {
  const Dir root = open_dir(AT_FDCWD, root_.c_str());
  if (!root) return fail(from_errno(errno, "cannot read the cgroup tree " + root_));
  Places places;
  std::set<std::string> stray;
  Walk{places, stray}.into(root.get(), root_, "", "", 0);
  places_ = std::move(places);
  stray_ = std::move(stray);
  return {};
}

const std::set<std::string>& PodPlaces::of(const std::string& uid) const {
  static const std::set<std::string> kNone;
  const auto found = places_.find(uid);
  return found != places_.end() ? found->second : kNone;
}

Result<std::vector<ContainerPlace>> containers_of(const std::string& pod_directory) {
  const Dir dir = open_dir(AT_FDCWD, pod_directory.c_str());
  if (!dir) return fail(from_errno(errno, "cannot read cgroup " + pod_directory));
  std::vector<ContainerPlace> containers;
  // The number of the entry is that of the directory, which is the id (cgroup_id()).
  each_directory(dir.get(), [&](std::string_view name, ino_t inode) {
    if (std::string id = parse_container_component(name); !id.empty())
      containers.push_back(
          {std::move(id), pod_directory + "/" + std::string(name), CgroupId{inode}});
  });
  std::ranges::sort(containers, {}, &ContainerPlace::id);
  return containers;
}

Result<NetnsId> node_netns(const NodeRoots& roots) {
  if (const auto netns = netns_at(AT_FDCWD, roots.proc + "/1/ns/net")) return *netns;
  // PID 1 may have a capability that we have not, and then it may not be looked at.
  if (errno == EACCES || errno == EPERM) return netns_id("/proc/thread-self/ns/net");
  return fail(from_errno(errno, "cannot read the node's network namespace, that of PID 1"));
}

Result<PodProcess> pick_process(const NodeRoots& roots,
                                const std::vector<ContainerPlace>& containers,
                                const std::set<std::string>& named, NetnsId node,
                                std::optional<NetnsId> before) {
  std::vector<Candidate> found;
  Error why{Errc::kNotFound, "no process of it was found", 0};
  for (const ContainerPlace& container : containers) {
    Gather gather(roots, named.contains(container.id), found);
    gather.from(container.path);
    if (gather.denied()) why = *gather.denied();
  }
  if (found.empty()) return fail(std::move(why));
  const auto rank = [&](const Candidate& c) {
    return std::tuple(before && c.process.netns != *before, c.process.netns == node, c.named,
                      c.started, c.process.pid);
  };
  return std::ranges::min(found, {}, rank).process;
}

bool still_there(const NodeRoots& roots, const PodProcess& process) {
  const auto seen = look_at(roots, process.pid, process.cgroup);
  return seen && seen->netns == process.netns;
}

std::map<std::string, Sighting> sight(const NodeRoots& roots, const std::set<std::string>& uids) {
  std::map<std::string, Sighting> sightings;
  const Dir proc = open_dir(AT_FDCWD, roots.proc.c_str());
  if (!proc) return sightings;
  each_directory(proc.get(), [&](std::string_view name, ino_t) {
    if (name.find_first_not_of("0123456789") != std::string_view::npos) return;
    const auto text = read_file(::dirfd(proc.get()), std::string(name) + "/cgroup");
    std::string_view rest = text ? std::string_view(*text) : std::string_view();
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const auto pod = parse_pod_cgroup(line);
      if (!pod || !uids.contains(pod->uid)) continue;
      Sighting& sighting = sightings[pod->uid];
      if (line.starts_with("0::"))
        sighting.v2_path = line.substr(3);
      else
        sighting.in_v1 = true;
    }
  });
  return sightings;
}

}  // namespace faultline::agent
