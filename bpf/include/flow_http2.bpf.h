/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP/2 in the clear (RFC 9113): the frames of both directions are followed by sequence number from the preface on. A segment
 * that overtakes others is held until they have come, one in each direction. Where more are missing, and not only bytes of a part of a
 * frame that is not looked at, the direction is lost, and the streams under way are not measured. It is found again where a segment
 * begins with frames that fill it exactly. */
#ifndef FAULTLINE_FLOW_HTTP2_BPF_H
#define FAULTLINE_FLOW_HTTP2_BPF_H

#include "flow_hpack.bpf.h"
#include "flow_http2_order.bpf.h"

#define FL_H2_PREFACE 24
#define FL_H2_TRIES 100  /* to be the only CPU that reads a direction, some microseconds */
#define FL_H2_STEPS 8192 /* pieces of frames and of header fields that are read in one segment; more are a loss */

/* Frames cannot be followed in this direction from here on. */
static __always_inline void fl_h2_lose(struct fl_h2_walk *w, struct fl_h2_way *way)
{
	way->lost = 1;
	way->holds = 0;
	way->in_block = 0;
	if (w->client)
		way->missed = 1;
	else
		w->h2->fields.torn = 1;
	fl_h2_streams_lost(w->t->pod, w->h2, w->t->counters);
}

/* A frame's header is whole. 0: it cannot be one here. */
static __always_inline int fl_h2_frame_begins(struct fl_h2_walk *w, struct fl_h2_way *way, __u32 stream)
{
	struct fl_h2_fields *f = &w->h2->fields;
	__u32 type = way->type, flags = way->flags;

	if (!fl_h2_is_frame(type, way->end - way->at, stream))
		return 0;
	if (way->in_block ? type != FL_H2_CONTINUATION || stream != way->stream : type == FL_H2_CONTINUATION)
		return 0;
	way->stream = stream;
	way->piece = FL_H2_REST;
	switch (type) {
	case FL_H2_DATA:
		way->ends = flags & FL_H2_END_STREAM;
		break;
	case FL_H2_HEADERS:
	case FL_H2_PUSH_PROMISE:
		if (type == FL_H2_PUSH_PROMISE && w->client)
			return 0;
		way->ends = type == FL_H2_HEADERS ? flags & FL_H2_END_STREAM : FL_H2_PROMISES;
		way->in_block = !(flags & FL_H2_END_HEADERS);
		if (w->client) {
			if ((stream & 1) && stream > w->h2->newest)
				fl_h2_request_begins(w, way);
			break;
		}
		f->status = 0;
		f->grpc = 0;
		f->unknown = 0;
		f->began_ns = way->began_ns;
		way->block_end = way->end;
		way->piece = flags & FL_H2_PADDED ? FL_H2_PAD : FL_H2_BLOCK;
		if (way->piece == FL_H2_BLOCK)
			way->at += type == FL_H2_PUSH_PROMISE ? 4 : flags & FL_H2_HAS_PRIORITY ? 5 : 0;
		break;
	case FL_H2_CONTINUATION:
		way->in_block = !(flags & FL_H2_END_HEADERS);
		way->block_end = way->end;
		way->piece = w->client ? FL_H2_REST : FL_H2_BLOCK;
		break;
	case FL_H2_RST_STREAM:
		fl_h2_reset(w, stream);
		break;
	case FL_H2_GOAWAY:
		if (!w->client)
			way->piece = FL_H2_LAST;
		break;
	}
	if (way->piece == FL_H2_REST)
		way->at = way->end;
	return !fl_is_after(way->at, way->end);
}

/* A frame's last byte has come. 0: that was no frame. */
static __always_inline int fl_h2_frame_ends(struct fl_h2_walk *w, struct fl_h2_way *way)
{
	__u32 type = way->type;

	if (type == FL_H2_DATA) {
		if (!way->ends)
			return 1;
		if (w->client)
			fl_h2_request_over(w, way->stream);
		else
			fl_h2_server_data_over(w, way->stream);
	} else if ((type == FL_H2_HEADERS || type == FL_H2_CONTINUATION || type == FL_H2_PUSH_PROMISE) && !way->in_block) {
		if (!w->client) {
			if (w->h2->fields.piece != FL_FIELD_FIRST || w->h2->fields.shift)
				return 0;
			fl_h2_server_headers(w, way, &w->h2->fields);
		} else if (way->ends) {
			fl_h2_request_over(w, way->stream);
		}
	}
	return 1;
}

/* A piece of fixed length is whole: way->head has it. 0: it cannot be one here. */
static __always_inline int fl_h2_piece(struct fl_h2_walk *w, struct fl_h2_way *way)
{
	__u32 skip, first = way->head >> 32;

	switch (way->piece) {
	case FL_H2_LENGTH:
		way->end = way->at + 4 + (first >> 8);
		way->type = first;
		way->flags = way->head >> 24;
		way->piece = FL_H2_STREAM;
		return 1;
	case FL_H2_STREAM:
		return fl_h2_frame_begins(w, way, first & 0x7fffffff);
	case FL_H2_PAD:
		way->block_end = way->end - (first >> 24);
		skip = way->type == FL_H2_PUSH_PROMISE ? 4 : way->flags & FL_H2_HAS_PRIORITY ? 5 : 0;
		way->at += skip;
		way->piece = FL_H2_BLOCK;
		return !fl_is_after(way->at, way->block_end);
	default: /* FL_H2_LAST */
		first &= 0x7fffffff;
		/* A server may only take back more than before (RFC 9113 section 6.8). */
		if (first < w->h2->last) {
			if (!w->refused)
				w->refused = w->h2->last < w->h2->newest ? w->h2->last : w->h2->newest;
			w->h2->last = first;
			w->processed = first;
		}
		way->piece = FL_H2_REST;
		way->at = way->end;
		return 1;
	}
}

/* One piece. 1: the segment is at its end, or the direction is lost. */
static long fl_h2_step(__u32 step, struct fl_h2_walk *w)
{
	struct fl_h2_way *way = &w->h2->way[w->client ? 0 : 1];
	__u32 end = w->end, n, want;

	if (way->piece == FL_H2_BLOCK && way->at == way->block_end) {
		way->piece = FL_H2_REST;
		way->at = way->end;
	}
	if (way->piece == FL_H2_REST) {
		if (fl_is_after(way->end, end))
			return 1;
		way->piece = FL_H2_LENGTH;
		if (fl_h2_frame_ends(w, way))
			return 0;
		goto lost;
	}
	if (!fl_is_after(end, way->at))
		return 1;
	n = end - way->at;
	if (way->piece == FL_H2_BLOCK) {
		if (n > way->block_end - way->at)
			n = way->block_end - way->at;
		n = fl_field_step(&w->h2->fields, fl_h2_read(w, way->at, n < 8 ? n : 8), n);
		way->at += n;
		if (n)
			return 0;
		goto lost;
	}
	want = way->piece == FL_H2_LENGTH ? 5 : way->piece == FL_H2_PAD ? 1 : 4;
	if (!way->have) {
		way->head = 0;
		if (way->piece == FL_H2_LENGTH)
			way->began_ns = w->t->now;
	}
	if (n > want - way->have)
		n = want - way->have;
	way->head |= fl_h2_read(w, way->at, n) >> ((8 * way->have) & 63);
	way->have += n;
	way->at += n;
	if (way->have < want)
		return 1;
	way->have = 0;
	if (fl_h2_piece(w, way))
		return 0;
lost:
	fl_h2_lose(w, way);
	return 1;
}

/* The held segment, if what it had overtaken has come. */
static __always_inline void fl_h2_let_go(struct fl_h2_walk *w, struct fl_h2_way *way)
{
	struct fl_segment *s = w->t->s;

	s->key.stream = w->client ? FL_H2_OF_CLIENT : FL_H2_OF_SERVER;
	w->held = bpf_map_lookup_elem(w->t->h2_held, &s->key);
	s->key.stream = 0;
	if (!w->held) {
		way->holds = 0;
		return;
	}
	if (fl_is_after(w->held->seq, way->at))
		return;
	w->seq = w->held->seq;
	w->end = w->seq + w->held->payload;
	way->holds = 0; /* the sweep deletes it, or the next that is held takes its place */
	if (bpf_loop(FL_H2_STEPS, fl_h2_step, w, 0) == FL_H2_STEPS)
		fl_h2_lose(w, way);
}

/* Follows the frames of a segment. */
static __noinline int fl_h2_follow(struct fl_turn *t, __u32 client)
{
	struct fl_h2_walk w = {.t = t, .seq = t->s->seq, .end = t->s->seq + t->s->payload, .data = t->s->data, .client = client};
	struct fl_h2_way *way;
	__u32 i;

	w.h2 = bpf_map_lookup_elem(t->h2_connections, &t->s->key);
	if (!w.h2) {
		if (!(t->conn->flags & (FL_FLOW_CLIENT_FIN | FL_FLOW_SERVER_FIN)))
			fl_flow_unmeasured(t, FL_GAP_HTTP2);
		return fl_done();
	}
	way = &w.h2->way[client ? 0 : 1];
	/* Two CPUs may have segments of one direction at once. */
	for (i = 0; i < FL_H2_TRIES && __sync_lock_test_and_set(&w.h2->busy[client ? 0 : 1], 1); i++)
		;
	if (i == FL_H2_TRIES) {
		w.h2->skipped[client ? 0 : 1] = 1;
		return fl_done();
	}
	if (w.h2->skipped[client ? 0 : 1]) {
		w.h2->skipped[client ? 0 : 1] = 0;
		fl_h2_lose(&w, way);
	}
	if (!way->lost && fl_is_after(w.seq, way->at)) {
		if (!way->holds && fl_h2_hold(t, client)) {
			way->holds = 1;
			goto done;
		}
		fl_h2_lose(&w, way);
	}
	if (way->lost && fl_h2_found(&w)) {
		way->lost = 0;
		way->at = w.seq;
		way->piece = FL_H2_LENGTH;
		way->have = 0;
		w.h2->fields.piece = client ? w.h2->fields.piece : FL_FIELD_FIRST;
		w.h2->fields.shift = client ? w.h2->fields.shift : 0;
	}
	if (!way->lost && bpf_loop(FL_H2_STEPS, fl_h2_step, &w, 0) == FL_H2_STEPS)
		fl_h2_lose(&w, way);
	t->s->key.stream = 0;
	if (way->holds && !way->lost)
		fl_h2_let_go(&w, way);
	t->s->key.stream = 0;
done:
	*(volatile __u32 *)&w.h2->busy[client ? 0 : 1] = 0;
	if (w.refused > w.processed)
		fl_h2_refuse(&w);
	return fl_done();
}

static const struct fl_h2_connection fl_h2_fresh;

/* 0: there is no place for the connection. */
static __always_inline struct fl_h2_connection *fl_h2_enter(struct fl_turn *t)
{
	struct fl_h2_connection *h2;

	bpf_map_update_elem(t->h2_connections, &t->s->key, &fl_h2_fresh, BPF_ANY);
	h2 = bpf_map_lookup_elem(t->h2_connections, &t->s->key);
	if (h2) {
		h2->epoch = fl_h2_new_epoch(t->pod);
		h2->last = 0x7fffffff;
		h2->way[1].at = t->conn->answer_end;
	}
	return h2;
}

/* The server has answered a request of HTTP/1 with 101 and "Upgrade: h2c" (RFC 7540 section 3.2): that request goes on as stream 1, the
 * server's frames begin behind the head of that answer, and the client's next bytes are the preface. */
static __noinline int fl_h2_upgrade(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	struct fl_h2_stream first = {.asked_ns = conn->asked_ns, .pending_ns = conn->pending_ns, .waits = 1};
	struct fl_h2_connection *h2 = fl_h2_enter(t);

	conn->pending_ns = 0;
	conn->asked_ns = 0;
	if (!h2) {
		fl_flow_unmeasured(t, FL_GAP_HTTP2);
		return fl_done();
	}
	h2->way[0].at = conn->request_end + FL_H2_PREFACE;
	h2->way[1].at = conn->turn;
	h2->newest = 1;
	h2->waiting = 1;
	first.epoch = h2->epoch;
	t->s->key.stream = 1;
	if (bpf_map_update_elem(t->h2_streams, &t->s->key, &first, BPF_ANY)) {
		h2->waiting = 0;
		t->counters->gaps[FL_GAP_H2_FULL]++;
	}
	t->s->key.stream = 0;
	return fl_done();
}

/* The server's first bytes come before the client has shown what it speaks. 1: they are frames. */
static __always_inline int fl_h2_server_speaks_first(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	__u64 first;

	if (conn->flags & (FL_FLOW_OLD | FL_FLOW_SAYS_OTHER))
		return 0;
	if (!(conn->flags & FL_FLOW_SAYS_HTTP2)) {
		first = fl_payload_bytes(t->skb, t->s);
		/* SETTINGS without flags, of at most 42 settings. */
		if (t->s->seq != conn->answer_end || t->s->payload < FL_H2_HEADER || first >> 48 != 0 ||
		    (first & 0xffffffffffull) >> 24 != FL_H2_SETTINGS << 8 || first & 0xffffff || !fl_h2_enter(t)) {
			conn->flags |= FL_FLOW_SAYS_OTHER;
			return 0;
		}
		conn->flags |= FL_FLOW_SAYS_HTTP2;
	}
	return 1;
}

/* The client has sent the beginning of the preface. */
static __always_inline void fl_h2_begin(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;
	struct fl_h2_connection *h2;

	conn->kind = FL_KIND_HTTP2;
	conn->pending_ns = 0;
	conn->asked_ns = 0;
	if (conn->flags & FL_FLOW_SAYS_HTTP2)
		h2 = bpf_map_lookup_elem(t->h2_connections, &t->s->key);
	else
		h2 = fl_h2_enter(t);
	if (!h2) {
		fl_flow_unmeasured(t, FL_GAP_HTTP2);
		return;
	}
	h2->way[0].at = conn->isn + FL_H2_PREFACE;
	if (conn->flags & FL_FLOW_SAYS_OTHER) {
		h2->way[1].lost = 1;
		h2->fields.torn = 1;
	}
}

#endif
