/* SPDX-License-Identifier: GPL-2.0-only */
/* Which bank of a collector's counters an event belongs to: docs/decisions/0027-exact-edges.md.
 *
 * Include in one file of an object only: it defines the global fl_cut. */
#ifndef FAULTLINE_CUT_BPF_H
#define FAULTLINE_CUT_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "fault_abi.h"

struct fl_cut fl_cut; /* .bss, mmapped: user space writes it with one store */

/* 0 before the cut, 1 from then on. The clock is only read while a cut is to come. */
static __always_inline __u32 fl_bank(void)
{
	/* volatile: user space writes it, so a value may not be kept from an earlier read */
	__u64 at = *(volatile __u64 *)&fl_cut.at_ns;

	return at && bpf_ktime_get_ns() >= at ? 1 : 0;
}

#endif
