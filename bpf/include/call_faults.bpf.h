/* SPDX-License-Identifier: GPL-2.0-only */
/* Which faults are on this task? For an object whose programs serve all faults of their kind on the node: a hook is attached once,
 * and what was asked of it for each pod is in maps. Include in one file of an object only: it defines
 *
 *   fl_levels    how deep in the cgroup tree there are faults: those are the depths at which a task is looked at
 *   fl_cgroups   by cgroup: the slots of the faults on its tasks
 *   fl_faults    by slot: a fault's settings, lease, dice and counters
 *
 * A slot is filled before fl_cgroups names it and is named no more before it is emptied (agent/faults/syscalls/call_slots.h). The
 * kernel may give the memory of an entry of fl_cgroups to another cgroup while a program reads it; therefore fl_fault_on_task()
 * compares the cgroup that the slot itself names with those of the task. */
#ifndef FAULTLINE_CALL_FAULTS_BPF_H
#define FAULTLINE_CALL_FAULTS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "syscall.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_CALL_FAULTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct fl_call_fault);
} fl_faults SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_CALL_FAULTS);
	__type(key, __u64);
	__type(value, struct fl_task_faults);
} fl_cgroups SEC(".maps");

/* .bss, mmapped */
__u64 fl_levels; /* a level a byte, the deepest in the lowest; 0: no more */
__u64 fl_cgroup_bits[FL_CGROUP_WORDS]; /* bit n: fl_cgroups may have an id whose lowest bits are n. Else it need not be asked */

/* Returns the faults on the deepest cgroup of this task that has any; those of the cgroups above are among them. NULL: none. */
static __always_inline const struct fl_task_faults *fl_faults_of_task(void)
{
	__u64 levels = *(volatile __u64 *)&fl_levels, cgroup;
	const struct fl_task_faults *faults;
	__u32 i;

	for (i = 0; i < FL_LEVELS && levels; i++, levels >>= 8) {
		cgroup = bpf_get_current_ancestor_cgroup_id(levels & 0xff);
		if (!(fl_cgroup_bits[fl_bounded(cgroup / 64, FL_CGROUP_WORDS)] >> (cgroup & 63) & 1))
			continue;
		faults = bpf_map_lookup_elem(&fl_cgroups, &cgroup);
		if (faults)
			return faults;
	}
	return NULL;
}

/* Returns the nth of these faults; NULL: this task does not have it (any more). */
static __always_inline struct fl_call_fault *fl_fault_on_task(const struct fl_task_faults *faults, __u32 n)
{
	__u32 slot = faults->slot[fl_bounded(n, FL_FAULTS_OF_TASK)];
	struct fl_call_fault *fault = bpf_map_lookup_elem(&fl_faults, &slot);

	if (!fault || bpf_get_current_ancestor_cgroup_id(fault->level) != fault->cgroup)
		return NULL;
	return fault;
}

#endif
