/* SPDX-License-Identifier: GPL-2.0-only */
/* HTTP/2 in the clear: the requests on the streams of a connection, from their first byte to their answers' last. Frames are read in
 * flow_http2.bpf.h. */
#ifndef FAULTLINE_FLOW_HTTP2_STREAMS_BPF_H
#define FAULTLINE_FLOW_HTTP2_STREAMS_BPF_H

#include "flow_http2_abi.h"
#include "flow_turns.bpf.h"

/* `stream` of the key of a held segment. */
#define FL_H2_OF_CLIENT 1
#define FL_H2_OF_SERVER 2

/* A segment, and how far it was read. */
struct fl_h2_walk {
	struct fl_turn *t;
	struct fl_h2_connection *h2;
	struct fl_h2_held *held; /* 0: it is the segment of t, else one that was held */
	__u32 seq, end, data; /* of the segment: sequence numbers, offset of its payload in t->skb */
	__u32 client;  /* the segment is of the client */
	__u32 refused, processed; /* GOAWAY: of the streams up to the first the server processes none beyond the second; 0: none is refused */
};

static __always_inline __u64 fl_h2_new_epoch(struct fl_flow_pod *pod)
{
	return __sync_fetch_and_add(&pod->h2_epochs, 1) + 1;
}

/* The request of the stream, if it is measured and not yet over. */
static __always_inline struct fl_h2_stream *fl_h2_find(struct fl_h2_walk *w, __u32 number)
{
	struct fl_h2_stream *stream;

	w->t->s->key.stream = number; /* there, as there is little stack here; 0 again after the walk */
	stream = bpf_map_lookup_elem(w->t->h2_streams, &w->t->s->key);
	if (stream && stream->epoch != w->h2->epoch) {
		bpf_map_delete_elem(w->t->h2_streams, &w->t->s->key);
		return 0;
	}
	return stream;
}

/* Nothing more is to be known of the stream that was looked for last. Returns 0 when it was there until now. */
static __always_inline long fl_h2_forget(struct fl_h2_walk *w)
{
	return bpf_map_delete_elem(w->t->h2_streams, &w->t->s->key);
}

/* 1: the request waited for its answer, and from now on it does not. */
static __always_inline int fl_h2_stops_waiting(struct fl_h2_connection *h2, struct fl_h2_stream *stream)
{
	if (!__sync_lock_test_and_set(&stream->waits, 0))
		return 0;
	__sync_fetch_and_add(&h2->waiting, -1);
	return 1;
}

/* Frames were lost, so of the streams under way it is not known what was said on them. Later ones are measured again. */
static __always_inline void fl_h2_streams_lost(struct fl_flow_pod *pod, struct fl_h2_connection *h2, struct fl_flow_counters *c)
{
	__s32 waiting = __sync_lock_test_and_set(&h2->waiting, 0);
	__s32 answering = __sync_lock_test_and_set(&h2->answering, 0);

	h2->epoch = fl_h2_new_epoch(pod);
	if (waiting > 0)
		c->gaps[FL_GAP_H2_LOST] += waiting;
	if (answering > 0)
		c->gaps[FL_GAP_H2_CUT] += answering;
}

/* The client has opened a stream. */
static __always_inline void fl_h2_request_begins(struct fl_h2_walk *w, struct fl_h2_way *way)
{
	struct fl_h2_connection *h2 = w->h2;
	struct fl_flow_service *service = fl_flow_service(w->t->pod, w->t->conn);
	struct fl_h2_stream fresh = {.epoch = h2->epoch, .asked_ns = way->began_ns, .waits = 1};
	__u32 before = h2->newest;

	h2->newest = way->stream;
	if (way->missed) {
		way->missed = 0;
		w->t->counters->gaps[FL_GAP_H2_LOST] += (way->stream - before + 1) / 2 - 1;
	}
	if (h2->way[1].lost) {
		w->t->counters->gaps[FL_GAP_H2_LOST]++;
		return;
	}
	if (way->stream > h2->last) { /* after the server's GOAWAY */
		if (service)
			__sync_fetch_and_add(&service->unanswered, 1);
		return;
	}
	w->t->s->key.stream = way->stream;
	if (bpf_map_update_elem(w->t->h2_streams, &w->t->s->key, &fresh, BPF_ANY)) {
		w->t->counters->gaps[FL_GAP_H2_FULL]++;
		return;
	}
	__sync_fetch_and_add(&h2->waiting, 1);
}

/* The client's last byte on the stream has come. */
static __always_inline void fl_h2_request_over(struct fl_h2_walk *w, __u32 number)
{
	struct fl_h2_stream *stream = fl_h2_find(w, number);

	if (stream)
		stream->pending_ns = w->t->now;
}

/* The codes of gRPC that are the server's failure, as 5xx is: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE,
 * DATA_LOSS. */
static __always_inline int fl_grpc_is_failure(__u32 code)
{
	return code == 2 || code == 4 || code == 12 || code == 13 || code == 14 || code == 15;
}

static __always_inline void fl_h2_failed(struct fl_h2_stream *stream, struct fl_flow_service *service)
{
	if (stream->failed)
		return;
	stream->failed = 1;
	if (service)
		__sync_fetch_and_add(&service->failed, 1);
}

/* The answer has begun, with this status. 0: it is not measured. */
static __always_inline int fl_h2_answer_begins(struct fl_h2_walk *w, struct fl_h2_stream *stream, __u64 began, __u32 status)
{
	struct fl_flow_service *service = fl_flow_service(w->t->pod, w->t->conn);
	__u64 class = status / 100, pending = stream->pending_ns;

	if (!fl_h2_stops_waiting(w->h2, stream))
		return 1;
	if (status < 100 || status > 599) {
		w->t->counters->gaps[FL_GAP_STATUS]++;
		return 0;
	}
	__sync_fetch_and_add(&w->h2->answering, 1);
	if (!service)
		return 1;
	asm volatile("" : "+r"(class));
	__sync_fetch_and_add(&service->responses[class & 7], 1);
	if (class == 5)
		fl_h2_failed(stream, service);
	if (pending) {
		fl_flow_add_time(w->t->pod, w->t->conn->service, 0, began > pending ? began - pending : 0);
	} else {
		__sync_fetch_and_add(&service->early, 1);
		w->t->counters->gaps[FL_GAP_EARLY]++;
	}
	return 1;
}

/* The answer's last byte has come. */
static __always_inline void fl_h2_answer_over(struct fl_h2_walk *w, struct fl_h2_stream *stream)
{
	__u64 asked = stream->asked_ns, now = w->t->now;

	if (fl_h2_forget(w))
		return;
	__sync_fetch_and_add(&w->h2->answering, -1);
	fl_flow_add_time(w->t->pod, w->t->conn->service, 1, now > asked ? now - asked : 0);
}

/* A header block of the server is whole. */
static __always_inline void fl_h2_server_headers(struct fl_h2_walk *w, struct fl_h2_way *way, struct fl_h2_fields *f)
{
	struct fl_h2_stream *stream;

	if (way->ends == FL_H2_PROMISES)
		return;
	stream = fl_h2_find(w, way->stream);
	if (!stream)
		return;
	if (stream->waits) {
		if (f->status >= 100 && f->status < 200 && !way->ends) /* an interim answer */
			return;
		if (!fl_h2_answer_begins(w, stream, f->began_ns, f->status)) {
			fl_h2_forget(w);
			return;
		}
	}
	if (!way->ends)
		return;
	if (f->grpc && fl_grpc_is_failure(f->grpc - 1))
		fl_h2_failed(stream, fl_flow_service(w->t->pod, w->t->conn));
	else if (!f->grpc && f->unknown)
		w->t->counters->gaps[FL_GAP_TRAILER]++;
	fl_h2_answer_over(w, stream);
}

/* The data of an answer is over. */
static __always_inline void fl_h2_server_data_over(struct fl_h2_walk *w, __u32 number)
{
	struct fl_h2_stream *stream = fl_h2_find(w, number);

	if (stream && !stream->waits)
		fl_h2_answer_over(w, stream);
}

/* RST_STREAM. */
static __always_inline void fl_h2_reset(struct fl_h2_walk *w, __u32 number)
{
	struct fl_flow_service *service = fl_flow_service(w->t->pod, w->t->conn);
	struct fl_h2_stream *stream = fl_h2_find(w, number);

	if (!stream)
		return;
	if (!fl_h2_stops_waiting(w->h2, stream)) {
		__sync_fetch_and_add(&w->h2->answering, -1);
		w->t->counters->gaps[FL_GAP_H2_CUT]++;
		if (!w->client) /* it cuts off its answer */
			fl_h2_failed(stream, service);
	} else if (service && w->client) {
		__sync_fetch_and_add(&service->abandoned, 1);
	} else if (service) {
		__sync_fetch_and_add(&service->failed, 1);
		__sync_fetch_and_add(&service->failed_unanswered, 1);
	}
	fl_h2_forget(w);
}

static __always_inline void fl_h2_unanswered(struct fl_h2_connection *h2, struct fl_h2_stream *stream, struct fl_flow_service *service)
{
	if (fl_h2_stops_waiting(h2, stream) && service)
		__sync_fetch_and_add(&service->unanswered, 1);
}

/* The streams of a client are odd. 1: there is no further one. */
static long fl_h2_refuse_one(__u32 step, struct fl_h2_walk *w)
{
	__u32 number = ((w->processed + 1) | 1) + 2 * step;
	struct fl_h2_stream *stream;

	if (number > w->refused)
		return 1;
	stream = fl_h2_find(w, number);
	if (!stream)
		return 0;
	fl_h2_unanswered(w->h2, stream, fl_flow_service(w->t->pod, w->t->conn));
	fl_h2_forget(w);
	return 0;
}

/* The server has said GOAWAY: it will not process these streams that the client has opened. Each is looked for once, by its number,
 * however often the server says it; those beyond FL_H2_REFUSED are left to the sweep. */
static __always_inline void fl_h2_refuse(struct fl_h2_walk *w)
{
	bpf_loop(FL_H2_REFUSED, fl_h2_refuse_one, w, 0);
	w->t->s->key.stream = 0;
}

/* The connection, or its direction, ends with the segment of this number: nothing more comes on its streams. */
static __always_inline void fl_h2_ends(struct fl_flow_pod *pod, void *connections, const struct fl_flow_key *key, struct fl_flow_connection *conn,
				       struct fl_flow_counters *c, enum fl_flow_end how, __u32 seq)
{
	struct fl_h2_connection *h2 = bpf_map_lookup_elem(connections, key);
	struct fl_flow_service *service = fl_flow_service(pod, conn);
	__s32 waiting, answering;

	if (!h2)
		return;
	/* The end has overtaken what may be answers. */
	if (h2->skipped[1] || (how == FL_END_FAILED && fl_is_after(seq, h2->way[1].at)))
		fl_h2_streams_lost(pod, h2, c);
	waiting = __sync_lock_test_and_set(&h2->waiting, 0);
	answering = __sync_lock_test_and_set(&h2->answering, 0);
	h2->epoch = 0;
	bpf_map_delete_elem(connections, key);
	if (answering > 0)
		c->gaps[FL_GAP_H2_CUT] += answering;
	if (!service)
		return;
	if (waiting > 0 && how == FL_END_FAILED) {
		__sync_fetch_and_add(&service->failed, waiting);
		__sync_fetch_and_add(&service->failed_unanswered, waiting);
	} else if (waiting > 0 && how == FL_END_ABANDONED) {
		__sync_fetch_and_add(&service->abandoned, waiting);
	} else if (waiting > 0) {
		__sync_fetch_and_add(&service->unanswered, waiting);
	}
	if (answering > 0 && how == FL_END_FAILED) /* it cuts off its answers */
		__sync_fetch_and_add(&service->failed, answering);
}

struct fl_h2_sweep {
	void *flows, *connections, *streams, *held; /* maps */
	struct fl_flow_pod *pod;
	struct fl_flow_counters *counters;
	__u64 now;
};

static long fl_h2_sweep_connection(void *map, const struct fl_flow_key *key, struct fl_h2_connection *h2, struct fl_h2_sweep *sweep)
{
	struct fl_flow_key copy = *key;
	struct fl_flow_connection *conn = bpf_map_lookup_elem(sweep->flows, &copy);

	if (conn && !conn->gap && (conn->kind == FL_KIND_HTTP2 || conn->kind == FL_KIND_NEW))
		return 0;
	fl_h2_streams_lost(sweep->pod, h2, sweep->counters);
	bpf_map_delete_elem(sweep->connections, &copy);
	return 0;
}

static long fl_h2_sweep_stream(void *map, const struct fl_flow_key *key, struct fl_h2_stream *stream, struct fl_h2_sweep *sweep)
{
	struct fl_flow_key copy = *key, connection = *key;
	struct fl_flow_connection *conn;
	struct fl_h2_connection *h2;

	connection.stream = 0;
	h2 = bpf_map_lookup_elem(sweep->connections, &connection);
	if (h2 && h2->epoch == stream->epoch) {
		if (copy.stream <= h2->last &&
		    (!stream->waits || !stream->pending_ns || sweep->now < stream->pending_ns + FL_FLOW_UNANSWERED_NS))
			return 0;
		conn = bpf_map_lookup_elem(sweep->flows, &connection);
		fl_h2_unanswered(h2, stream, conn ? fl_flow_service(sweep->pod, conn) : 0);
	}
	bpf_map_delete_elem(sweep->streams, &copy);
	return 0;
}

/* A segment of a connection that is no more. */
static long fl_h2_sweep_held(void *map, const struct fl_flow_key *key, struct fl_h2_held *held, struct fl_h2_sweep *sweep)
{
	struct fl_flow_key copy = *key, connection = *key;
	struct fl_h2_connection *h2;

	connection.stream = 0;
	h2 = bpf_map_lookup_elem(sweep->connections, &connection);
	if (!h2 || !h2->way[copy.stream == FL_H2_OF_SERVER ? 1 : 0].holds)
		bpf_map_delete_elem(sweep->held, &copy);
	return 0;
}

/* Forgets the streams of connections that are no more, and requests that nobody answers. */
static __always_inline void fl_h2_sweep(struct fl_h2_sweep *sweep)
{
	bpf_for_each_map_elem(sweep->connections, fl_h2_sweep_connection, sweep, 0);
	bpf_for_each_map_elem(sweep->streams, fl_h2_sweep_stream, sweep, 0);
	bpf_for_each_map_elem(sweep->held, fl_h2_sweep_held, sweep, 0);
}

#endif
