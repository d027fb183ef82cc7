/* SPDX-License-Identifier: GPL-2.0-only */
/* Which packets are on their second way: passing_abi.h. Include in one file of an object only: it defines the map fl_passing and the
 * constant fl_passing_tag. */
#ifndef FAULTLINE_PASSING_BPF_H
#define FAULTLINE_PASSING_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "passing_abi.h"

const volatile __u32 fl_passing_tag; /* rodata, 1 to 65535, one for the process; 0: nothing is ever on its second way */

/* User space puts the one map of the process in its place before the object is loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_PASSING_ENTRIES);
	__type(key, __u32);
	__type(value, struct fl_passing);
} fl_passing SEC(".maps");

/* Return the entry of a packet that is on its second way, NULL for every other packet. */
static __always_inline struct fl_passing *fl_passing_of(const struct __sk_buff *skb)
{
	__u32 index = skb->mark & (FL_PASSING_ENTRIES - 1);
	struct fl_passing *entry;

	if (!fl_passing_tag || skb->tc_index != fl_passing_tag || !skb->mark)
		return NULL;
	entry = bpf_map_lookup_elem(&fl_passing, &index);
	return entry && entry->mark == skb->mark ? entry : NULL;
}

#endif
