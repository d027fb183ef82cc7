/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What bpf/effects/tcp_socket.bpf.c and its reader share. As fault_abi.h: explicit padding, sizes asserted in both compilers. */
#ifndef FAULTLINE_EFFECT_ABI_TCP_H
#define FAULTLINE_EFFECT_ABI_TCP_H

#include "fault_abi.h"

/* per-CPU array fl_tcp_hists, by bank: which + FL_TCP_HISTS * bank */
#define FL_TCP_RTT 0u
#define FL_TCP_CONNECT 1u
#define FL_TCP_HISTS 2u

#define FL_TCP_CONNECTS 16384 /* connects in progress that are remembered at once */
#define FL_TCP_FRESH 4096     /* connections that may begin while the collector starts */
#define FL_TCP_MOVED 1024     /* connects while the hooks are moved, which takes microseconds */
/* A call may be held up between the two places (preempted, or on a CPU that an emulator takes away for 100 ms). A socket whose
 * next connect() comes sooner loses one attempt, if the one before fell into a move, which takes microseconds. */
#define FL_TCP_SAME_CALL_NS 200000000ull
#define FL_TCP_ERRNOS 4096    /* include/linux/err.h: MAX_ERRNO 4095 */

/* .bss fl_tcp_counts[], by bank: grows only, but for unsent. Written with atomics by all CPUs. */
struct fl_tcp_counts {
	__u64 attempts;     /* connect() on a TCP socket reached our hook */
	__u64 opened;       /* connects that became established */
	__u64 retransmits;  /* segments */
	__s64 unsent;       /* entries of fl_tcp_connects without a SYN yet; user space takes away those it gives up */
	__u64 table_full;   /* connects that fl_tcp_connects had no room for at the hook */
	__u64 fresh_full;   /* connections that fl_tcp_fresh had no room for */
	__u64 flags_failed; /* sockets whose callbacks could not be switched on */
	__u64 hist_failed;  /* values without a histogram */
	__u64 abandoned;    /* connects that the program gave up before they were answered */
	__u64 reset_unused; /* connections that the peer reset before a byte went either way */
	__u64 rtt_late;     /* round trips in which the peer may have waited before it acknowledged */
	__u64 rtt_no_room;  /* round trips of sockets that the kernel gave us no memory for */
	__u64 failed[FL_TCP_ERRNOS]; /* connects that failed, by errno; 0: the kernel refused at once */
};

/* value of fl_tcp_connects, by socket cookie */
struct fl_tcp_connect {
	__u64 asked_ns; /* ktime of connect(), 0: it was called before the hook was there */
	__u64 syn_ns;   /* ktime of the first SYN, 0: none yet */
};

/* value of fl_tcp_rounds, by socket: as of its last round trip */
struct fl_tcp_round {
	__u32 sent;    /* sequence number after all that had been sent */
	__u32 retrans; /* segments sent again since the socket's beginning */
	__u32 opened;  /* 1: the pod opened the connection */
};

FL_STATIC_ASSERT(sizeof(struct fl_tcp_round) == 12, "fl_tcp_round");
FL_STATIC_ASSERT(sizeof(struct fl_tcp_counts) == 96 + 8 * FL_TCP_ERRNOS, "fl_tcp_counts");
FL_STATIC_ASSERT(offsetof(struct fl_tcp_counts, failed) == 96, "fl_tcp_counts.failed");
FL_STATIC_ASSERT(sizeof(struct fl_tcp_connect) == 16, "fl_tcp_connect");

#endif
