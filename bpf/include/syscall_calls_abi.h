/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What syscall_calls.bpf.c and user space share. As fault_abi.h. */
#ifndef FAULTLINE_SYSCALL_CALLS_ABI_H
#define FAULTLINE_SYSCALL_CALLS_ABI_H

#include "slots_abi.h"
#include "syscall_abi.h"

#define FL_CALL_ERRNOS 256u /* include/uapi/asm-generic/errno.h ends at 133; 0: a number beyond. A power of two */

/* What became of one call of one pod. Grows only. */
struct fl_call_effect {
	struct fl_hist latency; /* of all returns, failed ones too */
	__u64 failed[FL_CALL_ERRNOS];
};

/* mmapped array fl_slots: a pod that is measured, by slot. User space fills it while no entry of fl_cgroups names the slot, and from
 * then on writes the cut only. What is counted lies in a map of the pod's own, entry `effects` of fl_call_effects: for the call of
 * index n its entry FL_BANKS * n, and the next one after the cut. */
struct fl_call_watch {
	struct fl_scope scope;
	struct fl_cut cut;
	__u64 since_ns; /* ktime; a call that began before was not seen to begin */
	__u64 missed;   /* returns whose beginning was not seen */
	__u32 effects;
	__u8 _pad[20];
	__u8 index_of[FL_CALL_NUMBERS]; /* by number of the call: index, or FL_CALL_NONE */
};

FL_STATIC_ASSERT(sizeof(struct fl_call_effect) == sizeof(struct fl_hist) + 8 * FL_CALL_ERRNOS, "fl_call_effect");
FL_STATIC_ASSERT(offsetof(struct fl_call_watch, index_of) == 64, "fl_call_watch.index_of");
FL_STATIC_ASSERT(sizeof(struct fl_call_watch) == 576, "fl_call_watch: whole cache lines, so that no two pods share one");

#endif
