/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What the system-call faults and user space share. As fault_abi.h: explicit padding, sizes asserted in both compilers. */
#ifndef FAULTLINE_SYSCALL_ABI_H
#define FAULTLINE_SYSCALL_ABI_H

#include "slots_abi.h"

#define FL_CALL_NUMBERS 512 /* system call numbers that are looked at; today's are below 470 */
#define FL_CALLS 64         /* calls of one fault; a power of two */
#define FL_CALL_NONE 0xffu

#define FL_FD_ANY 0u /* FL_FD_*: kinds of descriptors */
#define FL_FD_REGULAR 1u
#define FL_FD_SOCKET 2u
#define FL_FD_PIPE 3u

#define FL_NAME_MAX 64u /* bytes of one part of a path that are compared, with the 0 at the end */

/* Security hooks, in the order of user space's table of them (agent/kernel/syscalls.cpp). */
enum fl_hook_number {
	FL_HOOK_FILE_OPEN,
	FL_HOOK_FILE_PERMISSION,
	FL_HOOK_FILE_IOCTL,
	FL_HOOK_FILE_FCNTL,
	FL_HOOK_FILE_LOCK,
	FL_HOOK_MMAP_FILE,
	FL_HOOK_FILE_MPROTECT,
	FL_HOOK_INODE_GETATTR,
	FL_HOOK_PATH_TRUNCATE,
	FL_HOOK_PATH_CHMOD,
	FL_HOOK_PATH_CHOWN,
	FL_HOOK_PATH_MKDIR,
	FL_HOOK_PATH_RMDIR,
	FL_HOOK_PATH_UNLINK,
	FL_HOOK_PATH_SYMLINK,
	FL_HOOK_PATH_RENAME,
	FL_HOOK_PATH_LINK,
	FL_HOOK_BPRM_CHECK_SECURITY,
	FL_HOOK_TASK_ALLOC,
	FL_HOOK_TASK_KILL,
	FL_HOOK_SOCKET_CREATE,
	FL_HOOK_SOCKET_BIND,
	FL_HOOK_SOCKET_CONNECT,
	FL_HOOK_SOCKET_LISTEN,
	FL_HOOK_SOCKET_ACCEPT,
	FL_HOOK_SOCKET_SENDMSG,
	FL_HOOK_SOCKET_RECVMSG,
	FL_HOOK_SOCKET_GETSOCKNAME,
	FL_HOOK_SOCKET_GETPEERNAME,
	FL_HOOK_SOCKET_GETSOCKOPT,
	FL_HOOK_SOCKET_SETSOCKOPT,
	FL_HOOK_SOCKET_SHUTDOWN,
	FL_HOOKS
};

/* Which files: a directory by its identity, and what the part of the path right below it is named. */
struct fl_path_filter {
	__u64 inode;
	__u32 device;       /* as struct super_block has it: major << 20 | minor */
	__u8 on;
	__u8 wildcard;      /* the name begins and ends so; else it is name_begins */
	__u8 begins_length; /* both 0 and no wildcard: the directory itself and all below it */
	__u8 ends_length;
	char name_begins[FL_NAME_MAX];
	char name_ends[FL_NAME_MAX];
};

/* What a fault asks for. Thresholds of FL_CERTAIN. */
struct fl_call_config {
	__u64 probability;
	__u64 every; /* only every Nth that matched; 0 and 1: all of them */
	__u64 count; /* at most so many are hit; 0: no bound */
	__u64 after; /* the first N that matched are left alone */
	__s32 retval; /* -4095..-1, what the call returns; 0: nothing. Negative here, because the verifier loses track of a number that a program negates */
	__u32 fd_kind;
	__u8 comm_length; /* 0: every process */
	__u8 _pad[3];
	__u32 node_mounts; /* number of the node's mount namespace; 0: processes of the pod may be in it, no container runtime is told apart */
	char comm[16]; /* padded with zeros, as the names of the path */
	struct fl_path_filter path;
	__u64 on_call;                  /* bit n: the call of index n is hit on the call itself */
	__u8 index_of[FL_CALL_NUMBERS]; /* by number of the call: index into fl_call_fault.calls, or FL_CALL_NONE */
	__s8 fd_arg[FL_CALLS];          /* by index: the argument with the descriptor, or -1 */
};

/* By enum fl_hook_number. The stand-ins are what work is counted as that has no number of a call (io_uring, a
 * 32-bit program): indices into fl_call_fault.calls, or FL_CALL_NONE, and then such work is left alone. */
struct fl_hook_calls {
	__u64 serves;   /* bit n: the call of index n is hit at this hook */
	__u8 stand_in;  /* at a hook that is not told what is to be done */
	__u8 reading;   /* at a hook that is told so by its mask */
	__u8 writing;
	__u8 _pad[5];
};

struct fl_call_counters {
	__u64 matched;
	__u64 injected;
};

/* mmapped array fl_slots: one armed fault, by slot. User space fills it while no entry of fl_cgroups names the slot, and from
 * then on writes the lease only. All counters are shared by the CPUs and are added to atomically: an event that matches takes its
 * number from a shared counter anyway. */
struct fl_call_fault {
	struct fl_scope scope;
	struct fl_lease lease;
	__u64 seed;
	__u64 asked;   /* events that matched so far, by which the dice are thrown */
	__u64 hits;    /* events that the dice chose so far, where config.count bounds them */
	struct fl_counters counters;
	struct fl_call_counters calls[FL_CALLS];
	struct fl_hook_calls hooks[FL_HOOKS];
	struct fl_call_config config;
	__u8 _rest[1664];
};

FL_STATIC_ASSERT(sizeof(struct fl_path_filter) == 16 + 2 * FL_NAME_MAX, "fl_path_filter");
FL_STATIC_ASSERT(offsetof(struct fl_call_config, comm) == 48, "fl_call_config.comm");
FL_STATIC_ASSERT(offsetof(struct fl_call_config, path) == 64, "fl_call_config.path");
FL_STATIC_ASSERT(offsetof(struct fl_call_config, index_of) == 72 + sizeof(struct fl_path_filter), "fl_call_config.index_of");
FL_STATIC_ASSERT(sizeof(struct fl_call_config) == 72 + sizeof(struct fl_path_filter) + FL_CALL_NUMBERS + FL_CALLS, "fl_call_config");
FL_STATIC_ASSERT(offsetof(struct fl_path_filter, name_begins) % 8 == 0 && offsetof(struct fl_path_filter, name_ends) % 8 == 0,
		 "names are compared by 8 bytes");
FL_STATIC_ASSERT(offsetof(struct fl_call_config, node_mounts) == 44, "fl_call_config.node_mounts");
FL_STATIC_ASSERT(sizeof(struct fl_hook_calls) == 16, "fl_hook_calls");
FL_STATIC_ASSERT(sizeof(struct fl_call_counters) == 16, "fl_call_counters");
FL_STATIC_ASSERT(FL_HOOKS == 32, "a power of two: a hook's number is masked");
FL_STATIC_ASSERT((FL_CALLS & (FL_CALLS - 1)) == 0 && (FL_CALL_NUMBERS & (FL_CALL_NUMBERS - 1)) == 0, "powers of two");
FL_STATIC_ASSERT(offsetof(struct fl_call_fault, counters) == 56, "fl_call_fault.counters");
FL_STATIC_ASSERT(offsetof(struct fl_call_fault, calls) == 104, "fl_call_fault.calls");
FL_STATIC_ASSERT(offsetof(struct fl_call_fault, config) == 104 + 16 * FL_CALLS + 16 * FL_HOOKS, "fl_call_fault.config");
FL_STATIC_ASSERT(sizeof(struct fl_call_fault) == 4096, "fl_call_fault: a page, so that no two faults share a cache line");

#endif
