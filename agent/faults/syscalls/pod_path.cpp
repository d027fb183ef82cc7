// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscalls/pod_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "agent/faults/syscalls/pod_processes.h"
#include "agent/kernel/fd.h"
#include "api/syscalls.h"

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

// The root directory of a process of the pod. They may differ between containers: the first that
// has the path is taken.
Result<std::vector<Fd>> roots_of(const Pod& pod) {
  std::vector<Fd> roots;
  std::vector<std::pair<dev_t, ino_t>> known;
  for (const pid_t pid : processes_of(pod)) {
    Fd root(::open(("/proc/" + std::to_string(pid) + "/root").c_str(), O_PATH | O_CLOEXEC));
    struct stat is {};
    if (!root.valid() || ::fstat(root.get(), &is) != 0) continue;  // it has ended
    const std::pair id{is.st_dev, is.st_ino};
    if (std::find(known.begin(), known.end(), id) != known.end()) continue;
    known.push_back(id);
    roots.push_back(std::move(root));
  }
  if (roots.empty())
    return fail(Errc::kUnavailable,
                "no process of the pod runs: there is nothing to find a path in");
  return roots;
}

Fd open_in(const Fd& root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  return Fd(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
}

bool put_name(const std::string& text, char (&to)[FL_NAME_MAX], std::uint8_t& length) {
  if (text.size() >= FL_NAME_MAX) return false;
  text.copy(to, text.size());
  length = static_cast<std::uint8_t>(text.size());
  return true;
}

Result<fl_path_filter> identify(const Fd& directory, const std::string& begins,
                                const std::string& ends, bool wildcard) {
  struct stat is {};
  if (::fstat(directory.get(), &is) != 0) return fail(from_errno(errno, "cannot look at the path"));
  fl_path_filter filter{};
  filter.on = 1;
  filter.wildcard = wildcard ? 1 : 0;
  filter.inode = is.st_ino;
  // include/linux/kdev_t.h: MKDEV() inside of the kernel.
  filter.device = (static_cast<std::uint32_t>(major(is.st_dev)) << 20) |
                  static_cast<std::uint32_t>(minor(is.st_dev));
  if (!put_name(begins, filter.name_begins, filter.begins_length) ||
      !put_name(ends, filter.name_ends, filter.ends_length))
    return fail(Errc::kInvalid,
                "a name in it is longer than " + std::to_string(FL_NAME_MAX - 1) + " bytes");
  return filter;
}

}  // namespace

Result<fl_path_filter> find_in_pod(const std::string& path, const Pod& pod) {
  const auto pattern = api::parse_path_pattern(path);
  if (!pattern) return fail(pattern.error().with_context("path"));
  auto roots = roots_of(pod);
  if (!roots) return fail(roots.error().with_context("path " + path));
  for (const Fd& root : *roots)
    if (const Fd found = open_in(root, pattern->directory); found.valid())
      return identify(found, pattern->name_begins, pattern->name_ends, pattern->wildcard);
  // Not there yet: whatever will have that name in its directory.
  const fs::path whole(pattern->directory);
  if (!pattern->wildcard)
    for (const Fd& root : *roots)
      if (const Fd parent = open_in(root, whole.parent_path()); parent.valid())
        return identify(parent, whole.filename(), "", false);
  return fail(Errc::kNotFound, "path " + path + ": there is no such directory in the pod");
}

}  // namespace faultline::agent
