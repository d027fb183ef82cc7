/* SPDX-License-Identifier: GPL-2.0-only */
/* Is this a task of the pod? For programs on hooks that every process of the node comes by. Include in one file of an object
 * only: it defines the map fl_pod. */
#ifndef FAULTLINE_IN_POD_BPF_H
#define FAULTLINE_IN_POD_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

/* One entry: the pod's cgroup. What is below it is under it. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} fl_pod SEC(".maps");

static __always_inline bool fl_in_pod(void)
{
	return bpf_current_task_under_cgroup(&fl_pod, 0) == 1;
}

#endif
