// SPDX-License-Identifier: Apache-2.0
#include "api/syscalls.h"

#include <algorithm>
#include <array>

#include "api/codec.h"

namespace faultline::api {
namespace {

using enum SyscallGroup;
using enum SyscallObject;

constexpr std::array kTable{
    // names of files
    Syscall{"open", file, path},
    Syscall{"openat", file, path},
    Syscall{"openat2", file, path},
    Syscall{"creat", file, path},
    Syscall{"stat", file, path},
    Syscall{"lstat", file, path},
    Syscall{"newfstatat", file, path},
    Syscall{"statx", file, path},
    Syscall{"access", file, path},
    Syscall{"faccessat", file, path},
    Syscall{"faccessat2", file, path},
    Syscall{"mkdir", file, path},
    Syscall{"mkdirat", file, path},
    Syscall{"rmdir", file, path},
    Syscall{"unlink", file, path},
    Syscall{"unlinkat", file, path},
    Syscall{"rename", file, path},
    Syscall{"renameat", file, path},
    Syscall{"renameat2", file, path},
    Syscall{"link", file, path},
    Syscall{"linkat", file, path},
    Syscall{"symlink", file, path},
    Syscall{"symlinkat", file, path},
    Syscall{"chmod", file, path},
    Syscall{"fchmodat", file, path},
    Syscall{"chown", file, path},
    Syscall{"fchownat", file, path},
    Syscall{"truncate", file, path},
    // what is done with an open file
    Syscall{"read", io, fd, 0},
    Syscall{"pread64", io, fd, 0},
    Syscall{"readv", io, fd, 0},
    Syscall{"preadv", io, fd, 0},
    Syscall{"preadv2", io, fd, 0},
    Syscall{"write", io, fd, 0},
    Syscall{"pwrite64", io, fd, 0},
    Syscall{"writev", io, fd, 0},
    Syscall{"pwritev", io, fd, 0},
    Syscall{"pwritev2", io, fd, 0},
    Syscall{"fsync", io, fd, 0},
    Syscall{"fdatasync", io, fd, 0},
    Syscall{"sync_file_range", io, fd, 0},
    Syscall{"fallocate", io, fd, 0},
    Syscall{"ftruncate", io, fd, 0},
    Syscall{"fstat", io, fd, 0},
    Syscall{"lseek", io, fd, 0},
    Syscall{"fcntl", io, fd, 0},
    Syscall{"flock", io, fd, 0},
    Syscall{"ioctl", io, fd, 0},
    Syscall{"getdents64", io, fd, 0},
    Syscall{"fchmod", io, fd, 0},
    Syscall{"fchown", io, fd, 0},
    Syscall{"close", io, fd, 0},
    // memory
    Syscall{"brk", memory},
    Syscall{"mmap", memory},
    Syscall{"mremap", memory},
    Syscall{"mprotect", memory},
    Syscall{"madvise", memory},
    Syscall{"mlock", memory},
    Syscall{"memfd_create", memory},
    // sockets
    Syscall{"socket", network},
    Syscall{"socketpair", network},
    Syscall{"bind", network, fd, 0},
    Syscall{"connect", network, fd, 0},
    Syscall{"listen", network, fd, 0},
    Syscall{"accept", network, fd, 0},
    Syscall{"accept4", network, fd, 0},
    Syscall{"sendto", network, fd, 0},
    Syscall{"sendmsg", network, fd, 0},
    Syscall{"sendmmsg", network, fd, 0},
    Syscall{"recvfrom", network, fd, 0},
    Syscall{"recvmsg", network, fd, 0},
    Syscall{"recvmmsg", network, fd, 0},
    Syscall{"shutdown", network, fd, 0},
    Syscall{"setsockopt", network, fd, 0},
    Syscall{"getsockopt", network, fd, 0},
    Syscall{"getsockname", network, fd, 0},
    Syscall{"getpeername", network, fd, 0},
    // processes
    Syscall{"clone", process},
    Syscall{"clone3", process},
    Syscall{"fork", process},
    Syscall{"vfork", process},
    Syscall{"execve", process, path},
    Syscall{"execveat", process, path},
    Syscall{"kill", process},
    Syscall{"tgkill", process},
    Syscall{"wait4", process},
    Syscall{"waitid", process},
    Syscall{"prlimit64", process},
};

constexpr std::array kGroups{file, io, memory, network, process};

struct Refused {
  std::string_view name, why;
};
constexpr std::array kRefused{
    Refused{"exit", "a thread that cannot end is no fault that a program could meet"},
    Refused{"exit_group", "a process that cannot end is no fault that a program could meet"},
    Refused{"rt_sigreturn", "it cannot fail: the kernel kills the process instead"},
    Refused{"rt_sigaction", "a program that cannot handle signals cannot be stopped cleanly"},
    Refused{"restart_syscall", "only the kernel makes this call"},
    Refused{"futex", "a lock that fails corrupts memory: no kernel lets it fail this way"},
};

std::string nearest_to(std::string_view word) {
  std::vector<std::string_view> words;
  for (const Syscall& call : kTable) words.push_back(call.name);
  for (const SyscallGroup group : kGroups) words.push_back(group_name(group));
  return nearest_word(word, words);
}

}  // namespace

std::span<const Syscall> syscall_table() { return kTable; }

const Syscall* find_syscall(std::string_view name) {
  const auto found = std::ranges::find(kTable, name, &Syscall::name);
  return found == kTable.end() ? nullptr : &*found;
}

std::string_view group_name(SyscallGroup group) {
  switch (group) {  // no default: a new group must be thought about here
    case file:
      return "file";
    case io:
      return "io";
    case memory:
      return "memory";
    case network:
      return "network";
    case process:
      return "process";
  }
  return "";
}

Result<std::vector<const Syscall*>> expand_syscalls(const std::vector<std::string>& words) {
  std::vector<const Syscall*> calls;
  for (const std::string& word : words) {
    if (const auto refused = std::ranges::find(kRefused, word, &Refused::name);
        refused != kRefused.end())
      return fail(Errc::kInvalid, word + " is refused: " + std::string(refused->why));
    const std::size_t before = calls.size();
    for (const Syscall& call : kTable)
      if (call.name == word || group_name(call.group) == word) calls.push_back(&call);
    if (calls.size() > before) continue;
    std::string text =
        "must be a system call or one of the groups file, io, memory, network, process, got \"" +
        word + "\"";
    if (const std::string near = nearest_to(word); !near.empty())
      text += "; did you mean " + near + "?";
    return fail(Errc::kInvalid, std::move(text));
  }
  std::ranges::sort(calls);  // pointers into one table: its order
  calls.erase(std::ranges::unique(calls).begin(), calls.end());
  return calls;
}

Result<PathPattern> parse_path_pattern(std::string_view text) {
  if (text.empty() || text.front() != '/') return fail(Errc::kInvalid, "must begin with /");
  while (text.size() > 1 && text.ends_with('/')) text.remove_suffix(1);
  for (const std::string_view part : {"/../", "/./", "//"})
    if ((std::string(text) + "/").find(part) != std::string::npos && text != "/")
      return fail(Errc::kInvalid, "must not hold " + std::string(part));
  PathPattern pattern;
  const std::size_t star = text.find('*');
  if (star == std::string_view::npos) {
    pattern.directory = text;
    return pattern;
  }
  const std::size_t slash = text.rfind('/');
  if (star < slash || text.find('*', star + 1) != std::string_view::npos)
    return fail(Errc::kInvalid, "may hold one *, in its last part: /data/*.wal");
  pattern.directory = slash == 0 ? "/" : std::string(text.substr(0, slash));
  pattern.name_begins = text.substr(slash + 1, star - slash - 1);
  pattern.name_ends = text.substr(star + 1);
  pattern.wildcard = true;
  return pattern;
}

}  // namespace faultline::api
