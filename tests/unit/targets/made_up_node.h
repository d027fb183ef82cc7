// SPDX-License-Identifier: Apache-2.0
// A node's cgroup tree and /proc, made up of ordinary files below a temporary folder.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "agent/targets/pod_places.h"

namespace faultline::agent::test {

class MadeUpNode {
 public:
  MadeUpNode() {
    std::string name = std::filesystem::temp_directory_path() / "faultline-node-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    root_ = name;
    make(root_ / "cgroup");
    process(1, "", kNodeNetns);
  }
  MadeUpNode(const MadeUpNode&) = delete;
  MadeUpNode& operator=(const MadeUpNode&) = delete;
  ~MadeUpNode() { std::filesystem::remove_all(root_); }

  [[nodiscard]] NodeRoots roots() const { return {root_ / "cgroup", root_ / "proc"}; }
  [[nodiscard]] std::string cgroup(const std::string& path) const {
    return root_ / "cgroup" / path;
  }
  std::string make_cgroup(const std::string& path) const {
    make(cgroup(path));
    return cgroup(path);
  }
  // A process that began `started` clock ticks after boot. `cgroup`: below the tree; empty: none.
  void process(int pid, const std::string& cgroup, std::uint64_t netns, int started = 0) const {
    const auto proc = root_ / "proc" / std::to_string(pid);
    make(proc / "ns");
    std::filesystem::remove(proc / "ns/net");
    std::filesystem::create_symlink("net:[" + std::to_string(netns) + "]", proc / "ns/net");
    // A name may hold blanks and brackets.
    std::ofstream(proc / "stat") << pid
                                 << " (a) b (c) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 "
                                 << started << " 9 9\n";
    std::ofstream(proc / "cgroup") << "4:memory:/\n0::/" << cgroup << "\n";
    if (!cgroup.empty())
      std::ofstream(this->cgroup(cgroup + "/cgroup.procs"), std::ios::app) << pid << "\n";
  }
  void cgroup_lines(int pid, const std::string& lines) const {
    std::ofstream(root_ / "proc" / std::to_string(pid) / "cgroup") << lines;
  }
  void remove(int pid, const std::string& cgroup) const {
    std::filesystem::remove_all(root_ / "proc" / std::to_string(pid));
    leave(cgroup);
  }
  void leave(const std::string& cgroup) const {
    std::ofstream(this->cgroup(cgroup + "/cgroup.procs"));
  }

  static constexpr std::uint64_t kNodeNetns = 4026531840;

 private:
  static void make(const std::filesystem::path& path) {
    std::filesystem::create_directories(path);
    if (path.string().find("/cgroup") != std::string::npos) std::ofstream(path / "cgroup.procs");
  }
  std::filesystem::path root_;
};

inline const std::string kUidA = "aaaaaaaa-8c6e-4d0b-9a53-1b9df1d7c2aa";
inline const std::string kUidB = "bbbbbbbb-8c6e-4d0b-9a53-1b9df1d7c2aa";
inline std::string hex_id(char digit) { return std::string(64, digit); }

}  // namespace faultline::agent::test
