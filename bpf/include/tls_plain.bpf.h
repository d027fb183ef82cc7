/* SPDX-License-Identifier: GPL-2.0-only */
/* A piece of plain bytes that one call of a TLS library carried, and the turns that requests and answers take. Pieces of one
 * connection come in order and complete, one at a time: a program may not use an SSL object in two calls at once. */
#ifndef FAULTLINE_TLS_PLAIN_BPF_H
#define FAULTLINE_TLS_PLAIN_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "bounded.bpf.h"
#include "hist.bpf.h"
#include "tls_plain_abi.h"

/* Has no pointers of the kernel, as it is given to functions that the verifier looks at alone. */
struct fl_plain_piece {
	struct fl_plain_key key;
	__u64 buffer;   /* its bytes, in the memory of the process */
	__u64 first_ns; /* its first byte: when the call of a write began, when that of a read returned */
	__u64 last_ns;  /* its last byte: when the call returned */
	__u32 bytes;
	__u32 written;    /* 1: by the process; 0: read by it */
	__u32 unreadable; /* its memory could not be read */
};

static __always_inline void fl_plain_count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline void fl_plain_gap(struct fl_plain_counts *counts, __u32 gap)
{
	fl_plain_count(&counts->gaps[gap & (FL_PLAIN_GAP_SLOTS - 1)]);
}

/* A function of its own that the verifier looks at once. Not static, so that it does not follow it from each place that calls it. */
__noinline int fl_plain_add_time(struct fl_hist *hist, __u64 ns)
{
	if (hist)
		fl_hist_add_shared(hist, ns);
	return 0;
}

/* Returns the counters of the connection's side; its side is known. */
static __always_inline struct fl_plain_side *fl_plain_side_of(struct fl_plain_counts *counts, const struct fl_plain_connection *conn)
{
	__u64 side = *(const volatile __u8 *)&conn->side;

	asm volatile("" : "+r"(side));
	return &counts->sides[side & 1];
}

/* Returns `n` bytes of the piece, at most 8, from its byte `at` on; the oldest is the highest, and what is missing is 0. */
static __always_inline __u64 fl_plain_bytes(struct fl_plain_piece *p, __u32 at, __u32 n)
{
	__u64 raw = 0;

	if (n > 8)
		n = 8;
	asm volatile("" : "+r"(n));
	if (n < 1 || n > 8)
		return 0;
	if (bpf_probe_read_user(&raw, n, (const void *)(p->buffer + at))) {
		p->unreadable = 1;
		return 0;
	}
	return bpf_be64_to_cpu(raw);
}

/* The connection is not measured from here on, and is a gap. */
static __always_inline void fl_plain_unmeasured(struct fl_plain_connection *conn, struct fl_plain_counts *counts, __u32 gap)
{
	conn->gap = gap;
	conn->pending_ns = 0;
	conn->answer_ns = 0;
	fl_plain_gap(counts, gap);
}

/* The answer that is under way is over. */
static __always_inline void fl_plain_finish(struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	__u64 answer = conn->answer_ns;

	/* The sweep may be here at the same time. */
	if (!answer || __sync_val_compare_and_swap(&conn->answer_ns, answer, 0) != answer)
		return;
	if (conn->asked_ns)
		fl_plain_add_time(&fl_plain_side_of(counts, conn)->duration, answer - conn->asked_ns);
}

static __always_inline void fl_plain_request_begins(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	fl_plain_finish(conn, counts);
	conn->asked_ns = p->first_ns;
	conn->pending_ns = p->last_ns;
	conn->flags &= ~(FL_PLAIN_TUNNEL | FL_PLAIN_EARLY | FL_PLAIN_OVER);
	conn->pieces = p->bytes < FL_PLAIN_SHORT_BYTES;
	conn->have = 0;
}

/* More of a request. Where its answer has begun, the answer was early: what was counted as its latency is none. */
static __always_inline void fl_plain_request_goes_on(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	if (conn->pending_ns) {
		conn->pending_ns = p->last_ns;
	} else if (conn->asked_ns && !(conn->flags & FL_PLAIN_EARLY)) {
		conn->flags |= FL_PLAIN_EARLY;
		fl_plain_gap(counts, FL_PLAIN_GAP_EARLY);
	}
}

/* The answer to the request that waits has begun at `began`. */
static __always_inline void fl_plain_answered(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts, __u64 began)
{
	__u64 asked = conn->pending_ns;

	conn->pending_ns = 0;
	conn->answer_ns = p->last_ns;
	/* A write by one thread may return after the read of its answer by another has. */
	fl_plain_add_time(&fl_plain_side_of(counts, conn)->latency, began > asked ? began - asked : 0);
}

/* More of an answer, or bytes that nobody asked for. Returns 0 for these. */
static __always_inline int fl_plain_answer_goes_on(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	if (conn->answer_ns) {
		conn->answer_ns = p->last_ns;
		return 1;
	}
	if (conn->flags & FL_PLAIN_OVER) {
		conn->flags &= ~FL_PLAIN_OVER;
		fl_plain_gap(counts, FL_PLAIN_GAP_LATE);
		conn->asked_ns = 0;
		conn->answer_ns = p->last_ns;
		return 1;
	}
	return 0;
}

/* ---- bytes of an unknown protocol */

static __always_inline void fl_plain_turn_request(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	if (!conn->pending_ns) {
		fl_plain_request_begins(p, conn, counts);
		return;
	}
	if (p->bytes < FL_PLAIN_SHORT_BYTES)
		conn->pieces++;
	if (p->first_ns > conn->pending_ns + FL_PLAIN_SAME_REQUEST_NS || conn->pieces >= FL_PLAIN_SHORT_PIECES) {
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_SEVERAL);
		return;
	}
	conn->pending_ns = p->last_ns;
}

static __always_inline void fl_plain_turn_answer(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	if (conn->pending_ns)
		fl_plain_answered(p, conn, counts, p->first_ns);
	else if (!fl_plain_answer_goes_on(p, conn, counts) && conn->asked_ns) /* a server may greet before anybody asks */
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_STREAM);
}

/* The connection ends. */
static __always_inline void fl_plain_ends(struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	struct fl_plain_side *side = fl_plain_side_of(counts, conn);

	if (conn->gap || conn->side == FL_PLAIN_NO_SIDE)
		return;
	fl_plain_finish(conn, counts);
	if (!conn->pending_ns)
		return;
	conn->pending_ns = 0;
	fl_plain_count(&side->unanswered);
	if (conn->side != FL_PLAIN_CLIENT)
		return;
	fl_plain_count(&side->failed);
	fl_plain_count(&side->failed_unanswered);
}

#endif
