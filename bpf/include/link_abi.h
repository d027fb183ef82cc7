/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* networkBandwidth: the narrow link, as BPF programs and user space both compute it, and what its programs share with user space.
 *
 * One link a pod and direction. It sends one packet after the other at its rate, and what comes meanwhile waits in its queue, first
 * come first out. A bucket of `burst` lets what it holds pass at once: the link may be up to that much behind its own schedule.
 * The whole state of a link is the time when it has sent all it was given. Times are ns of ktime. */
#ifndef FAULTLINE_LINK_ABI_H
#define FAULTLINE_LINK_ABI_H

#include "delay_abi.h"

/* rodata fl_link */
struct fl_link_config {
	__u64 bits_per_second;
	__u64 burst_ns; /* what the bucket holds, as time at the rate */
	__u64 queue_ns; /* a packet that finds so much before it is dropped; its own length does not count */
};

struct fl_link_place {
	__u64 due;  /* it goes on then: now, or later; 0: the queue is full, it is dropped */
	__u64 free; /* the link's new state */
};

/* Frames with their link-layer header, as tc counts them. Rounded up, so that the rate is never exceeded. */
static inline __attribute__((always_inline)) __u64 fl_link_ns(__u64 bytes, __u64 bits_per_second)
{
	return (bytes * 8000000000ull + bits_per_second - 1) / bits_per_second;
}

static inline __attribute__((always_inline)) struct fl_link_place fl_link_enter(const volatile struct fl_link_config *link,
									    __u64 free, __u64 now, __u32 bytes)
{
	struct fl_link_place place = {0, free};
	__u64 start = free, floor = now > link->burst_ns ? now - link->burst_ns : 0;

	if (start < floor)
		start = floor; /* the bucket is full */
	if (start > now + link->queue_ns)
		return place;
	place.free = start + fl_link_ns(bytes, link->bits_per_second);
	place.due = place.free > now ? place.free : now;
	return place;
}

/* ---- by EDT (network_bandwidth_edt.bpf.c) -------------------------------------------------------------------------
 * The hash of a packet in the pair. Its low bits choose fq's queue: one a direction for those that wait to the end, one for those
 * that come round, one for those that only came to be cut. */
#define FL_LINK_QUEUE_LAST 0u
#define FL_LINK_QUEUE_ROUND 1u
#define FL_LINK_QUEUE_CUT 2u
#define FL_LINK_QUEUE_MASK 3u
#define FL_LINK_FROM_SHIFT 2     /* direction */
#define FL_LINK_QUEUE_BITS 3     /* all that fq is told to look at (orphan_mask) */
#define FL_LINK_BEHIND 8u        /* another one waited when it came: departures of the two are their lengths apart */
#define FL_LINK_WAIT_SHIFT 4     /* from arrival to due, in units of FL_EDT_UNIT_SHIFT: 275 s at most; 0: did not wait */

/* .bss fl_links[], by direction */
struct fl_link_state {
	__u64 free;     /* fl_link_place */
	__u64 last_out; /* ktime of the last departure that had waited */
	__s64 in_line;  /* packets: while there are any, none passes at once */
	__u64 back;     /* ktime when the last one went on: it may still be in the queue of a CPU */
	__u64 _pad[4];  /* a cache line each */
};

/* per-CPU array fl_link_counters, one entry */
struct fl_link_counters {
	__u64 taken;   /* packets that were taken off their way, as many as they are cut into */
	__u64 dropped; /* of these: the queue was full */
	/* Of those that had to wait behind another one that waited: their bytes, and the time from the departure before to theirs. */
	__u64 bytes;
	__u64 busy_ns;
	__u64 last_ns; /* ktime of the last departure that had waited */
};

FL_STATIC_ASSERT(sizeof(struct fl_link_config) == 24, "fl_link_config");
FL_STATIC_ASSERT(sizeof(struct fl_link_state) == 64, "fl_link_state");
FL_STATIC_ASSERT(sizeof(struct fl_link_counters) == 40, "fl_link_counters");

#endif
