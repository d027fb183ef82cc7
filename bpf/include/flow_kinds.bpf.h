/* SPDX-License-Identifier: GPL-2.0-only */
/* The door of the classifier: what is a connection, and what does a segment mean for it? */
#ifndef FAULTLINE_FLOW_KINDS_BPF_H
#define FAULTLINE_FLOW_KINDS_BPF_H

#include "flow_http1.bpf.h"
#include "flow_http2.bpf.h"
#include "flow_messages.bpf.h"
#include "flow_tls.bpf.h"

#define FL_POSTGRES_MAJOR 3 /* version of the protocol */
#define FL_POSTGRES_CANCEL 0x04d2162eu /* a connection of its own, which nobody answers */
#define FL_POSTGRES_TLS 0x04d2162fu /* "may I speak TLS?" */
#define FL_POSTGRES_GSS 0x04d21630u

/* The first message of PostgreSQL: its length, then the version of the protocol, or that another connection's query is to be cancelled. */
static __always_inline int fl_postgres_begins(__u64 first)
{
	__u32 length = first >> 32, code = first;

	return length < 10000 && (code >> 16 == FL_POSTGRES_MAJOR || code == FL_POSTGRES_CANCEL);
}

/* A frame of HTTP/2 (RFC 9113 section 4.1)? Length, type and flags; asked only of connections whose preface was not seen. */
static __always_inline int fl_http2_is_frame(struct fl_turn *t, __u64 first)
{
	__u32 length = first >> 40, type = (first >> 32) & 0xff;

	return length < (1 << 20) && type <= 9 && (first >> 31 & 1) == 0 && length + 9 <= t->s->payload &&
	       (length + 9 == t->s->payload || (fl_bytes(t->skb, t->s->data + 9 + length, 4) >> 32 & 0xff) <= 9) &&
	       (first >> 56) == 0;
}

/* A connection whose beginning was not seen. */
static __always_inline void fl_flow_kind_of_old(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	__u64 first = fl_payload_bytes(t->skb, t->s);

	if (fl_http1_is_method(first >> 32)) {
		conn->kind = FL_KIND_HTTP1;
	} else if (t->s->payload >= FL_TLS_HEADER && fl_tls_is_header(first)) {
		conn->kind = FL_KIND_TLS;
		conn->phase = FL_TLS_OPEN;
		conn->tls[0].next = t->s->seq;
		conn->tls[1].lost = 1;
	} else if (t->s->payload >= 9 && fl_http2_is_frame(t, first)) {
		conn->kind = FL_KIND_HTTP2;
		fl_flow_unmeasured(t, FL_GAP_HTTP2);
	} else if (first >> 56 == '*') {
		conn->kind = FL_KIND_RESP;
	} else {
		conn->kind = FL_KIND_TURNS;
	}
}

/* A connection is known by the client's first 8 bytes, TLS by the first. */
static __always_inline void fl_flow_kind_of_new(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	__u32 have = conn->n_first, n = t->s->payload;

	if (have > 7)
		return;
	if (n > 8 - have)
		n = 8 - have;
	conn->first |= fl_bytes(t->skb, t->s->data, n) >> (8 * have);
	conn->n_first = have + n;
	if (have == 0 && conn->first >> 56 == FL_TLS_HANDSHAKE_RECORD) {
		fl_tls_begin(t);
		return;
	}
	if (have + n < 8)
		return;
	if (conn->first == 0x505249202a204854ull) { /* "PRI * HT" */
		fl_h2_begin(t);
	} else if (fl_http1_is_method(conn->first >> 32)) {
		conn->kind = FL_KIND_HTTP1;
	} else if (conn->first >> 56 == '*') {
		conn->kind = FL_KIND_RESP;
	} else if (fl_postgres_begins(conn->first)) {
		conn->kind = FL_KIND_POSTGRES;
	} else if ((__u32)conn->first == FL_POSTGRES_TLS || (__u32)conn->first == FL_POSTGRES_GSS ||
		   fl_mysql_asks_tls(t, conn->first)) {
		conn->flags |= FL_FLOW_DATABASE;
		conn->n_first = 0; /* the next bytes tell what was agreed on */
		conn->first = 0;
		conn->pending_ns = 0;
		conn->asked_ns = 0;
		conn->kind = FL_KIND_ASKS_TLS;
	} else {
		conn->kind = FL_KIND_TURNS;
	}
}

/* New data of the client, in any protocol but HTTP/2. */
static __always_inline void fl_flow_request_inline(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;

	if (conn->kind == FL_KIND_ASKS_TLS)
		conn->kind = FL_KIND_NEW;
	if (conn->kind == FL_KIND_NEW && !(conn->flags & FL_FLOW_OLD))
		fl_flow_kind_of_new(t);
	else if (conn->kind <= FL_KIND_TURNS && (conn->flags & FL_FLOW_OLD) && !conn->pending_ns)
		fl_flow_kind_of_old(t);
	if (conn->gap)
		return;
	switch (conn->kind) {
	case FL_KIND_HTTP1:
		fl_http1_request(t);
		return;
	case FL_KIND_HTTP2:
		return;
	case FL_KIND_TLS:
		fl_tls_request(t);
		return;
	case FL_KIND_RESP:
		fl_resp_request(t);
		return;
	case FL_KIND_POSTGRES:
		fl_postgres_request(t);
		return;
	case FL_KIND_ASKS_TLS:
		return;
	default:
		if (fl_mysql_wants_no_answer(t))
			fl_flow_finish(t->pod, conn);
		else
			fl_turn_request(t, FL_UNTOLD);
	}
}

/* New data of the server, in any protocol but HTTP/2. */
static __always_inline void fl_flow_answer_inline(struct fl_turn *t)
{
	switch (t->conn->kind) {
	case FL_KIND_HTTP1:
		fl_http1_answer(t);
		return;
	case FL_KIND_TLS:
		fl_tls_answer(t);
		return;
	case FL_KIND_RESP:
		fl_resp_answer(t);
		return;
	case FL_KIND_POSTGRES:
		fl_postgres_answer(t);
		return;
	default:
		fl_turn_answer(t);
	}
}

/* Functions of their own, as what is inlined into a hook's program takes stack that HTTP/2 needs. */
static __noinline int fl_flow_turn_request(struct fl_turn *t)
{
	fl_flow_request_inline(t);
	return fl_done();
}

static __noinline int fl_flow_turn_answer(struct fl_turn *t)
{
	fl_flow_answer_inline(t);
	return fl_done();
}

/* New data of the client. */
static __always_inline void fl_flow_request(struct fl_turn *t)
{
	if (t->conn->kind != FL_KIND_HTTP2)
		fl_did(fl_flow_turn_request(t));
	if (t->conn->kind == FL_KIND_HTTP2 && !t->conn->gap)
		fl_did(fl_h2_follow(t, 1));
}

/* New data of the server. */
static __always_inline void fl_flow_answer(struct fl_turn *t)
{
	if (t->conn->kind != FL_KIND_HTTP2 && (t->conn->kind != FL_KIND_NEW || !fl_h2_server_speaks_first(t))) {
		fl_did(fl_flow_turn_answer(t));
		if (t->conn->kind != FL_KIND_HTTP2)
			return;
		fl_did(fl_h2_upgrade(t)); /* the segment may go on with frames */
	}
	fl_did(fl_h2_follow(t, 0));
}

#endif
