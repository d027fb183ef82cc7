/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What all BPF programs and user space share; what one family of programs needs beside it is in an *_abi.h of its own. Every struct
 * has explicit padding and its size and offsets are asserted at the bottom, in both compilers. Numbers are host byte order unless a
 * name says _be. */
#ifndef FAULTLINE_FAULT_ABI_H
#define FAULTLINE_FAULT_ABI_H

#ifdef __cplusplus
#include <cstddef>
#include <linux/types.h>
#define FL_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define FL_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
/* bpf_helpers.h has an offsetof that is no constant expression. */
#undef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

/* ---- lease: one per loaded object, in an mmapped global named fl_lease -------------------------------------------
 * Injection happens only while armed != 0 and bpf_ktime_get_ns() < deadline_ns. User space renews with a plain store. */
struct fl_lease {
	__u64 deadline_ns;
	__u32 armed;
	__u32 _pad;
};

/* ---- counters of an armed fault: per-CPU array fl_counters, one entry ------------------------------------------- */
struct fl_counters {
	__u64 matched;     /* events that passed scope and filter while armed */
	__u64 injected;    /* of these, events that were changed */
	__u64 errors;      /* a helper of ours failed: the event passed unchanged */
	__u64 lost_events; /* ring buffer full: an event record was not written */
	__u64 first_ns;    /* ktime of the first injected event on this CPU, 0: none */
	__u64 last_ns;     /* ktime of the last injected event on this CPU, 0: none */
};

/* ---- network filter: its rules and addresses are in net_filter_abi.h ------------------------------------------- */
#define FL_MAX_PORTS 16   /* in one list */
#define FL_MAX_CIDRS 1000 /* networks that a document may name in one list; FL_MAX_ADDRESSES is above it */
#define FL_PROTO_ANY 0
#define FL_PROTO_ICMP_ANY 1 /* ICMP or ICMPv6; others are the IP protocol number */

/* ---- dice: the nth event of a stream is decided by fl_random(seed, stream, n) ------------------------------------- */
#define FL_MAX_STREAMS 8              /* independent sequences of one object, e.g. one a direction; a power of two */
#define FL_CERTAIN (1ull << 32)       /* threshold of probability 1; the upper or lower 32 random bits are below it */

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): the finalizer of the nth state. */
static inline __attribute__((always_inline)) __u64 fl_splitmix64(__u64 x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline __attribute__((always_inline)) __u64 fl_random(__u64 seed, __u32 stream, __u64 n)
{
	return fl_splitmix64(fl_splitmix64(seed + stream) + n * 0x9e3779b97f4a7c15ull);
}

/* ---- networkLoss --------------------------------------------------------------------------------------------------- */
#define FL_LOSS_TO 0u   /* streams */
#define FL_LOSS_FROM 1u
#define FL_LOSS_INDEPENDENT 0u
#define FL_LOSS_CORRELATED 1u
#define FL_LOSS_BURST 2u
#define FL_LOSS_MOST_FATES 64u /* packets of one GSO packet whose dice are thrown before it is cut: they are bits of fl_delay_slot.due_ns */
#define FL_LOSS_MOST_IN_PAIR 448 /* packets in the pair that cuts; less than half of what a CPU's backlog holds */
#define FL_LOSS_FORGOTTEN_NS 100000000ull /* what has not come back from the pair for so long was dropped in it */
#define FL_LOSS_CUT 4u /* fl_delay_slot.flags: it is a part of a piece that loses some */
#define FL_LOSS_THROWN_LATER 2u /* fl_delay_slot.flags: the dice of its parts are thrown as they come back */

/* rodata fl_loss. Thresholds of FL_CERTAIN. */
struct fl_loss_config {
	__u32 model;
	__u32 _pad;
	__u64 loss;        /* independent, correlated */
	__u64 correlation; /* a packet copies its predecessor's fate */
	__u64 enter_bad;   /* burst: p, good -> bad after a packet */
	__u64 leave_bad;   /* burst: r, bad -> good after a packet */
	__u64 bad_loss;
	__u64 good_loss;
	__u64 start_bad;   /* burst: pi, the long-run share of the bad state, for the first packet */
};

/* ---- socketError --------------------------------------------------------------------------------------------------- */
#define FL_SOCK_SOCKET 0u /* streams: each operation has its own dice */
#define FL_SOCK_BIND 1u
#define FL_SOCK_CONNECT 2u
#define FL_SOCK_SENDMSG 3u
#define FL_SOCK_SETSOCKOPT 4u
#define FL_SOCK_GETSOCKOPT 5u

/* rodata fl_config */
struct fl_sock_config {
	__u32 error; /* errno, 1..4095 */
	__u32 _pad;
	__u64 probability; /* of FL_CERTAIN */
};

/* ---- histograms: 32 steps to each power of two from 1.024 us, one underflow bucket (0) --------------------------- */
#define FL_HIST_SUB_BITS 5
#define FL_HIST_SUB (1u << FL_HIST_SUB_BITS)
#define FL_HIST_MIN_SHIFT 10 /* values below 2^10 ns are in bucket 0 */
#define FL_HIST_MAX_SHIFT 37 /* values of 2^37 ns (137 s) and more are in the last bucket */
#define FL_HIST_BUCKETS ((FL_HIST_MAX_SHIFT - FL_HIST_MIN_SHIFT) * FL_HIST_SUB + 2)

struct fl_hist {
	__u64 sum_ns;
	__u64 max_ns;
	__u64 count;
	__u32 slots[FL_HIST_BUCKETS];
};

/* ---- where a window of effects ends (cut.bpf.h) ------------------------------------------------------------------- */
#define FL_BANKS 2u

/* .bss fl_cut of a collector, mmapped. What happens before at_ns is counted in bank 0, what happens from then on in bank 1.
 * User space reads bank 0 alone once the time has come, writes 0, and from then on reads both again: banks only ever grow. */
struct fl_cut {
	__u64 at_ns; /* ktime; 0: no cut is coming, all is counted in bank 0 */
};

static inline __attribute__((always_inline)) __u32 fl_log2_u64(__u64 v)
{
	__u32 r = 0;
	if (v >> 32) { v >>= 32; r += 32; }
	if (v >> 16) { v >>= 16; r += 16; }
	if (v >> 8) { v >>= 8; r += 8; }
	if (v >> 4) { v >>= 4; r += 4; }
	if (v >> 2) { v >>= 2; r += 2; }
	if (v >> 1) r += 1;
	return r;
}

static inline __attribute__((always_inline)) __u32 fl_hist_bucket(__u64 ns)
{
	__u32 shift, step; /* no casts: C++ compiles this too, with -Wold-style-cast */
	if (ns < (1ull << FL_HIST_MIN_SHIFT))
		return 0;
	shift = fl_log2_u64(ns);
	if (shift >= FL_HIST_MAX_SHIFT)
		return FL_HIST_BUCKETS - 1;
	step = (ns >> (shift - FL_HIST_SUB_BITS)) & (FL_HIST_SUB - 1);
	return 1 + (shift - FL_HIST_MIN_SHIFT) * FL_HIST_SUB + step;
}

FL_STATIC_ASSERT(sizeof(struct fl_lease) == 16, "fl_lease");
FL_STATIC_ASSERT(sizeof(struct fl_counters) == 48, "fl_counters");
FL_STATIC_ASSERT(sizeof(struct fl_loss_config) == 64, "fl_loss_config");
FL_STATIC_ASSERT(offsetof(struct fl_loss_config, loss) == 8, "fl_loss_config.loss");
FL_STATIC_ASSERT(sizeof(struct fl_sock_config) == 16, "fl_sock_config");
FL_STATIC_ASSERT(FL_HIST_BUCKETS == 866, "fl_hist buckets");
FL_STATIC_ASSERT(sizeof(struct fl_cut) == 8, "fl_cut");
FL_STATIC_ASSERT(sizeof(struct fl_hist) == 24 + 4 * FL_HIST_BUCKETS, "fl_hist");

#endif
