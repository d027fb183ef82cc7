/* SPDX-License-Identifier: GPL-2.0-only */
/* Adding to a struct fl_hist (fault_abi.h). */
#ifndef FAULTLINE_HIST_BPF_H
#define FAULTLINE_HIST_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "fault_abi.h"

/* To be checked against FL_HIST_BUCKETS, which the verifier wants. Kept in one register: else the compiler checks one copy and uses
 * the other, and the verifier of Linux 6.1 does not follow. */
static __always_inline __u32 fl_hist_bucket_checked(__u64 ns)
{
	__u32 bucket = fl_hist_bucket(ns);

	asm volatile("" : "+r"(bucket));
	return bucket;
}

/* For a histogram that only one CPU writes. */
static __always_inline void fl_hist_add(struct fl_hist *h, __u64 ns)
{
	__u32 bucket = fl_hist_bucket_checked(ns);

	if (bucket >= FL_HIST_BUCKETS)
		return;
	h->slots[bucket]++;
	h->sum_ns += ns;
	h->count++;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

/* For one that all CPUs share, at the rate of requests. */
static __always_inline void fl_hist_add_shared(struct fl_hist *h, __u64 ns)
{
	__u32 bucket = fl_hist_bucket_checked(ns);
	__u64 max;
	int i;

	if (bucket >= FL_HIST_BUCKETS)
		return;
	__sync_fetch_and_add(&h->slots[bucket], 1);
	__sync_fetch_and_add(&h->sum_ns, ns);
	__sync_fetch_and_add(&h->count, 1);
	for (i = 0; i < 8; i++) { /* another CPU may be in between; eight in a row are not */
		max = *(volatile __u64 *)&h->max_ns;
		if (ns <= max || __sync_val_compare_and_swap(&h->max_ns, max, ns) == max)
			break;
	}
}

#endif
