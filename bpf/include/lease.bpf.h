/* SPDX-License-Identifier: GPL-2.0-only */
/* What a fault's programs ask of its lease, and count in its counters, wherever those lie. No state. */
#ifndef FAULTLINE_LEASE_BPF_H
#define FAULTLINE_LEASE_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include "fault_abi.h"

/* Is it armed, whether or not its deadline has passed? For programs that ask their filter before they read the clock.
 * volatile: user space writes the lease, so a value may not be kept from an earlier read. */
static __always_inline bool fl_lease_may_be_armed(struct fl_lease *lease)
{
	return *(volatile __u32 *)&lease->armed != 0;
}

static __always_inline bool fl_lease_is_armed(struct fl_lease *lease, __u64 *now)
{
	if (!fl_lease_may_be_armed(lease))
		return false;
	*now = bpf_ktime_get_ns();
	return *now < *(volatile __u64 *)&lease->deadline_ns;
}

/* In counters that all CPUs share, by programs that another of their kind may interrupt. */
static __always_inline void fl_count_injected(struct fl_counters *counters, __u64 now)
{
	__sync_fetch_and_add(&counters->injected, 1);
	if (!counters->first_ns)
		__sync_val_compare_and_swap(&counters->first_ns, 0, now);
	if (counters->last_ns < now)
		counters->last_ns = now;
}

#endif
