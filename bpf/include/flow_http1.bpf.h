/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP/1 in the clear: a request begins where a segment begins with a method, and an answer with a status line. */
#ifndef FAULTLINE_FLOW_HTTP1_BPF_H
#define FAULTLINE_FLOW_HTTP1_BPF_H

#include "flow_turns.bpf.h"

#define FL_HTTP_SCAN_STEP 32
#define FL_HTTP_SCAN_STEPS 64 /* heads of up to 2 KB are searched for their end */
#define FL_HTTP_STATUS_LINE 12 /* bytes of "HTTP/1.1 200" */
#define FL_HTTP_CONTINUE 25    /* bytes of "HTTP/1.1 100 Continue" and its two line ends */

/* Do these first 8 bytes begin a request of HTTP/1, whatever the protocol? */
static __always_inline int fl_http1_is_request(__u64 first)
{
	switch (first >> 32) {
	case 0x47455420: /* "GET " */
	case 0x48454144: /* "HEAD" */
	case 0x504f5354: /* "POST" */
	case 0x50555420: /* "PUT " */
	case 0x44454c45: /* "DELE" */
	case 0x4f505449: /* "OPTI" */
	case 0x50415443: /* "PATC" */
	case 0x434f4e4e: /* "CONN" */
	case 0x54524143: /* "TRAC" */
		return 1;
	}
	return 0;
}

/* Do they, on a connection that is known to be HTTP/1? A method is any word of at least three capitals. */
static __always_inline int fl_http1_begins(__u64 first)
{
	__u32 i;

#pragma unroll
	for (i = 0; i < 8; i++) {
		__u8 c = first >> (56 - 8 * i);

		if (c == ' ')
			return i >= 3;
		if (c < 'A' || c > 'Z')
			return 0;
	}
	return 1;
}

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

static __always_inline void fl_http1_request(struct fl_turn *t)
{
	__u64 first = fl_payload_bytes(t->skb, t->s);
	/* Less than 8 bytes may be the head of a head. */
	int begins = fl_http1_begins(first) || (t->s->payload < 8 && !t->conn->pending_ns);

	if (begins) {
		t->conn->flags &= ~FL_FLOW_TUNNEL;
		if (first >> 32 == 0x434f4e4e)
			t->conn->flags |= FL_FLOW_TUNNEL;
		/* POST, PUT, PATCH and PROPFIND have a body. */
		if (first >> 56 != 'P' && fl_http1_more_follows(t)) {
			fl_flow_unmeasured(t->conn, t->counters, FL_GAP_SEVERAL);
			return;
		}
	}
	fl_turn_request(t, begins ? FL_BEGINS : FL_GOES_ON);
}

/* The status of the answer at `offset`; 0: it is none. */
static __always_inline __u32 fl_http1_status(struct __sk_buff *skb, __u32 offset)
{
	__u8 b[FL_HTTP_STATUS_LINE];

	if (bpf_skb_load_bytes(skb, offset, b, sizeof(b)) || b[0] != 'H' || b[1] != 'T' || b[2] != 'T' || b[3] != 'P' ||
	    b[4] != '/' || b[5] != '1' || b[9] < '1' || b[9] > '5')
		return 0;
	return (b[9] - '0') * 100 + (b[10] - '0') * 10 + (b[11] - '0');
}

static __always_inline void fl_http1_answer(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	struct fl_flow_service *service = fl_flow_service(conn);
	__u32 status;
	__u64 class;

	if (conn->pending_ns && !fl_turn_is_first(t))
		return;
	status = t->s->payload < FL_HTTP_STATUS_LINE ? 0 : fl_http1_status(t->skb, t->s->data);
	if (!conn->pending_ns) {
		/* The answer to a request that was not seen to begin. */
		if (status && conn->answer_ns)
			fl_flow_unmeasured(conn, t->counters, FL_GAP_SEVERAL);
		else
			fl_turn_goes_on(t);
		return;
	}
	if (status >= 100 && status < 200 && status != 101) {
		if (t->s->payload < FL_HTTP_CONTINUE + FL_HTTP_STATUS_LINE) {
			conn->turn = t->s->seq + t->s->payload;
			return;
		}
		status = fl_http1_status(t->skb, t->s->data + FL_HTTP_CONTINUE);
		if (status == 0 && t->s->payload < 1000) { /* an interim answer with headers of its own */
			conn->turn = t->s->seq + t->s->payload;
			return;
		}
	}
	if (status == 0) {
		fl_flow_unmeasured(conn, t->counters, FL_GAP_UNCLEAR);
		return;
	}
	if (status == 101) {
		conn->kind = FL_KIND_STREAM;
		fl_flow_unmeasured(conn, t->counters, FL_GAP_STREAM);
		return;
	}
	if (!fl_flow_answered(conn, t->now) || !service)
		return;
	class = status / 100;
	asm volatile("" : "+r"(class));
	__sync_fetch_and_add(&service->responses[class & 7], 1);
	if (class == 5)
		__sync_fetch_and_add(&service->failed, 1);
	if (class == 2 && (conn->flags & FL_FLOW_TUNNEL)) {
		conn->kind = FL_KIND_STREAM;
		fl_flow_unmeasured(conn, t->counters, FL_GAP_STREAM);
	}
}

#endif
