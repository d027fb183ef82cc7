/* SPDX-License-Identifier: GPL-2.0-only */
/* TLS: the records of both directions are followed by their headers (RFC 8446 section 5.1). What counts is application data:
 *
 *   TLS 1.2  all records of type 23: the client speaks first, after its own Finished, which is of type 22.
 *   TLS 1.3  the rest of the handshake is of type 23, too. The server says its part before the client does. The client's part ends with
 *            its Finished, which is known by its length. Then the server may send session tickets: two or more records of one length
 *            are tickets. A single one that comes when the first request is under way may be a ticket or the answer:
 *            when the client goes on to ask, it was the answer, else the request counts as not measured. */
#ifndef FAULTLINE_FLOW_TLS_BPF_H
#define FAULTLINE_FLOW_TLS_BPF_H

#include "flow_turns.bpf.h"

#define FL_TLS_HEADER 5
#define FL_TLS_MOST (16384 + 2048) /* longest record */
#define FL_TLS_RECORDS 64          /* followed in one segment */
#define FL_TLS_ALERT_RECORD 21
#define FL_TLS_HANDSHAKE_RECORD 22
#define FL_TLS_DATA_RECORD 23
#define FL_TLS_FINISHED_256 53 /* a Finished of SHA-256: 4 + 32 bytes, one of type, 16 of the cipher */
#define FL_TLS_FINISHED_384 69
#define FL_TLS_ALERT_13 19     /* 2 bytes, one of type, 16 of the cipher */
#define FL_TLS_TICKET_LEAST 74
#define FL_TLS_TICKET_MOST 4096
#define FL_TLS_HANDSHAKE_TRIES 6
#define FL_TLS_EXTENSIONS 32

struct fl_tls_walk {
	struct fl_turn *t;
	__u32 client; /* the segment is of the client */
	__u32 bad;    /* not a record */
	__u32 asks;   /* it has data of a request */
	__u32 answers; /* it has data of an answer */
};

static __always_inline int fl_tls_is_header(__u64 first)
{
	__u32 type = first >> 56, version = (first >> 48) & 0xff, length = (first >> 24) & 0xffff;

	return type >= 20 && type <= 24 && version == 3 && length <= FL_TLS_MOST;
}

/* Of five bytes, as by which clients of PostgreSQL and MySQL end: in TLS 1.3, and in TLS 1.2 by AES-GCM and by ChaCha20. */
static __always_inline int fl_tls_is_goodbye(__u32 length)
{
	return length == 22 || length == 29 || length == 21;
}

static __always_inline void fl_tls_client_data(struct fl_tls_walk *w, struct fl_flow_tls *tls, __u32 length)
{
	struct fl_flow_connection *conn = w->t->conn;

	switch (conn->phase) {
	case FL_TLS_HELLO: /* early data */
		fl_flow_unmeasured(w->t, FL_GAP_TLS_UNCLEAR);
		return;
	case FL_TLS_13:
		if (length == FL_TLS_FINISHED_256 || length == FL_TLS_FINISHED_384)
			conn->phase = FL_TLS_TICKETS;
		else if (++conn->tries > FL_TLS_HANDSHAKE_TRIES)
			fl_flow_unmeasured(w->t, FL_GAP_TLS_UNCLEAR);
		return;
	case FL_TLS_HANDSHAKE: /* no such record of the server came before: TLS 1.2 */
		conn->phase = FL_TLS_OPEN;
		break;
	}
	if (conn->flags & FL_FLOW_ALERT) { /* the end does not go on, so it was no alert */
		fl_flow_unmeasured(w->t, FL_GAP_TLS_UNCLEAR);
		return;
	}
	if (length == FL_TLS_ALERT_13 && (conn->flags & (FL_FLOW_TLS13 | FL_FLOW_OLD))) {
		conn->flags |= FL_FLOW_ALERT;
		return;
	}
	if (conn->flags & FL_FLOW_MAYBE_ALERT) {
		fl_flow_unmeasured(w->t, FL_GAP_TLS_UNCLEAR);
		return;
	}
	if ((conn->flags & FL_FLOW_DATABASE) && !conn->pending_ns && !w->asks && fl_tls_is_goodbye(length))
		conn->flags |= FL_FLOW_GOODBYE;
	else
		conn->flags &= ~FL_FLOW_GOODBYE;
	tls->data = 1;
	w->asks = 1;
}

static __always_inline void fl_tls_server_data(struct fl_tls_walk *w, struct fl_flow_tls *tls, __u32 length)
{
	struct fl_flow_connection *conn = w->t->conn;

	switch (conn->phase) {
	case FL_TLS_HELLO:
	case FL_TLS_HANDSHAKE:
		conn->phase = FL_TLS_13;
		conn->flags |= FL_FLOW_TLS13;
		return;
	case FL_TLS_13:
		/* The server goes on, so it has the client's Finished: it was in a record with other messages. */
		if (conn->tries)
			fl_flow_unmeasured(w->t, FL_GAP_TLS_UNCLEAR);
		return;
	case FL_TLS_TICKETS:
		if (length < FL_TLS_TICKET_LEAST || length > FL_TLS_TICKET_MOST)
			break;
		if (!conn->ticket) {
			conn->ticket = length;
			if (conn->pending_ns)
				conn->held_ns = w->t->now;
			return;
		}
		if (conn->ticket == length) {
			conn->held_ns = 0;
			return;
		}
		break;
	}
	if (length == FL_TLS_ALERT_13 && (conn->flags & (FL_FLOW_TLS13 | FL_FLOW_OLD)) && conn->pending_ns) {
		conn->flags |= FL_FLOW_MAYBE_ALERT;
		return;
	}
	tls->data = 1;
	w->answers = 1;
}

static __always_inline void fl_tls_record(struct fl_tls_walk *w, struct fl_flow_tls *tls, __u32 type, __u32 length)
{
	struct fl_flow_connection *conn = w->t->conn;

	tls->data = 0;
	if (type == FL_TLS_DATA_RECORD) {
		if (w->client)
			fl_tls_client_data(w, tls, length);
		else
			fl_tls_server_data(w, tls, length);
	} else if (type == FL_TLS_HANDSHAKE_RECORD && !w->client && conn->phase == FL_TLS_HELLO) {
		conn->phase = FL_TLS_HANDSHAKE;
	}
}

/* One record header. 1: the segment is at its end. */
static long fl_tls_step(__u32 step, struct fl_tls_walk *w)
{
	struct fl_segment *s = w->t->s;
	struct fl_flow_tls *tls = &w->t->conn->tls[w->client ? 0 : 1];
	__u32 end = s->seq + s->payload, at = tls->next + tls->have, n = end - at, have = tls->have;
	__u64 head;

	if (!fl_is_after(end, at) || w->t->conn->gap)
		return 1;
	if (have >= FL_TLS_HEADER) /* cannot be */
		return 1;
	if (n > FL_TLS_HEADER - have)
		n = FL_TLS_HEADER - have;
	head = tls->head | fl_bytes(w->t->skb, s->data + (at - s->seq), n) >> (8 * have);
	have += n;
	if (have < FL_TLS_HEADER) {
		tls->head = head;
		tls->have = have;
		return 1;
	}
	if (!fl_tls_is_header(head)) {
		w->bad = 1;
		return 1;
	}
	tls->head = 0;
	tls->have = 0;
	tls->next += FL_TLS_HEADER + ((head >> 24) & 0xffff);
	fl_tls_record(w, tls, head >> 56, (head >> 24) & 0xffff);
	return 0;
}

/* Follows the records of the segment. 0: they cannot be followed. */
static __always_inline int fl_tls_follow(struct fl_tls_walk *w)
{
	struct fl_segment *s = w->t->s;
	struct fl_flow_connection *conn = w->t->conn;
	struct fl_flow_tls *tls = &conn->tls[w->client ? 0 : 1];
	__u32 end = s->seq + s->payload;

	if (tls->lost) {
		if (!fl_tls_is_header(fl_payload_bytes(w->t->skb, s)) || s->payload < FL_TLS_HEADER)
			return 0;
		tls->lost = 0;
		tls->next = s->seq;
		tls->have = 0;
		tls->head = 0;
	} else if (fl_is_after(s->seq, tls->next + tls->have)) {
		tls->lost = 1;
		return 0;
	}
	if (tls->data && fl_is_after(tls->next, s->seq)) {
		if (w->client)
			w->asks = 1;
		else
			w->answers = 1;
	}
	bpf_loop(FL_TLS_RECORDS, fl_tls_step, w, 0);
	if (w->bad || fl_is_after(end, tls->next + tls->have))
		tls->lost = 1;
	return !w->bad;
}

struct fl_tls_hello {
	struct __sk_buff *skb;
	__u32 at, end; /* offsets from the start of the frame */
	__u32 http2;
	__u32 whole;   /* all extensions were seen */
};

static long fl_tls_extension(__u32 step, struct fl_tls_hello *h)
{
	__u64 b = 0;
	__u32 type, length, name;

	if (h->at + 4 > h->end) {
		h->whole = h->at == h->end;
		return 1;
	}
	b = fl_bytes(h->skb, h->at, 4);
	type = b >> 48;
	length = (b >> 32) & 0xffff;
	if (type == 16) { /* ALPN (RFC 7301): the first names of the list are looked at */
		b = fl_bytes(h->skb, h->at + 6, 3);
		name = (b >> 56) + 1;
		h->http2 = (b >> 40) == 0x026832; /* "h2" with its length */
		if (!h->http2 && length > 2 + name)
			h->http2 = (fl_bytes(h->skb, h->at + 6 + name, 3) >> 40) == 0x026832;
		h->whole = 1;
		return 1;
	}
	h->at += 4 + length;
	return 0;
}

/* May the connection become HTTP/2? A hello that is not whole in its first segment may hide it. */
static __always_inline int fl_tls_offers_http2(struct fl_turn *t)
{
	struct fl_tls_hello h = {.skb = t->skb};
	__u32 at = t->s->data + FL_TLS_HEADER + 4 + 2 + 32, end = t->s->data + t->s->payload, length;

	h.end = t->s->data + FL_TLS_HEADER + ((fl_bytes(t->skb, t->s->data, 5) >> 24) & 0xffff);
	if (end < at || h.end > end)
		return 1;
	at += 1 + (fl_bytes(t->skb, at, 1) >> 56);  /* session */
	at += 2 + (fl_bytes(t->skb, at, 2) >> 48);  /* cipher suites */
	at += 1 + (fl_bytes(t->skb, at, 1) >> 56);  /* compression */
	length = fl_bytes(t->skb, at, 2) >> 48;
	h.at = at + 2;
	if (h.at + length != h.end)
		return at < h.end; /* without extensions there is no HTTP/2 */
	bpf_loop(FL_TLS_EXTENSIONS, fl_tls_extension, &h, 0);
	return h.http2 || !h.whole;
}

/* The first data of the client begins a TLS connection. */
static __always_inline void fl_tls_begin(struct fl_turn *t)
{
	t->conn->kind = FL_KIND_TLS;
	t->conn->tls[0].next = t->s->seq;
	t->conn->tls[1].lost = !(t->conn->flags & FL_FLOW_KNOWS_ANSWER);
	t->conn->tls[1].next = t->conn->answer_end;
	if (t->s->payload >= 64 && fl_tls_offers_http2(t))
		fl_flow_unmeasured(t, FL_GAP_TLS_HTTP2);
}

static __always_inline void fl_tls_request(struct fl_turn *t)
{
	struct fl_tls_walk w = {.t = t, .client = 1};

	if (!fl_tls_follow(&w)) {
		fl_flow_request_missed(t->conn, t->counters, FL_GAP_LOST);
		return;
	}
	if (!w.asks)
		return;
	fl_flow_settle_held(t);
	if (t->conn->ticket && t->conn->answer_ns)
		t->conn->phase = FL_TLS_OPEN;
	fl_turn_request(t, FL_UNTOLD);
}

static __always_inline void fl_tls_answer(struct fl_turn *t)
{
	struct fl_tls_walk w = {.t = t};
	struct fl_flow_connection *conn = t->conn;

	if (!fl_tls_follow(&w)) {
		fl_flow_request_missed(conn, t->counters, FL_GAP_LOST);
		return;
	}
	if (!w.answers)
		return;
	if (conn->phase == FL_TLS_TICKETS)
		conn->phase = FL_TLS_OPEN;
	if (conn->held_ns) { /* a ticket before the answer, or the answer's beginning? */
		fl_flow_request_missed(conn, t->counters, FL_GAP_TICKET);
		return;
	}
	if (!conn->pending_ns)
		fl_turn_goes_on(t);
	else if (fl_turn_is_older(t))
		fl_flow_unmeasured(t, FL_GAP_SEVERAL);
	else
		fl_flow_answered(t, t->now);
}

#endif
