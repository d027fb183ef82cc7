/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP/2 in plain bytes (RFC 9113): the frames of both directions are followed from the preface on. They come in order and complete,
 * so nothing has to be found again. */
#ifndef FAULTLINE_TLS_PLAIN_HTTP2_BPF_H
#define FAULTLINE_TLS_PLAIN_HTTP2_BPF_H

#include "flow_hpack.bpf.h"
#include "tls_plain.bpf.h"

#define FL_PLAIN_PREFACE 24
#define FL_PLAIN_FRAME_STEPS 8192 /* parts of frames and of header fields that are read in one piece; more are not followed */

#define FL_PLAIN_DATA 0u
#define FL_PLAIN_HEADERS 1u
#define FL_PLAIN_RST_STREAM 3u
#define FL_PLAIN_PUSH_PROMISE 5u
#define FL_PLAIN_CONTINUATION 9u
#define FL_PLAIN_NO_FRAME 0xffu /* the preface */

#define FL_PLAIN_END_STREAM 0x01u
#define FL_PLAIN_END_HEADERS 0x04u
#define FL_PLAIN_PADDED 0x08u
#define FL_PLAIN_PRIORITY 0x20u

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_PLAIN_HTTP2S);
	__type(key, struct fl_plain_key);
	__type(value, struct fl_plain_http2);
} fl_plain_http2s SEC(".maps");

/* Not the least recently used goes: each that goes would count as failed when its connection ends. What finds no room is a gap. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_PLAIN_STREAMS);
	__type(key, struct fl_plain_key);
	__type(value, struct fl_plain_stream);
} fl_plain_streams SEC(".maps");

/* Zeros, for a connection that begins: too many for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_plain_http2);
} fl_plain_blank SEC(".maps");

/* A piece that is read: it is given to each step. */
struct fl_plain_walk {
	struct fl_plain_piece *p;
	struct fl_plain_counts *counts;
	struct fl_plain_side *side;
	struct fl_plain_http2 *h2;
	struct fl_plain_key key; /* of the stream that is looked at */
	__u32 at;
	__u32 client; /* the bytes are the client's */
	__u32 bad;    /* this is no HTTP/2 */
};

/* The request on this stream; NULL: it is not followed. */
static __always_inline struct fl_plain_stream *fl_plain_stream_of(struct fl_plain_walk *w, __u32 number)
{
	struct fl_plain_stream *stream;

	w->key.stream = number;
	stream = bpf_map_lookup_elem(&fl_plain_streams, &w->key);
	return stream && stream->epoch == w->h2->epoch ? stream : NULL;
}

static __always_inline void fl_plain_stream_fails(struct fl_plain_stream *stream, struct fl_plain_side *side)
{
	if (!stream->failed)
		fl_plain_count(&side->failed);
	stream->failed = 1;
}

static __always_inline void fl_plain_stream_begins(struct fl_plain_walk *w, struct fl_plain_way *way)
{
	struct fl_plain_stream stream = {.epoch = w->h2->epoch, .asked_ns = way->began_ns, .waits = 1};

	w->h2->newest = way->stream;
	w->key.stream = way->stream;
	if (bpf_map_update_elem(&fl_plain_streams, &w->key, &stream, BPF_ANY))
		fl_plain_gap(w->counts, FL_PLAIN_GAP_FULL);
	else
		w->h2->waiting++;
}

/* The client has sent all of its request. */
static __always_inline void fl_plain_stream_asked(struct fl_plain_walk *w, __u32 number)
{
	struct fl_plain_stream *stream = fl_plain_stream_of(w, number);

	if (stream && !stream->pending_ns)
		stream->pending_ns = w->p->last_ns;
}

/* The answer is over. */
static __always_inline void fl_plain_stream_over(struct fl_plain_walk *w, __u32 number)
{
	struct fl_plain_stream *stream = fl_plain_stream_of(w, number);

	if (!stream || stream->waits)
		return;
	fl_plain_add_time(&w->side->duration, w->p->last_ns - stream->asked_ns);
	w->h2->answering--;
	bpf_map_delete_elem(&fl_plain_streams, &w->key);
}

static __always_inline void fl_plain_stream_reset(struct fl_plain_walk *w, __u32 number)
{
	struct fl_plain_stream *stream = fl_plain_stream_of(w, number);

	if (!stream)
		return;
	if (!stream->waits) {
		w->h2->answering--;
		fl_plain_gap(w->counts, FL_PLAIN_GAP_CUT);
		if (!w->client) /* it cuts off its answer */
			fl_plain_stream_fails(stream, w->side);
	} else {
		w->h2->waiting--;
		fl_plain_count(&w->side->unanswered);
		if (!w->client) {
			fl_plain_count(&w->side->failed);
			fl_plain_count(&w->side->failed_unanswered);
		}
	}
	bpf_map_delete_elem(&fl_plain_streams, &w->key);
}

/* Is this grpc-status the server's doing? UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
static __always_inline int fl_plain_is_failure(__u32 status)
{
	return status < 32 && (1u << status & (1u << 2 | 1u << 4 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15));
}

/* A header block of the server is whole: an answer begins, or these are its trailers. */
static __always_inline void fl_plain_server_headers(struct fl_plain_walk *w, struct fl_plain_way *way)
{
	const struct fl_h2_fields *f = &w->h2->fields;
	struct fl_plain_stream *stream = fl_plain_stream_of(w, way->stream);
	__u64 class = f->status / 100, asked;

	if (!stream)
		return;
	if (stream->waits) {
		if (class == 1)
			return;
		w->h2->waiting--;
		if (!f->status) { /* it is told by an entry that is not remembered: it may be an interim answer */
			fl_plain_gap(w->counts, FL_PLAIN_GAP_STATUS);
			bpf_map_delete_elem(&fl_plain_streams, &w->key);
			return;
		}
		w->h2->answering++;
		stream->waits = 0;
		asked = stream->pending_ns;
		if (asked) {
			fl_plain_add_time(&w->side->latency, f->began_ns > asked ? f->began_ns - asked : 0);
		} else {
			fl_plain_count(&w->side->early);
			fl_plain_gap(w->counts, FL_PLAIN_GAP_EARLY);
		}
		asm volatile("" : "+r"(class));
		fl_plain_count(&w->side->responses[class & 7]);
		if (class == 5)
			fl_plain_stream_fails(stream, w->side);
	}
	if (f->grpc && fl_plain_is_failure(f->grpc - 1))
		fl_plain_stream_fails(stream, w->side);
	else if (f->unknown)
		fl_plain_gap(w->counts, FL_PLAIN_GAP_TRAILER);
	if (way->ends)
		fl_plain_stream_over(w, way->stream);
}

/* The head of a frame is whole; `last` is its last byte. */
static __always_inline void fl_plain_frame_begins(struct fl_plain_walk *w, struct fl_plain_way *way, __u32 last)
{
	struct fl_h2_fields *f = &w->h2->fields;
	__u32 type = (way->head >> 32) & 0xff, flags = (way->head >> 24) & 0xff;

	way->have = 0;
	way->left = way->head >> 40;
	way->type = type;
	way->flags = flags;
	way->pad = 0;
	way->skip = 0;
	way->part = FL_PLAIN_REST;
	last |= (way->head << 8) & 0x7fffff00;
	if (way->in_block ? type != FL_PLAIN_CONTINUATION || last != way->stream : type == FL_PLAIN_CONTINUATION) {
		w->bad = 1;
		return;
	}
	way->stream = last;
	switch (type) {
	case FL_PLAIN_DATA:
		way->ends = flags & FL_PLAIN_END_STREAM;
		return;
	case FL_PLAIN_HEADERS:
	case FL_PLAIN_PUSH_PROMISE:
		way->promises = type == FL_PLAIN_PUSH_PROMISE;
		way->ends = !way->promises && (flags & FL_PLAIN_END_STREAM);
		if (w->client) {
			if ((way->stream & 1) && way->stream > w->h2->newest)
				fl_plain_stream_begins(w, way);
			break;
		}
		f->status = 0;
		f->grpc = 0;
		f->unknown = 0;
		f->began_ns = way->began_ns;
		way->skip = way->promises ? 4 : flags & FL_PLAIN_PRIORITY ? 5 : 0;
		way->part = flags & FL_PLAIN_PADDED ? FL_PLAIN_PAD : FL_PLAIN_SKIP;
		break;
	case FL_PLAIN_CONTINUATION:
		if (!w->client)
			way->part = FL_PLAIN_BLOCK;
		break;
	case FL_PLAIN_RST_STREAM:
		fl_plain_stream_reset(w, way->stream);
		return;
	default:
		return;
	}
	way->in_block = !(flags & FL_PLAIN_END_HEADERS);
}

/* The last byte of a frame has come. */
static __always_inline void fl_plain_frame_ends(struct fl_plain_walk *w, struct fl_plain_way *way)
{
	__u32 type = way->type;

	way->part = FL_PLAIN_HEAD;
	if (type == FL_PLAIN_DATA) {
		if (!way->ends)
			return;
		if (w->client)
			fl_plain_stream_asked(w, way->stream);
		else
			fl_plain_stream_over(w, way->stream);
	} else if ((type == FL_PLAIN_HEADERS || type == FL_PLAIN_CONTINUATION || type == FL_PLAIN_PUSH_PROMISE) && !way->in_block) {
		if (w->client) {
			if (way->ends)
				fl_plain_stream_asked(w, way->stream);
		} else if (w->h2->fields.piece != FL_FIELD_FIRST || w->h2->fields.shift) {
			w->bad = 1;
		} else if (!way->promises) {
			fl_plain_server_headers(w, way);
		}
	}
}

/* One part of a frame, as much of it as there is. 1: the piece is at its end, or is bad. */
static long fl_plain_frame_step(__u32 step, struct fl_plain_walk *w)
{
	struct fl_plain_way *way = &w->h2->way[w->client ? 0 : 1];
	__u32 n = w->p->bytes - w->at, taken;
	__u64 bytes;

	if (way->part != FL_PLAIN_HEAD && !way->left) {
		fl_plain_frame_ends(w, way);
		return w->bad;
	}
	if (w->at >= w->p->bytes)
		return 1;
	if (way->part == FL_PLAIN_HEAD) {
		if (!way->have)
			way->began_ns = w->p->first_ns;
		if (way->have == 8) {
			fl_plain_frame_begins(w, way, fl_plain_bytes(w->p, w->at++, 1) >> 56);
			return w->bad;
		}
		taken = way->have || n < 8 ? 1 : 8;
		bytes = fl_plain_bytes(w->p, w->at, taken);
		way->head = taken == 8 ? bytes : way->head << 8 | bytes >> 56;
		way->have += taken;
		w->at += taken;
		return 0;
	}
	if (n > way->left)
		n = way->left;
	switch (way->part) {
	case FL_PLAIN_PAD:
		way->pad = fl_plain_bytes(w->p, w->at, 1) >> 56;
		way->part = FL_PLAIN_SKIP;
		taken = 1;
		break;
	case FL_PLAIN_SKIP:
		taken = n < way->skip ? n : way->skip;
		way->skip -= taken;
		if (!way->skip)
			way->part = way->type == FL_PLAIN_NO_FRAME ? FL_PLAIN_REST : FL_PLAIN_BLOCK;
		break;
	case FL_PLAIN_BLOCK:
		if (way->left <= way->pad) {
			way->part = FL_PLAIN_REST;
			return 0;
		}
		if (n > way->left - way->pad)
			n = way->left - way->pad;
		taken = fl_field_step(&w->h2->fields, fl_plain_bytes(w->p, w->at, n < 8 ? n : 8), n);
		w->bad = !taken;
		break;
	default:
		taken = n;
	}
	w->at += taken;
	way->left -= taken;
	return w->bad;
}

/* Do these 8 bytes begin the SETTINGS that a server of HTTP/2 may send before it has read the client's preface? */
static __always_inline int fl_plain_is_settings(__u64 first)
{
	return (first & 0xffffffffffull) == 0x0400000000ull && first >> 40 <= 16384 && (first >> 40) % 6 == 0;
}

/* Follows the frames of a piece. Not static, as fl_plain_add_time(). */
__noinline int fl_plain_http2_piece(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	struct fl_plain_walk w = {.p = p, .counts = counts};

	if (!p || !conn || !counts)
		return 0;
	w.side = fl_plain_side_of(counts, conn);
	w.key = p->key;
	w.client = (conn->side == FL_PLAIN_CLIENT) == p->written;
	w.h2 = bpf_map_lookup_elem(&fl_plain_http2s, &w.key); /* not by the one of the piece: Linux 6.1 takes no key from memory that a caller gave */
	/* A client whose server spoke first must say what it speaks. */
	if (w.h2 && w.client && w.h2->way[0].type == FL_PLAIN_NO_FRAME && w.h2->way[0].skip == FL_PLAIN_PREFACE && p->bytes >= 4 &&
	    fl_plain_bytes(p, 0, 4) >> 32 != 0x50524920)
		w.h2 = NULL;
	if (!w.h2 || bpf_loop(FL_PLAIN_FRAME_STEPS, fl_plain_frame_step, &w, 0) == FL_PLAIN_FRAME_STEPS || w.bad)
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_HTTP2);
	return 0;
}

/* The client's preface has begun; `had` bytes of it have come before this piece. */
static __always_inline void fl_plain_http2_begins(const struct fl_plain_piece *p, __u32 had)
{
	__u32 zero = 0;
	struct fl_plain_http2 *fresh = bpf_map_lookup_elem(&fl_plain_blank, &zero);
	struct fl_plain_http2 *h2;

	if (!fresh || bpf_map_update_elem(&fl_plain_http2s, &p->key, fresh, BPF_ANY))
		return; /* which shows when its frames are followed */
	h2 = bpf_map_lookup_elem(&fl_plain_http2s, &p->key);
	if (!h2)
		return;
	h2->epoch = bpf_ktime_get_ns();
	h2->way[0].type = FL_PLAIN_NO_FRAME;
	h2->way[0].part = FL_PLAIN_SKIP;
	h2->way[0].skip = FL_PLAIN_PREFACE - had;
	h2->way[0].left = FL_PLAIN_PREFACE - had;
}

/* The connection ends, or cannot be followed: what is under way on it gets no answer. */
static __always_inline void fl_plain_http2_ends(const struct fl_plain_key *key, const struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	struct fl_plain_http2 *h2 = bpf_map_lookup_elem(&fl_plain_http2s, key);
	struct fl_plain_side *side = fl_plain_side_of(counts, conn);

	if (!h2)
		return;
	if (!conn->gap && h2->waiting > 0) {
		__sync_fetch_and_add(&side->unanswered, h2->waiting);
		if (conn->side == FL_PLAIN_CLIENT) {
			__sync_fetch_and_add(&side->failed, h2->waiting);
			__sync_fetch_and_add(&side->failed_unanswered, h2->waiting);
		}
	}
	if (!conn->gap && h2->answering > 0)
		__sync_fetch_and_add(&counts->gaps[FL_PLAIN_GAP_CUT], h2->answering);
	bpf_map_delete_elem(&fl_plain_http2s, key);
}

#endif
