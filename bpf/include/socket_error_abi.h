/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What socket_error_lsm.bpf.c and user space share. As fault_abi.h. */
#ifndef FAULTLINE_SOCKET_ERROR_ABI_H
#define FAULTLINE_SOCKET_ERROR_ABI_H

#include "net_filter_abi.h"
#include "slots_abi.h"

/* Security hooks, each with dice of its own. */
#define FL_SOCK_AT_LISTEN 0u
#define FL_SOCK_AT_ACCEPT 1u
#define FL_SOCK_AT_SENDMSG 2u
#define FL_SOCK_AT_RECVMSG 3u
#define FL_SOCK_HOOKS 4u /* a power of two */

/* mmapped array fl_slots: one armed fault, by slot. User space fills it while no entry of fl_cgroups names the slot, and from then
 * on writes the lease only. All counters are shared by the CPUs and are added to atomically. */
struct fl_sock_fault {
	struct fl_scope scope;
	struct fl_lease lease;
	__u64 seed;
	__u64 probability; /* of FL_CERTAIN */
	__u32 hooks;       /* bit n: calls at FL_SOCK_AT_n are hit */
	__s32 retval;      /* -4095..-1, what the call returns. Negative here, because the verifier loses track of a number that a program negates */
	struct fl_counters counters;
	__u64 asked[FL_SOCK_HOOKS]; /* by hook: calls that matched so far, by which the dice are thrown */
	struct fl_filter_rules rules;
	__u8 _rest[144];
};

FL_STATIC_ASSERT((FL_SOCK_HOOKS & (FL_SOCK_HOOKS - 1)) == 0, "FL_SOCK_HOOKS");
FL_STATIC_ASSERT(offsetof(struct fl_sock_fault, counters) == 56, "fl_sock_fault.counters");
FL_STATIC_ASSERT(offsetof(struct fl_sock_fault, rules) == 136, "fl_sock_fault.rules");
FL_STATIC_ASSERT(sizeof(struct fl_sock_fault) == 512, "fl_sock_fault: whole cache lines, so that no two faults share one");

#endif
