/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP/1 in the clear: a request begins where a segment begins with a method, and an answer with a status line. */
#ifndef FAULTLINE_FLOW_HTTP1_BPF_H
#define FAULTLINE_FLOW_HTTP1_BPF_H

#include "flow_turns.bpf.h"
#include "http1_words.bpf.h"

#define FL_HTTP_SCAN_STEP 32
#define FL_HTTP_SCAN_STEPS 64 /* heads of up to 2 KB are searched for their end */
#define FL_HTTP_HEAD_STEPS 4096 /* bytes of heads of answers that are read one by one in a segment; more are not followed */

struct fl_http1_scan {
	struct __sk_buff *skb;
	__u32 at;   /* offset from the start of the frame */
	__u32 left; /* bytes from there */
	__u32 found; /* a head ends here, and bytes follow */
};

static long fl_http1_scan_step(__u32 step, struct fl_http1_scan *scan)
{
	__u8 b[FL_HTTP_SCAN_STEP + 4] = {};
	__u32 n = scan->left, i;

	if (n < 5)
		return 1;
	if (n > sizeof(b))
		n = sizeof(b);
	asm volatile("" : "+r"(n));
	if (n < 1 || n > sizeof(b) || bpf_skb_load_bytes(scan->skb, scan->at, b, n))
		return 1;
#pragma unroll
	for (i = 0; i < FL_HTTP_SCAN_STEP; i += 2) {
		/* An empty line that begins at an odd place shows as its middle, a line feed before a carriage return. */
		if ((b[i] == '\r' && b[i + 1] == '\n' && b[i + 2] == '\r' && i + 4 < scan->left) ||
		    (b[i] == '\n' && b[i + 1] == '\r' && i + 3 < scan->left)) {
			scan->found = 1;
			return 1;
		}
	}
	scan->at += FL_HTTP_SCAN_STEP;
	scan->left = scan->left > FL_HTTP_SCAN_STEP ? scan->left - FL_HTTP_SCAN_STEP : 0;
	return 0;
}

/* Does more follow the head in this segment? Without a body that is another request. Only a segment of another length than
 * the last that was searched is searched. */
static __always_inline int fl_http1_more_follows(struct fl_turn *t)
{
	struct fl_http1_scan scan = {.skb = t->skb, .at = t->s->data, .left = t->s->payload};
	__u32 known = t->conn->scanned, length = t->s->payload;

	if (length > known - known / 8 && length < known + known / 8)
		return 0;
	bpf_loop(FL_HTTP_SCAN_STEPS, fl_http1_scan_step, &scan, 0);
	if (scan.found)
		return 1;
	t->conn->scanned = length < 0xffff ? length : 0xffff;
	return 0;
}

/* More of a request. Where its answer has begun, the answer was early: what was counted as its latency is none. */
static __always_inline void fl_http1_goes_on(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;

	if (!conn->pending_ns && conn->asked_ns && !(conn->flags & FL_FLOW_EARLY)) {
		conn->flags |= FL_FLOW_EARLY;
		t->counters->gaps[FL_GAP_EARLY]++;
	}
	fl_turn_request(t, FL_GOES_ON);
}

static __always_inline void fl_http1_request(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	__u64 first = fl_payload_bytes(t->skb, t->s);
	__u32 n = t->s->payload < 8 ? t->s->payload : 8, asked = conn->http1.asked;

	/* A method may be spread over segments. */
	if (conn->pending_ns && asked < 8) {
		conn->http1.asked = asked + n < 8 ? asked + n : 8;
		fl_turn_request(t, FL_GOES_ON);
		return;
	}
	if (!fl_http1_begins(first, n) || (conn->pending_ns && n < 8)) {
		fl_http1_goes_on(t);
		return;
	}
	conn->http1.asked = n;
	conn->http1.have = 0;
	conn->flags &= ~FL_FLOW_TUNNEL;
	if (first >> 32 == FL_HTTP1_CONNECT)
		conn->flags |= FL_FLOW_TUNNEL;
	/* POST, PUT, PATCH and PROPFIND have a body. */
	if (first >> 56 != 'P' && fl_http1_more_follows(t)) {
		fl_flow_unmeasured(t, FL_GAP_SEVERAL);
		return;
	}
	fl_turn_request(t, FL_BEGINS);
}

/* The status of the answer at `offset`, whose status line is in this segment. */
static __always_inline __u32 fl_http1_status(struct __sk_buff *skb, __u32 offset)
{
	return fl_http1_status_of(fl_bytes(skb, offset, 8), fl_bytes(skb, offset + 8, 4) >> 32);
}

/* Reads the heads of answers byte by byte, over segments and interim answers, up to a status that is none of these, or to the end of the
 * head of 101. */
struct fl_http1_read {
	struct fl_turn *t;
	__u32 at, end; /* offsets from the start of the frame */
	__u32 status;  /* that was found */
	__u32 bad;     /* this is no answer of HTTP/1 */
};

/* Do the newest 14 bytes say "Upgrade: h2c", from line end to line end? */
static __always_inline int fl_http1_says_h2c(const struct fl_flow_http1 *head)
{
	return (head->text[0] & 0xdfdfdfdfdfdfull) == 0x0a5550475241ull && (head->text[1] & 0xdfdfffffffffffffull) == 0x44453a206832630dull;
}

static long fl_http1_read_step(__u32 step, struct fl_http1_read *read)
{
	struct fl_flow_http1 *head = &read->t->conn->http1;
	__u32 have, bits;

	if (read->at >= read->end)
		return 1;
	if (!head->have) {
		head->began_ns = read->t->now;
		head->is_h2c = 0;
	}
	head->text[0] = head->text[0] << 8 | head->text[1] >> 56;
	head->text[1] = head->text[1] << 8 | fl_bytes(read->t->skb, read->at++, 1) >> 56;
	if (head->have < FL_HTTP_STATUS_LINE) {
		have = ++head->have;
		bits = 8 * have & 63;
		/* So that a few bytes of another protocol are not waited with. */
		if (have <= 6 && (head->text[1] & ((1ull << bits) - 1)) != FL_HTTP1_NAME >> ((48 - bits) & 63)) {
			read->bad = 1;
			return 1;
		}
		if (have < FL_HTTP_STATUS_LINE)
			return 0;
		head->status = fl_http1_status_of(head->text[0] << 32 | head->text[1] >> 32, head->text[1]);
		if (fl_http1_is_interim(head->status))
			return 0;
		read->status = head->status;
		read->bad = !head->status;
		return 1;
	}
	if (fl_http1_says_h2c(head))
		head->is_h2c = 1;
	/* An empty line, also where lines end without a carriage return. */
	if ((head->text[1] & 0xffffff) != 0x0a0d0a && (head->text[1] & 0xffff) != 0x0a0a)
		return 0;
	if (head->status == 101) {
		read->status = 101;
		return 1;
	}
	head->have = 0;
	return 0;
}

/* A request waits, and the segment goes on with its answer's head at offset `at`. The status of the answer; 0: it is still to come, or
 * the connection or the request is not measured any more. A function of its own, as few answers need it. */
static __noinline int fl_http1_read_on(struct fl_turn *t, __u32 at)
{
	struct fl_http1_read read = {.t = t, .at = at, .end = t->s->data + t->s->payload};
	struct fl_flow_connection *conn = t->conn;

	bpf_loop(FL_HTTP_HEAD_STEPS, fl_http1_read_step, &read, 0);
	conn->turn = t->s->seq + (read.at - t->s->data);
	if (read.bad || (!read.status && read.at < read.end)) {
		fl_flow_unmeasured(t, FL_GAP_UNCLEAR);
		return 0;
	}
	/* What comes next has come before, in a segment that was not looked at. */
	if (!read.status && (conn->flags & FL_FLOW_KNOWS_ANSWER) && fl_is_after(conn->answer_end, conn->turn)) {
		conn->http1.have = 0;
		fl_flow_request_missed(conn, t->counters, FL_GAP_LOST);
	}
	return read.status;
}

/* The server changes the protocol, as the client has asked for. */
static __always_inline void fl_http1_upgraded(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;

	if (conn->http1.is_h2c) {
		conn->kind = FL_KIND_HTTP2; /* fl_h2_upgrade() does the rest */
		return;
	}
	conn->kind = FL_KIND_STREAM;
	fl_flow_unmeasured(t, FL_GAP_STREAM);
}

static __always_inline void fl_http1_answer(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	struct fl_flow_service *service = fl_flow_service(t->pod, conn);
	__u32 at = t->s->data, end = at + t->s->payload, status = 0;
	__u64 class, began = t->now;

	if (!conn->pending_ns) {
		/* The answer to a request that was not seen to begin. */
		if (conn->answer_ns && t->s->payload >= FL_HTTP_STATUS_LINE && fl_http1_status(t->skb, at))
			fl_flow_unmeasured(t, FL_GAP_SEVERAL);
		else
			fl_turn_goes_on(t);
		return;
	}
	if (!fl_turn_is_first(t))
		return;
	if (conn->flags & FL_FLOW_KNOWS_ANSWER)
		at += conn->turn - t->s->seq; /* the segment may begin with what has come before */
	if (at >= end)
		return;
	if (!conn->http1.have && end - at >= FL_HTTP_STATUS_LINE)
		status = fl_http1_status(t->skb, at);
	if (!status || fl_http1_is_interim(status)) {
		status = fl_http1_read_on(t, at);
		began = conn->http1.began_ns;
	}
	if (!status)
		return;
	conn->http1.have = 0;
	if (status == 101) {
		fl_http1_upgraded(t);
		return;
	}
	if (!fl_flow_answered(t, began))
		return;
	conn->answer_ns = t->now;
	if (!service)
		return;
	class = status / 100;
	asm volatile("" : "+r"(class));
	__sync_fetch_and_add(&service->responses[class & 7], 1);
	if (class == 5)
		__sync_fetch_and_add(&service->failed, 1);
	if (class == 2 && (conn->flags & FL_FLOW_TUNNEL)) {
		conn->kind = FL_KIND_STREAM;
		fl_flow_unmeasured(t, FL_GAP_STREAM);
	}
}

#endif
