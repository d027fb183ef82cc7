// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/cgroup_mounts.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

namespace faultline::agent {
namespace {

// mountinfo writes space, tab, newline and backslash as \040 and the like.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && i + 3 < text.size() && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// How much of the hierarchy a mount shows whose root mountinfo gives as `root`. A process in a
// cgroup namespace of its own sees the namespace's root as "/", which is only its own container,
// and what is above it, where the node's mount was given to the container, as "/../..".
int view(std::string_view root) {
  int above = 0;
  for (; root.starts_with("/.."); root.remove_prefix(3)) ++above;
  if (!root.empty() && root != "/") return 0;
  return 1 + above;
}

// Of "rw,cpu,cpuacct" or "rw,name=systemd": all but what every file system has.
std::vector<std::string> controllers_of(const std::string& options) {
  std::vector<std::string> names;
  std::istringstream in(options);
  for (std::string word; std::getline(in, word, ',');)
    if (word != "rw" && word != "ro") names.push_back(word);
  std::ranges::sort(names);
  return names;
}

}  // namespace

bool CgroupMount::has(std::string_view controller) const {
  return std::ranges::find(controllers, controller) != controllers.end();
}

std::vector<CgroupMount> cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> mounts;
  std::istringstream lines{std::string(mountinfo)};
  for (std::string line; std::getline(lines, line);) {
    // id parent major:minor root mountpoint options [optional...] - type source options
    const auto separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    std::istringstream left(line.substr(0, separator)), right(line.substr(separator + 3));
    std::string skip, root, point, type, options;
    if (!(left >> skip >> skip >> skip >> root >> point) || !(right >> type)) continue;
    if (type != "cgroup2" && type != "cgroup") continue;
    right >> skip >> options;
    CgroupMount mount{.point = unescape(point), .root = unescape(root), .is_v2 = type == "cgroup2"};
    if (!mount.is_v2) mount.controllers = controllers_of(options);
    const auto same = std::ranges::find_if(mounts, [&](const CgroupMount& other) {
      return other.is_v2 == mount.is_v2 && other.controllers == mount.controllers;
    });
    if (same == mounts.end())
      mounts.push_back(std::move(mount));
    else if (view(mount.root) > view(same->root))
      *same = std::move(mount);
  }
  return mounts;
}

Result<std::vector<CgroupMount>> cgroup_mounts() {
  std::ifstream in("/proc/self/mountinfo");
  if (!in) return fail(from_errno(errno, "cannot read /proc/self/mountinfo"));
  return cgroup_mounts(std::string(std::istreambuf_iterator<char>(in), {}));
}

}  // namespace faultline::agent
