// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/syscalls.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace faultline::agent {
namespace {

using enum HookSees;

constexpr std::string_view kDirectory = "the directory's lock (i_rwsem)";

// `held`: docs/decisions/0009 says where the kernel takes it.
constexpr std::array kHooks{
    SecurityHook{FL_HOOK_FILE_OPEN, "file_open", kFile},
    SecurityHook{FL_HOOK_FILE_PERMISSION, "file_permission", kFile,
                 "the lock of the file's position (f_pos_lock)"},
    SecurityHook{FL_HOOK_FILE_IOCTL, "file_ioctl", kFile},
    SecurityHook{FL_HOOK_FILE_FCNTL, "file_fcntl", kFile},
    SecurityHook{FL_HOOK_FILE_LOCK, "file_lock", kFile},
    SecurityHook{FL_HOOK_MMAP_FILE, "mmap_file", kFile},
    SecurityHook{FL_HOOK_FILE_MPROTECT, "file_mprotect", kNothing,
                 "the lock of the process's memory (mmap_lock)"},
    SecurityHook{FL_HOOK_INODE_GETATTR, "inode_getattr", kPath},
    SecurityHook{FL_HOOK_PATH_TRUNCATE, "path_truncate", kPath,
                 "the file system's protection against freezing"},
    SecurityHook{FL_HOOK_PATH_CHMOD, "path_chmod", kPath, "the file's lock (i_rwsem)"},
    SecurityHook{FL_HOOK_PATH_CHOWN, "path_chown", kPath, "the file's lock (i_rwsem)"},
    SecurityHook{FL_HOOK_PATH_MKDIR, "path_mkdir", kPath, kDirectory},
    SecurityHook{FL_HOOK_PATH_RMDIR, "path_rmdir", kPath, kDirectory},
    SecurityHook{FL_HOOK_PATH_UNLINK, "path_unlink", kPath, kDirectory},
    SecurityHook{FL_HOOK_PATH_SYMLINK, "path_symlink", kPath, kDirectory},
    SecurityHook{FL_HOOK_PATH_RENAME, "path_rename", kPath,
                 "the locks of the directories (i_rwsem, s_vfs_rename_mutex)"},
    SecurityHook{FL_HOOK_PATH_LINK, "path_link", kPath, kDirectory},
    SecurityHook{FL_HOOK_BPRM_CHECK_SECURITY, "bprm_check_security", kFile,
                 "the lock of the process's credentials (cred_guard_mutex)"},
    SecurityHook{FL_HOOK_TASK_ALLOC, "task_alloc", kNothing},
    SecurityHook{FL_HOOK_TASK_KILL, "task_kill", kNothing,
                 "the lock of the list of processes (RCU, tasklist_lock)"},
    SecurityHook{FL_HOOK_SOCKET_CREATE, "socket_create", kNothing},
    SecurityHook{FL_HOOK_SOCKET_BIND, "socket_bind", kFile},
    SecurityHook{FL_HOOK_SOCKET_CONNECT, "socket_connect", kFile},
    SecurityHook{FL_HOOK_SOCKET_LISTEN, "socket_listen", kFile},
    SecurityHook{FL_HOOK_SOCKET_ACCEPT, "socket_accept", kFile},
    SecurityHook{FL_HOOK_SOCKET_SENDMSG, "socket_sendmsg", kFile},
    SecurityHook{FL_HOOK_SOCKET_RECVMSG, "socket_recvmsg", kFile},
    SecurityHook{FL_HOOK_SOCKET_GETSOCKNAME, "socket_getsockname", kFile},
    SecurityHook{FL_HOOK_SOCKET_GETPEERNAME, "socket_getpeername", kFile},
    SecurityHook{FL_HOOK_SOCKET_GETSOCKOPT, "socket_getsockopt", kFile},
    SecurityHook{FL_HOOK_SOCKET_SETSOCKOPT, "socket_setsockopt", kFile},
    SecurityHook{FL_HOOK_SOCKET_SHUTDOWN, "socket_shutdown", kFile},
};
static_assert(kHooks.size() == FL_HOOKS);

constexpr int kNoHook = -1;

struct Row {
  std::string_view name;
  int number;
  int hook = kNoHook;
  std::string_view function{};  // where it is not the name
};

#define CALL(name, ...) \
  Row { #name, SYS_##name, __VA_ARGS__ }

// The old calls that newer architectures do not have. The names of the functions are those of
// SYSCALL_DEFINE in fs/stat.c and others.
constexpr std::array kRows {
#if defined(SYS_open)
  CALL(open, FL_HOOK_FILE_OPEN), CALL(creat, FL_HOOK_FILE_OPEN),
      CALL(stat, FL_HOOK_INODE_GETATTR, "newstat"), CALL(lstat, FL_HOOK_INODE_GETATTR, "newlstat"),
      CALL(access, kNoHook), CALL(mkdir, FL_HOOK_PATH_MKDIR), CALL(rmdir, FL_HOOK_PATH_RMDIR),
      CALL(unlink, FL_HOOK_PATH_UNLINK), CALL(rename, FL_HOOK_PATH_RENAME),
      CALL(link, FL_HOOK_PATH_LINK), CALL(symlink, FL_HOOK_PATH_SYMLINK),
      CALL(chmod, FL_HOOK_PATH_CHMOD), CALL(chown, FL_HOOK_PATH_CHOWN),
      CALL(fork, FL_HOOK_TASK_ALLOC), CALL(vfork, FL_HOOK_TASK_ALLOC),
#endif
#if defined(SYS_renameat)
      CALL(renameat, FL_HOOK_PATH_RENAME),
#endif
      CALL(openat, FL_HOOK_FILE_OPEN), CALL(openat2, FL_HOOK_FILE_OPEN),
      CALL(newfstatat, FL_HOOK_INODE_GETATTR), CALL(statx, FL_HOOK_INODE_GETATTR),
      CALL(faccessat, kNoHook), CALL(faccessat2, kNoHook), CALL(mkdirat, FL_HOOK_PATH_MKDIR),
      CALL(unlinkat, FL_HOOK_PATH_UNLINK), CALL(renameat2, FL_HOOK_PATH_RENAME),
      CALL(linkat, FL_HOOK_PATH_LINK), CALL(symlinkat, FL_HOOK_PATH_SYMLINK),
      CALL(fchmodat, FL_HOOK_PATH_CHMOD), CALL(fchownat, FL_HOOK_PATH_CHOWN),
      CALL(truncate, FL_HOOK_PATH_TRUNCATE), CALL(read, FL_HOOK_FILE_PERMISSION),
      CALL(pread64, FL_HOOK_FILE_PERMISSION), CALL(readv, FL_HOOK_FILE_PERMISSION),
      CALL(preadv, FL_HOOK_FILE_PERMISSION), CALL(preadv2, FL_HOOK_FILE_PERMISSION),
      CALL(write, FL_HOOK_FILE_PERMISSION), CALL(pwrite64, FL_HOOK_FILE_PERMISSION),
      CALL(writev, FL_HOOK_FILE_PERMISSION), CALL(pwritev, FL_HOOK_FILE_PERMISSION),
      CALL(pwritev2, FL_HOOK_FILE_PERMISSION), CALL(fsync, kNoHook), CALL(fdatasync, kNoHook),
      CALL(sync_file_range, kNoHook), CALL(fallocate, FL_HOOK_FILE_PERMISSION),
      CALL(ftruncate, kNoHook), CALL(fstat, FL_HOOK_INODE_GETATTR, "newfstat"),
      CALL(lseek, kNoHook), CALL(fcntl, FL_HOOK_FILE_FCNTL), CALL(flock, FL_HOOK_FILE_LOCK),
      CALL(ioctl, FL_HOOK_FILE_IOCTL), CALL(getdents64, FL_HOOK_FILE_PERMISSION),
      CALL(fchmod, FL_HOOK_PATH_CHMOD), CALL(fchown, FL_HOOK_PATH_CHOWN), CALL(close, kNoHook),
      CALL(brk, kNoHook), CALL(mmap, FL_HOOK_MMAP_FILE), CALL(mremap, kNoHook),
      CALL(mprotect, FL_HOOK_FILE_MPROTECT), CALL(madvise, kNoHook), CALL(mlock, kNoHook),
      CALL(memfd_create, kNoHook), CALL(socket, FL_HOOK_SOCKET_CREATE),
      CALL(socketpair, FL_HOOK_SOCKET_CREATE), CALL(bind, FL_HOOK_SOCKET_BIND),
      CALL(connect, FL_HOOK_SOCKET_CONNECT), CALL(listen, FL_HOOK_SOCKET_LISTEN),
      CALL(accept, FL_HOOK_SOCKET_ACCEPT), CALL(accept4, FL_HOOK_SOCKET_ACCEPT),
      CALL(sendto, FL_HOOK_SOCKET_SENDMSG), CALL(sendmsg, FL_HOOK_SOCKET_SENDMSG),
      CALL(sendmmsg, FL_HOOK_SOCKET_SENDMSG), CALL(recvfrom, FL_HOOK_SOCKET_RECVMSG),
      CALL(recvmsg, FL_HOOK_SOCKET_RECVMSG), CALL(recvmmsg, FL_HOOK_SOCKET_RECVMSG),
      CALL(shutdown, FL_HOOK_SOCKET_SHUTDOWN), CALL(setsockopt, FL_HOOK_SOCKET_SETSOCKOPT),
      CALL(getsockopt, FL_HOOK_SOCKET_GETSOCKOPT), CALL(getsockname, FL_HOOK_SOCKET_GETSOCKNAME),
      CALL(getpeername, FL_HOOK_SOCKET_GETPEERNAME), CALL(clone, FL_HOOK_TASK_ALLOC),
      CALL(clone3, FL_HOOK_TASK_ALLOC), CALL(execve, FL_HOOK_BPRM_CHECK_SECURITY),
      CALL(execveat, FL_HOOK_BPRM_CHECK_SECURITY), CALL(kill, FL_HOOK_TASK_KILL),
      CALL(tgkill, FL_HOOK_TASK_KILL), CALL(wait4, kNoHook), CALL(waitid, kNoHook),
      CALL(prlimit64, kNoHook),
};
#undef CALL

const Row* row_of(const api::Syscall& call) {
  const auto row = std::ranges::find(kRows, call.name, &Row::name);
  return row == kRows.end() ? nullptr : &*row;
}

#if defined(__aarch64__)
constexpr std::string_view kPrefix = "__arm64_sys_";
#else
constexpr std::string_view kPrefix = "__x64_sys_";
#endif

}  // namespace

int syscall_number(const api::Syscall& call) {
  const Row* row = row_of(call);
  return row == nullptr ? -1 : row->number;
}

std::string syscall_function(const api::Syscall& call) {
  const Row* row = row_of(call);
  const std::string_view name =
      row != nullptr && !row->function.empty() ? row->function : call.name;
  return std::string(kPrefix) + std::string(name);
}

const SecurityHook* security_hook(const api::Syscall& call) {
  const Row* row = row_of(call);
  return row == nullptr || row->hook == kNoHook ? nullptr
                                                : &kHooks[static_cast<std::size_t>(row->hook)];
}

const SecurityHook& security_hook(fl_hook_number number) { return kHooks[number]; }

Transfer transfer(const api::Syscall& call) {
  static constexpr std::array<std::string_view, 5> kReads{"read", "pread64", "readv", "preadv",
                                                          "preadv2"};
  static constexpr std::array<std::string_view, 5> kWrites{"write", "pwrite64", "writev", "pwritev",
                                                           "pwritev2"};
  if (std::ranges::find(kReads, call.name) != kReads.end()) return Transfer::kReads;
  if (std::ranges::find(kWrites, call.name) != kWrites.end()) return Transfer::kWrites;
  return Transfer::kNone;
}

}  // namespace faultline::agent
