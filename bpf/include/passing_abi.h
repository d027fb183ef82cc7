/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Packets on their second way: those that a line of ours gives back to the device where it took them, and that must pass the hooks
 * there once, without being taken, lost or counted anew. One table for all objects of the process, array fl_passing.
 *
 * Such a packet has in skb->mark the mark of an entry, and in skb->tc_index the tag of the process. The hook that took it puts back
 * what was there before. A mark that somebody else wrote has no entry, so it exempts nothing. */
#ifndef FAULTLINE_PASSING_ABI_H
#define FAULTLINE_PASSING_ABI_H

#include "fault_abi.h"

/* Entries; the index is the low bits of the mark. More than the kernel's backlog (1 000 packets a CPU) holds between the two hooks. */
#define FL_PASSING_ENTRIES 65536u

struct fl_passing {
	__u32 mark;  /* 0: free */
	__u32 owner; /* fl_line_config.owner: who gives it back */
	__u32 number; /* the owner's number of it: fl_delay_slot */
	__u32 _pad;
};

FL_STATIC_ASSERT(sizeof(struct fl_passing) == 16, "fl_passing");

#endif
