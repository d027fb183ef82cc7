/* SPDX-License-Identifier: GPL-2.0-only */
/* Which bank of a collector's counters an event belongs to: docs/decisions/0027-exact-edges.md.
 *
 * Include in one file of an object only: it defines the global fl_cut, unless the object has a cut in each of its slots and says so
 * before with FL_CUT_IN_SLOTS. */
#ifndef FAULTLINE_CUT_BPF_H
#define FAULTLINE_CUT_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "fault_abi.h"

/* 0 before the cut, 1 from then on. The clock is only read while a cut is to come. The cut lies in mapped memory: user space writes
 * it with one store. */
static __always_inline __u32 fl_bank_of(struct fl_cut *cut)
{
	/* volatile: user space writes it, so a value may not be kept from an earlier read */
	__u64 at = *(volatile __u64 *)&cut->at_ns;

	return at && bpf_ktime_get_ns() >= at ? 1 : 0;
}

#ifndef FL_CUT_IN_SLOTS
struct fl_cut fl_cut; /* .bss */

static __always_inline __u32 fl_bank(void)
{
	return fl_bank_of(&fl_cut);
}
#endif

#endif
