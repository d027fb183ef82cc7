/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What syscall_latency.bpf.c and user space share. As fault_abi.h. */
#ifndef FAULTLINE_SYSCALL_LATENCY_ABI_H
#define FAULTLINE_SYSCALL_LATENCY_ABI_H

#include "syscall_abi.h"

/* In place of the call of bpf_task_work_schedule_resume(): kernels have it under two names and with two types, of which libbpf
 * can take only one. User space puts the right call there. A number that no helper has. */
#define FL_CALL_SCHEDULE 0x0fa17002

#define FL_SPINS 512u /* delays to choose from; a power of two */
#define FL_WAITS_OF_FAULT 8192u /* calls of one fault that wait at once: it leaves pages to the others */

/* FL_WAY_*: how a program delays a call. rodata fl_way: how those of this object do. */
#define FL_WAY_SLEEP 0u /* at the end of the call, or in the program on a security hook */
#define FL_WAY_SPIN 1u  /* it holds the CPU */
#define FL_WAY_WORK 2u  /* a function of ours sleeps when the task leaves the kernel */

/* .bss fl_latencies, by slot: what a fault has beside its fl_call_fault. User space writes all but `served`, and only while no
 * program is within the slot; but `ticket`, which it takes back when the fault ends. */
struct fl_latency_slot {
	__u64 ticket;   /* of this fault and of no other of this node, later ones have greater ones; 0: it has ended */
	__u64 since_ns; /* ktime from which on calls that begin are meant */
	__u32 way;      /* FL_WAY_*: programs of the other ways leave it alone */
	__u32 _pad;
	struct fl_hist served;    /* how long those waits lasted that did not end early */
	__u32 spin_ns[FL_SPINS];
};

FL_STATIC_ASSERT(offsetof(struct fl_latency_slot, served) == 24, "fl_latency_slot.served");
FL_STATIC_ASSERT(sizeof(struct fl_hist) % 8 == 0, "fl_hist before fl_latency_slot.spin_ns");
FL_STATIC_ASSERT(sizeof(struct fl_latency_slot) == 24 + sizeof(struct fl_hist) + 4 * FL_SPINS, "fl_latency_slot");

#endif
