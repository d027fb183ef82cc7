/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What syscall_latency.bpf.c and user space share. As fault_abi.h. */
#ifndef FAULTLINE_SYSCALL_LATENCY_ABI_H
#define FAULTLINE_SYSCALL_LATENCY_ABI_H

#include "fault_abi.h"

/* In place of the call of bpf_task_work_schedule_resume(): kernels have it under two names and with two types, of which libbpf
 * can take only one. User space puts the right call there. A number that no helper has. */
#define FL_CALL_SCHEDULE 0x0fa17002

#define FL_SPINS 1024u /* delays to choose from; a power of two */

#define FL_AT_HOOK_SLEEP 0u /* FL_AT_HOOK_*: how a program on a security hook delays the call: it sleeps there, */
#define FL_AT_HOOK_SPIN 1u  /* holds the CPU there, */
#define FL_AT_HOOK_WORK 2u  /* or has a function of ours sleep when the task leaves the kernel */

/* rodata fl_latency */
struct fl_latency_config {
	__u64 pod;   /* id of the pod's cgroup, for programs that sleep: they may not use the map fl_pod */
	__u32 level; /* of that cgroup, the root's is 0 */
	__u32 at_hook; /* FL_AT_HOOK_* */
	__u32 spin_ns[FL_SPINS];
};

FL_STATIC_ASSERT(offsetof(struct fl_latency_config, spin_ns) == 16, "fl_latency_config.spin_ns");
FL_STATIC_ASSERT(sizeof(struct fl_latency_config) == 16 + 4 * FL_SPINS, "fl_latency_config");

#endif
