/* SPDX-License-Identifier: GPL-2.0-only */
/* Redis and PostgreSQL: messages that tell their lengths, so that several requests in one segment show. */
#ifndef FAULTLINE_FLOW_MESSAGES_BPF_H
#define FAULTLINE_FLOW_MESSAGES_BPF_H

#include "flow_turns.bpf.h"

#define FL_RESP_ARGUMENTS 128 /* of one command; more are not followed */
#define FL_POSTGRES_MESSAGES 128 /* of one segment */

struct fl_messages {
	struct __sk_buff *skb;
	__u32 at, end; /* offsets from the start of the frame */
	__u32 left;    /* RESP: arguments to come */
	__u32 requests; /* PostgreSQL: ends of requests */
	__u32 executes; /* PostgreSQL: statements that are run; several may come before one end */
};

/* A number behind its sign, and the line end: "$12\r\n". Returns the line's length, 0 when it is no such line. */
static __always_inline __u32 fl_resp_line(struct __sk_buff *skb, __u32 at, __u32 end, __u32 *number)
{
	__u32 n = end - at, value = 0, i;
	__u64 b;

	if (at >= end)
		return 0;
	b = fl_bytes(skb, at, n < 8 ? n : 8) << 8;
#pragma unroll
	for (i = 0; i < 6; i++) {
		__u8 c = b >> 56;

		if (c == '\r') {
			*number = value;
			return i + 3;
		}
		if (c < '0' || c > '9')
			return 0;
		value = value * 10 + (c - '0');
		b <<= 8;
	}
	return 0;
}

static long fl_resp_argument(__u32 step, struct fl_messages *m)
{
	__u32 length = 0, line;

	if (!m->left || m->at >= m->end)
		return 1;
	line = fl_resp_line(m->skb, m->at, m->end, &length);
	if (!line) {
		m->at = m->end; /* longer than what is followed: it fills the segment */
		return 1;
	}
	m->at += line + length + 2;
	m->left--;
	return 0;
}

static __always_inline void fl_resp_request(struct fl_turn *t)
{
	struct fl_messages m = {.skb = t->skb, .at = t->s->data, .end = t->s->data + t->s->payload};
	__u32 line;

	if (fl_bytes(t->skb, m.at, 1) >> 56 != '*') {
		fl_turn_request(t, FL_UNTOLD);
		return;
	}
	line = fl_resp_line(t->skb, m.at, m.end, &m.left);
	m.at += line;
	bpf_loop(FL_RESP_ARGUMENTS, fl_resp_argument, &m, 0);
	if (!line || m.at < m.end) {
		fl_flow_unmeasured(t, FL_GAP_SEVERAL);
		return;
	}
	fl_turn_request(t, FL_BEGINS);
}

/* Does an answer begin a subscription? "*3\r\n$9\r\nsubscribe", or with 10 bytes "psubscribe" or "ssubscribe". */
static __always_inline int fl_resp_subscribes(struct fl_turn *t, __u64 first)
{
	__u32 at = t->s->data;

	if (first == 0x2a330d0a24390d0aull)
		at += 8;
	else if (first == 0x2a330d0a2431300dull)
		at += 10;
	else
		return 0;
	return fl_bytes(t->skb, at, 8) == 0x7375627363726962ull; /* "subscrib" */
}

/* A push of RESP 3, which answers nothing: ">2\r\n$" with any number. */
static __always_inline int fl_resp_is_push(__u64 first)
{
	return (first & 0xff00ffffff000000ull) == 0x3e000d0a24000000ull;
}

static __always_inline void fl_resp_answer(struct fl_turn *t)
{
	__u64 first;

	first = fl_payload_bytes(t->skb, t->s);
	if ((t->conn->pending_ns && fl_resp_subscribes(t, first)) || fl_resp_is_push(first)) {
		t->conn->kind = FL_KIND_STREAM;
		fl_flow_unmeasured(t, FL_GAP_STREAM);
		return;
	}
	fl_turn_answer(t);
}

static long fl_postgres_message(__u32 step, struct fl_messages *m)
{
	__u64 head;
	__u8 type;

	if (m->at + 5 > m->end)
		return 1;
	head = fl_bytes(m->skb, m->at, 5);
	type = head >> 56;
	/* A simple query, the end of an extended one, a call of a function. */
	if (type == 'Q' || type == 'S' || type == 'F')
		m->requests |= m->requests << 1 | 1;
	if (type == 'E')
		m->executes |= m->executes << 1 | 1;
	m->requests &= 3; /* 0, 1, 3 for more: so the verifier has few cases to look at */
	m->executes &= 3;
	m->at += 1 + (__u32)(head >> 24);
	return 0;
}

static __always_inline void fl_postgres_request(struct fl_turn *t)
{
	struct fl_messages m = {.skb = t->skb, .at = t->s->data, .end = t->s->data + t->s->payload};
	__u8 type = fl_bytes(t->skb, m.at, 1) >> 56;

	if (t->conn->pending_ns && (t->conn->flags & FL_FLOW_COPY)) {
		fl_turn_request(t, FL_GOES_ON);
		return;
	}
	/* The first message has no type, so it begins with its length; 'p' is a password, 'X' the end. */
	if (!t->conn->pending_ns && (type == 0 || type == 'p' || type == 'X')) {
		fl_flow_finish(t->pod, t->conn);
		return;
	}
	if (!t->conn->pending_ns)
		bpf_loop(FL_POSTGRES_MESSAGES, fl_postgres_message, &m, 0);
	if (m.requests > 1 || m.executes > 1) {
		fl_flow_unmeasured(t, FL_GAP_SEVERAL);
		return;
	}
	fl_turn_request(t, FL_UNTOLD);
}

static __always_inline void fl_postgres_answer(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	__u64 head;

	if (conn->pending_ns && t->s->seq == conn->turn) {
		head = fl_payload_bytes(t->skb, t->s);
		/* "Send the data of COPY", and nothing behind it: the request goes on. */
		if (head >> 56 == 'G' && 1 + (__u32)(head >> 24) == t->s->payload) {
			conn->flags |= FL_FLOW_COPY;
			conn->turn += t->s->payload;
			return;
		}
		if (head >> 56 == 'W') { /* replication */
			conn->kind = FL_KIND_STREAM;
			fl_flow_unmeasured(t, FL_GAP_STREAM);
			return;
		}
	}
	fl_turn_answer(t);
	if (!conn->pending_ns)
		conn->flags &= ~FL_FLOW_COPY;
}

/* The client of MySQL or MariaDB says that it ends (COM_QUIT), a packet of one byte, or that it is done with a prepared statement
 * (COM_STMT_CLOSE), one of five, the first of its turn. There is no answer. */
static __always_inline int fl_mysql_wants_no_answer(const struct fl_turn *t)
{
	__u64 first;

	if (t->conn->pending_ns || (t->s->payload != 5 && t->s->payload != 9))
		return 0;
	first = fl_bytes(t->skb, t->s->data, 5) >> 24;
	return t->s->payload == 5 ? first == 0x0100000001ull : first == 0x0500000019ull;
}

/* The client of MySQL or MariaDB asks for encryption: a packet of 32 bytes, the second of the connection, with CLIENT_SSL. */
static __always_inline int fl_mysql_asks_tls(const struct fl_turn *t, __u64 first)
{
	return t->s->payload == 36 && first >> 32 == 0x20000001 && (first >> 16 & 0x08);
}

#endif
