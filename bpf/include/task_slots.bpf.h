/* SPDX-License-Identifier: GPL-2.0-only */
/* Which slots are on this task? For an object whose programs serve many pods: a hook is attached once, and what was asked of it for
 * each pod is in a slot. Include in one file of an object only: it defines
 *
 *   fl_levels    how deep in the cgroup tree there are slots: those are the depths at which a task is looked at
 *   fl_cgroups   by cgroup: the slots on its tasks
 *
 * and the object defines fl_slots itself, the mmapped array of its slots, with FL_SLOT_ARRAY(struct ...).
 *
 * A slot is filled before fl_cgroups names it and is named no more before it is emptied (agent/kernel/task_slots.h). The kernel may
 * give the memory of an entry of fl_cgroups to another cgroup while a program reads it; therefore fl_slot_on_task() compares the
 * cgroup that the slot itself names with those of the task. */
#ifndef FAULTLINE_TASK_SLOTS_BPF_H
#define FAULTLINE_TASK_SLOTS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "bounded.bpf.h"
#include "slots_abi.h"

#define FL_SLOT_ARRAY(slot_type)                          \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY);         \
		__uint(max_entries, FL_SLOTS);            \
		__uint(map_flags, BPF_F_MMAPABLE);        \
		__type(key, __u32);                       \
		__type(value, slot_type);                 \
	} fl_slots SEC(".maps")

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_SLOTS);
	__type(key, __u64);
	__type(value, struct fl_task_slots);
} fl_cgroups SEC(".maps");

/* .bss, mmapped */
__u64 fl_levels; /* a level a byte, the deepest in the lowest; 0: no more */
__u64 fl_cgroup_bits[FL_CGROUP_WORDS]; /* bit n: fl_cgroups may have an id whose lowest bits are n. Else it need not be asked */

/* Returns the slots on the deepest cgroup of this task that has any; those of the cgroups above are among them. NULL: none. */
static __always_inline const struct fl_task_slots *fl_slots_of_task(void)
{
	__u64 levels = *(volatile __u64 *)&fl_levels, cgroup;
	const struct fl_task_slots *slots;
	__u32 i;

	for (i = 0; i < FL_LEVELS && levels; i++, levels >>= 8) {
		cgroup = bpf_get_current_ancestor_cgroup_id(levels & 0xff);
		if (!(fl_cgroup_bits[fl_bounded(cgroup / 64, FL_CGROUP_WORDS)] >> (cgroup & 63) & 1))
			continue;
		slots = bpf_map_lookup_elem(&fl_cgroups, &cgroup);
		if (slots)
			return slots;
	}
	return NULL;
}

/* Returns the number of the nth of these slots, to be read once: the memory may be another cgroup's the next time. */
static __always_inline __u32 fl_slot_number(const struct fl_task_slots *slots, __u32 n)
{
	return *(const volatile __u16 *)&slots->slot[fl_bounded(n, FL_SLOTS_OF_TASK)];
}

/* Returns the slot with that number, an entry of `array`, which is fl_slots; NULL: this task does not have it (any more). */
static __always_inline void *fl_slot_if_on_task(void *array, __u32 slot)
{
	const struct fl_scope *scope = bpf_map_lookup_elem(array, &slot);

	if (!scope || bpf_get_current_ancestor_cgroup_id(scope->level) != scope->cgroup)
		return NULL;
	return (void *)scope;
}

/* Returns the nth of these slots as fl_slot_if_on_task() does. */
static __always_inline void *fl_slot_on_task(void *array, const struct fl_task_slots *slots, __u32 n)
{
	return fl_slot_if_on_task(array, fl_slot_number(slots, n));
}

#endif
