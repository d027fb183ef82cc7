/* SPDX-License-Identifier: GPL-2.0-only */
/* What every fault program does around its own act, in this order, cheapest first:
 *
 *   scope     the hook itself, or a compare      (the program)
 *   armed     fl_armed(&now)                     the lease: armed and before the deadline
 *   filter    fl_filter_match() or the like
 *   matched   fl_matched()                       counts; from here on the event is ours
 *   dice      fl_roll()                          same seed, same decisions
 *   act       the program; then fl_injected() or fl_failed()
 *
 * Include in one file of an object only: it defines the globals fl_lease, fl_seed, fl_event_no and the map fl_counters. */
#ifndef FAULTLINE_FAULT_GUARD_BPF_H
#define FAULTLINE_FAULT_GUARD_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "fault_abi.h"
#include "lease.bpf.h"

struct fl_lease fl_lease;            /* .bss, mmapped: user space renews with a store */
const volatile __u64 fl_seed;        /* rodata */
__u64 fl_event_no[FL_MAX_STREAMS];   /* .bss: matched events so far, by stream */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_counters);
} fl_counters SEC(".maps");

/* As fl_lease_may_be_armed() and fl_lease_is_armed(). */
static __always_inline int fl_may_be_armed(void)
{
	return fl_lease_may_be_armed(&fl_lease);
}

static __always_inline int fl_armed(__u64 *now)
{
	return fl_lease_is_armed(&fl_lease, now);
}

/* Counts the event. NULL cannot happen for a one-entry array; the verifier wants it checked. */
static __always_inline struct fl_counters *fl_matched(void)
{
	__u32 zero = 0;
	struct fl_counters *c = bpf_map_lookup_elem(&fl_counters, &zero);

	if (c)
		c->matched++;
	return c;
}

static __always_inline void fl_injected(struct fl_counters *c, __u64 now)
{
	c->injected++;
	if (!c->first_ns)
		c->first_ns = now;
	c->last_ns = now;
}

/* As fl_matched() and fl_injected(), for programs that another of their kind may interrupt on the same CPU. */
static __always_inline struct fl_counters *fl_matched_shared(void)
{
	__u32 zero = 0;
	struct fl_counters *c = bpf_map_lookup_elem(&fl_counters, &zero);

	if (c)
		__sync_fetch_and_add(&c->matched, 1);
	return c;
}

static __always_inline void fl_injected_shared(struct fl_counters *c, __u64 now)
{
	__sync_fetch_and_add(&c->injected, 1);
	if (!c->first_ns)
		c->first_ns = now;
	c->last_ns = now;
}

static __always_inline void fl_failed(struct fl_counters *c)
{
	c->errors++;
}

/* 64 random bits for the next event of a stream. Which decision an event gets depends on nothing but the seed, the stream
 * and how many matched before it in that stream. The counter is touched only by matched events. */
static __always_inline __u64 fl_next_random(__u32 stream)
{
	__u64 n = __sync_fetch_and_add(&fl_event_no[stream & (FL_MAX_STREAMS - 1)], 1);

	return fl_random(fl_seed, stream, n);
}

/* threshold: of FL_CERTAIN, as fl_threshold() of user space makes it. */
static __always_inline int fl_roll(__u32 stream, __u64 threshold)
{
	__u64 random = fl_next_random(stream);

	return (random >> 32) < threshold;
}

#endif
