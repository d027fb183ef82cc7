/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP/1 in plain bytes: a request begins where a piece begins with a method while none waits, an answer with its status line. */
#ifndef FAULTLINE_TLS_PLAIN_HTTP1_BPF_H
#define FAULTLINE_TLS_PLAIN_HTTP1_BPF_H

#include "http1_words.bpf.h"
#include "tls_plain.bpf.h"

#define FL_PLAIN_HEAD_STEPS 4096 /* bytes of heads of answers that are read one by one in a piece; more are not followed */
#define FL_PLAIN_SCAN_STEP 64
#define FL_PLAIN_SCAN_STEPS 32 /* heads of up to 2 KB are searched for their end */

/* Do these 8 bytes begin a request, in which a path begins after the method's space? For a connection of which nothing else is known. */
static __always_inline int fl_plain_is_request(__u64 first)
{
	__u32 i;

	if (!fl_http1_is_method(first >> 32))
		return 0;
#pragma unroll
	for (i = 3; i < 7; i++) {
		__u8 c = first >> (56 - 8 * i), next = first >> (48 - 8 * i);

		if (c == ' ')
			return next == '/' || next == '*' || next == 'h';
		if (c < 'A' || c > 'Z')
			return 0;
	}
	return (first & 0xff) == ' ';
}

struct fl_plain_scan {
	__u64 buffer;
	__u64 ends; /* where a line feed and a carriage return are next to each other: the high bit of its byte; 0: nowhere so far */
	__u32 at;   /* bytes before those of `ends`, or before the next step */
	__u32 left;
};

/* Eight bytes at a time, so that there are few branches for the verifier to follow. */
static long fl_plain_scan_step(__u32 step, struct fl_plain_scan *scan)
{
	const __u64 ones = 0x0101010101010101ull;
	__u64 words[FL_PLAIN_SCAN_STEP / 8 + 1] = {};
	__u32 n = scan->left, i;

	if (n > sizeof(words))
		n = sizeof(words);
	asm volatile("" : "+r"(n));
	if (n < 1 || n > sizeof(words) || bpf_probe_read_user(words, n, (const void *)(scan->buffer + scan->at)))
		return 1;
#pragma unroll
	for (i = 0; i < FL_PLAIN_SCAN_STEP / 8; i++) {
		__u64 here = words[i], next = here >> 8 | words[i + 1] << 56;
		__u64 other = (here ^ ones * '\n') | (next ^ ones * '\r');

		scan->ends = (other - ones) & ~other & ones << 7; /* where it has a byte of 0; the lowest bit is right */
		if (scan->ends)
			return 1;
		scan->at += 8;
	}
	scan->left = scan->left > FL_PLAIN_SCAN_STEP ? scan->left - FL_PLAIN_SCAN_STEP : 0;
	return 0;
}

/* Does more follow the head in this piece? Without a body that is another request. Only a piece of another length than the last that
 * was searched is searched. The machine is little-endian: the first byte of eight is the lowest. */
static __always_inline int fl_plain_more_follows(struct fl_plain_piece *p, struct fl_plain_connection *conn)
{
	struct fl_plain_scan scan = {.buffer = p->buffer, .left = p->bytes};
	__u32 known = conn->scanned, i;

	if (p->bytes > known - known / 8 && p->bytes < known + known / 8)
		return 0;
	bpf_loop(FL_PLAIN_SCAN_STEPS, fl_plain_scan_step, &scan, 0);
	/* The head ends three bytes after where its last line begins to. */
	for (i = 0; i < 7 && scan.ends && !(scan.ends & 0x80); i++)
		scan.ends >>= 8;
	if (scan.ends && scan.at + i + 3 < p->bytes)
		return 1;
	conn->scanned = p->bytes;
	return 0;
}

/* A request of HTTP/1, or more of one. Not static, as fl_plain_add_time(). */
__noinline int fl_plain_http1_request(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	__u64 first;
	__u32 n;

	if (!p || !conn || !counts)
		return 0;
	n = p->bytes < 8 ? p->bytes : 8;
	first = fl_plain_bytes(p, 0, n);

	if (conn->pending_ns) {
		if (n == 8 && fl_plain_is_request(first))
			fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_SEVERAL);
		else
			fl_plain_request_goes_on(p, conn, counts);
		return 0;
	}
	if (!fl_http1_begins(first, n)) {
		fl_plain_request_goes_on(p, conn, counts);
		return 0;
	}
	fl_plain_request_begins(p, conn, counts);
	if (first >> 32 == FL_HTTP1_CONNECT)
		conn->flags |= FL_PLAIN_TUNNEL;
	/* POST, PUT, PATCH and PROPFIND have a body. */
	if (first >> 56 != 'P' && fl_plain_more_follows(p, conn))
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_SEVERAL);
	return 0;
}

/* The status that a status line at the piece's beginning tells; 0: there is none. */
static __always_inline __u32 fl_plain_status(struct fl_plain_piece *p)
{
	if (p->bytes < FL_HTTP_STATUS_LINE)
		return 0;
	return fl_http1_status_of(fl_plain_bytes(p, 0, 8), fl_plain_bytes(p, 8, 4) >> 32);
}

/* Reads heads of answers byte by byte, over pieces and interim answers, up to a status that is none of these. */
struct fl_plain_head {
	struct fl_plain_piece *p;
	struct fl_plain_connection *conn;
	__u32 at;
	__u32 status; /* that was found */
	__u32 bad;    /* this is no answer of HTTP/1 */
};

static long fl_plain_head_step(__u32 step, struct fl_plain_head *head)
{
	struct fl_plain_piece *p = head->p;
	struct fl_plain_connection *conn = head->conn;
	__u32 status;

	if (head->at >= p->bytes)
		return 1;
	if (!conn->have)
		conn->began_ns = p->first_ns;
	conn->older = conn->older << 8 | conn->text >> 56;
	conn->text = conn->text << 8 | fl_plain_bytes(p, head->at++, 1) >> 56;
	if (conn->have < FL_HTTP_STATUS_LINE) {
		__u32 have = ++conn->have, bits = 8 * have & 63;

		/* So that a few bytes of another protocol are not waited with. */
		if (have <= 6 && (conn->text & ((1ull << bits) - 1)) != FL_HTTP1_NAME >> ((48 - bits) & 63)) {
			head->bad = 1;
			return 1;
		}
		if (have < FL_HTTP_STATUS_LINE)
			return 0;
		status = fl_http1_status_of((__u64)conn->older << 32 | conn->text >> 32, conn->text);
		conn->status = status;
		if (fl_http1_is_interim(status) && status != 101)
			return 0;
		head->status = status;
		head->bad = !status;
		return 1;
	}
	/* An empty line, also where lines end without a carriage return. */
	if ((conn->text & 0xffffff) == 0x0a0d0a || (conn->text & 0xffff) == 0x0a0a)
		conn->have = 0;
	return 0;
}

/* The status of the answer that a request waits for; 0: it is still to come, or the connection is not measured any more. */
static __always_inline int fl_plain_http1_read_on(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	struct fl_plain_head head = {.p = p, .conn = conn};

	bpf_loop(FL_PLAIN_HEAD_STEPS, fl_plain_head_step, &head, 0);
	if (head.bad || (!head.status && head.at < p->bytes)) {
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_UNCLEAR);
		return 0;
	}
	return head.status;
}

/* An answer of HTTP/1, or more of one. Not static, as fl_plain_add_time(). */
__noinline int fl_plain_http1_answer(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	struct fl_plain_side *side;
	__u32 status = 0;
	__u64 class, began;

	if (!p || !conn || !counts)
		return 0;
	side = fl_plain_side_of(counts, conn);
	began = p->first_ns;
	if (!conn->pending_ns) {
		/* The answer to a request that was not seen to begin. */
		if (conn->answer_ns && fl_plain_status(p))
			fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_SEVERAL);
		else
			fl_plain_answer_goes_on(p, conn, counts);
		return 0;
	}
	if (!conn->have)
		status = fl_plain_status(p);
	if (status < 200 && status != 101) {
		status = fl_plain_http1_read_on(p, conn, counts);
		began = conn->began_ns;
	}
	if (!status)
		return 0;
	conn->have = 0;
	if (status == 101) {
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_STREAM);
		return 0;
	}
	fl_plain_answered(p, conn, counts, began);
	class = status / 100;
	asm volatile("" : "+r"(class));
	fl_plain_count(&side->responses[class & 7]);
	if (class == 5)
		fl_plain_count(&side->failed);
	if (class == 2 && (conn->flags & FL_PLAIN_TUNNEL))
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_STREAM);
	return 0;
}

#endif
