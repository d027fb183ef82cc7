// SPDX-License-Identifier: Apache-2.0
// Which files carry OpenSSL's functions for the processes of a pod, and which processes have TLS
// that is not followed.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/kernel/elf_functions.h"
#include "agent/kernel/fd.h"
#include "base/clock.h"

namespace faultline::agent {

// What changes when a file is written.
struct FileVersion {
  std::int64_t size = 0, seconds = 0, nanoseconds = 0;  // the latter two of its last writing
  static FileVersion of(int fd);
  bool operator==(const FileVersion&) const = default;
  auto operator<=>(const FileVersion&) const = default;
};

// A file with the functions, open, so that it may be attached to when its name is gone.
struct TlsLibrary {
  std::string key;      // of the file, while it is open
  std::string name;     // "libssl.so.3", or that of a program that holds them itself
  std::string process;  // that was found to have it: "nginx (pid 12)"
  Fd file;
  FunctionOffsets functions;
  FileVersion version;
};

// Not thread-safe. Reads /proc; nothing of it runs in the pod.
class TlsLibraries {
 public:
  TlsLibraries(const Clock& clock, std::string cgroup_path)
      : clock_(clock), cgroup_path_(std::move(cgroup_path)) {}
  // Looks at the processes of the cgroup and those below it: at new ones, and again at those that
  // are old, now and then, since a process may run another program or load a library. Returns
  // files that were not returned before.
  [[nodiscard]] std::vector<TlsLibrary> look();
  // A library that was returned cannot be followed, or no longer.
  void cannot_follow(const std::string& key, std::string why);
  // "nginx (pid 12): libssl.so.3 has no symbol SSL_read", one for each reason, of processes that
  // are there.
  [[nodiscard]] std::vector<std::string> not_followed() const;

  // The functions that are looked for; the first two must be there.
  static std::span<const std::string_view> functions();

 private:
  struct Process {
    std::string name;
    int looks = 0;
    SteadyTime next{};
    std::set<std::string> files;  // by their keys in files_: those with TLS
  };
  struct File {
    std::string name, why;  // empty: it is followed
  };
  struct Mapping {
    std::string begin_end, device, inode, base;  // the last: its name without folders
    bool is_program = false;
    [[nodiscard]] std::string key() const { return device + " " + inode; }
  };

  [[nodiscard]] bool is_late() const;
  std::vector<Mapping> mappings_of(pid_t pid, const std::string& program);
  void forget_unused();
  void look_at(pid_t pid, Process& process, std::vector<TlsLibrary>& found);
  void look_into(pid_t pid, const Process& process, const Mapping& mapping,
                 std::vector<TlsLibrary>& found);

  const Clock& clock_;
  std::string cgroup_path_;
  std::map<pid_t, Process> processes_;
  std::map<std::string, File> files_;                      // with TLS
  std::set<std::pair<std::string, FileVersion>> without_;  // keys of programs without TLS
  // Of the look that goes on, or of the last one.
  SteadyTime late_{};
  std::size_t opened_ = 0;  // files
  std::size_t not_looked_at_ = 0;
};

// Ids of the processes in the cgroup and those below it.
[[nodiscard]] std::vector<pid_t> processes_of(const std::string& cgroup_path);

}  // namespace faultline::agent
