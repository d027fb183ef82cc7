/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP/2 in the clear: what may be a frame, the bytes of a segment wherever they are, segments that overtake others, and where frames
 * begin after a loss. */
#ifndef FAULTLINE_FLOW_HTTP2_ORDER_BPF_H
#define FAULTLINE_FLOW_HTTP2_ORDER_BPF_H

#include "flow_http2_streams.bpf.h"

#define FL_H2_HEADER 9
#define FL_H2_FRAMES 64  /* frames that a segment may have to be known again */
#define FL_H2_AHEAD 2000 /* streams beyond the newest that are believed then */

/* Types of frames. */
#define FL_H2_DATA 0
#define FL_H2_HEADERS 1
#define FL_H2_PRIORITY 2
#define FL_H2_RST_STREAM 3
#define FL_H2_SETTINGS 4
#define FL_H2_PUSH_PROMISE 5
#define FL_H2_PING 6
#define FL_H2_GOAWAY 7
#define FL_H2_WINDOW_UPDATE 8
#define FL_H2_CONTINUATION 9

/* Flags. */
#define FL_H2_END_STREAM 0x01
#define FL_H2_END_HEADERS 0x04
#define FL_H2_PADDED 0x08
#define FL_H2_HAS_PRIORITY 0x20

/* May a frame of this type and length be on this stream? A type that nobody knows may be of any. */
static __always_inline int fl_h2_is_frame(__u32 type, __u32 length, __u32 stream)
{
	switch (type) {
	case FL_H2_DATA:
	case FL_H2_HEADERS:
	case FL_H2_CONTINUATION:
		return stream != 0;
	case FL_H2_PUSH_PROMISE:
		return stream != 0 && length >= 4;
	case FL_H2_PRIORITY:
		return stream != 0 && length == 5;
	case FL_H2_RST_STREAM:
		return stream != 0 && length == 4;
	case FL_H2_SETTINGS:
		return stream == 0 && length <= 6 * 256;
	case FL_H2_PING:
		return stream == 0 && length == 8;
	case FL_H2_GOAWAY:
		return stream == 0 && length >= 8;
	case FL_H2_WINDOW_UPDATE:
		return length == 4;
	}
	return 1;
}

/* The `n` bytes of a segment that is held, as fl_bytes(). Not static, as fl_flow_add_time(). */
__noinline __u64 fl_h2_held_bytes(struct fl_h2_held *held, __u32 offset, __u32 n)
{
	__u64 bytes = 0, at = offset;
	__u32 i;

	if (!held)
		return 0;
#pragma unroll
	for (i = 0; i < 8; i++) {
		__u64 place = at + i;

		asm volatile("" : "+r"(place)); /* else the compiler drops the mask that the verifier wants */
		bytes = bytes << 8 | (i < n ? held->data[place & (FL_H2_HELD_BYTES - 1)] : 0);
	}
	return bytes;
}

/* The `n` bytes from this sequence number on, the oldest is the highest. n: 1 to 8. */
static __always_inline __u64 fl_h2_read(struct fl_h2_walk *w, __u32 at, __u32 n)
{
	if (w->held)
		return fl_h2_held_bytes(w->held, at - w->seq, n);
	return fl_bytes(w->t->skb, w->data + (at - w->seq), n);
}

/* Looks whether frames fill a segment. */
struct fl_h2_find {
	struct __sk_buff *skb;
	__u32 at, end; /* offsets from the start of the frame of Ethernet */
	__u32 highest; /* stream that is believed */
	__u32 bad;
};

static long fl_h2_find_step(__u32 step, struct fl_h2_find *find)
{
	__u32 length, type, stream;
	__u64 head;

	if (find->at + FL_H2_HEADER > find->end) {
		find->bad = find->at != find->end;
		return 1;
	}
	head = fl_bytes(find->skb, find->at, 8);
	length = head >> 40;
	type = (head >> 32) & 0xff;
	stream = fl_bytes(find->skb, find->at + 5, 4) >> 32;
	if (type > FL_H2_CONTINUATION || stream > find->highest || (stream && !(stream & 1)) ||
	    !fl_h2_is_frame(type, length, stream) || (step == 0 && type == FL_H2_CONTINUATION)) {
		find->bad = 1;
		return 1;
	}
	find->at += FL_H2_HEADER + length;
	return 0;
}

/* Does the segment begin with a frame? Known by frames that end where it ends, each with a length, a type and a stream that may be. */
static __noinline int fl_h2_found(struct fl_h2_walk *w)
{
	struct fl_h2_find find = {.skb = w->t->skb, .at = w->t->s->data, .end = w->t->s->data + w->t->s->payload};

	find.highest = w->h2->newest + FL_H2_AHEAD;
	bpf_loop(FL_H2_FRAMES, fl_h2_find_step, &find, 0);
	return !find.bad && find.at == find.end;
}

static const struct fl_h2_held fl_h2_nothing_held;

/* The segment has overtaken others: it is kept until they have come. 0: it cannot be. */
static __noinline int fl_h2_hold(struct fl_turn *t, __u32 client)
{
	struct fl_flow_key key = t->s->key;
	__u32 n = t->s->payload;
	struct fl_h2_held *held;

	key.stream = client ? FL_H2_OF_CLIENT : FL_H2_OF_SERVER;
	if (n > FL_H2_HELD_BYTES || bpf_map_update_elem(t->h2_held, &key, &fl_h2_nothing_held, BPF_ANY))
		return 0;
	held = bpf_map_lookup_elem(t->h2_held, &key);
	asm volatile("" : "+r"(n)); /* else the compiler drops the mask that the verifier wants */
	n = ((n - 1) & (FL_H2_HELD_BYTES - 1)) + 1;
	if (!held || bpf_skb_load_bytes(t->skb, t->s->data, held->data, n))
		return 0;
	held->seq = t->s->seq;
	held->payload = n;
	return 1;
}

#endif
