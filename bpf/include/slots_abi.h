/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What one object that serves many pods and user space share: which slots of its array are on which tasks. task_slots.bpf.h asks,
 * agent/kernel/task_slots.h tells. As fault_abi.h. */
#ifndef FAULTLINE_SLOTS_ABI_H
#define FAULTLINE_SLOTS_ABI_H

#include "fault_abi.h"

#define FL_SLOTS 1024u        /* of one kind that are in use at once on a node */
#define FL_SLOTS_OF_TASK 32u  /* of these, on one task: on its cgroup and those above it; a power of two */
#define FL_LEVELS 8u          /* depths of the cgroup tree at which slots are, at once */
#define FL_CGROUP_WORDS 64u   /* of bits by which most cgroups are told to have no slot; a power of two */

/* Every slot begins with it: whose tasks are meant. A level of 0 and a cgroup of 0 are nobody's. */
struct fl_scope {
	__u64 cgroup; /* id; the slot is on the tasks in it and below it */
	__u32 level;  /* of that cgroup, the root's is 0 */
	__u32 _pad;
};

/* hash fl_cgroups, by id of a cgroup that slots are on: the slots on its tasks, those of the cgroups above it among them, in the
 * order in which they were shown. */
struct fl_task_slots {
	__u32 count;
	__u32 _pad;
	__u16 slot[FL_SLOTS_OF_TASK];
};

FL_STATIC_ASSERT(sizeof(struct fl_scope) == 16, "fl_scope");
FL_STATIC_ASSERT(sizeof(struct fl_task_slots) == 8 + 2 * FL_SLOTS_OF_TASK, "fl_task_slots");
FL_STATIC_ASSERT((FL_SLOTS_OF_TASK & (FL_SLOTS_OF_TASK - 1)) == 0 && (FL_CGROUP_WORDS & (FL_CGROUP_WORDS - 1)) == 0, "powers of two");

#endif
