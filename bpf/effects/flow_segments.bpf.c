// SPDX-License-Identifier: GPL-2.0-only
/* The long ways of packet_flow.bpf.c: what a segment that says something means for its connection. These programs are loaded once and serve
 * all measured pods of the node, because the verifier needs half a second for them. They hang on no hook: a pod's program finds the
 * segment, hands it over and calls one of these as its tail. What a connection carries, and how its requests are told apart:
 * flow_kinds.bpf.h. */
#include <linux/bpf.h>
#include "flow_connections.bpf.h"
#include "flow_kinds.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TCX_NEXT (-1)

/* The global data of a pod's object. */
struct fl_flow_data_of_pod {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct fl_flow_pod));
};

/* By the slots of the pods. */
#define FL_OF_ALL_PODS(type_of_map, name)                \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); \
		__uint(max_entries, FL_FLOW_PODS);       \
		__type(key, __u32);                      \
		__array(values, struct type_of_map);     \
	} name SEC(".maps")

FL_OF_ALL_PODS(fl_flow_data_of_pod, fl_flow_data_of);
FL_OF_ALL_PODS(fl_flow_counters_of_pod, fl_flow_counters_of);
FL_OF_ALL_PODS(fl_flow_conns_of_pod, fl_flow_conns_of);
FL_OF_ALL_PODS(fl_flow_h2_of_pod, fl_flow_h2_of);
FL_OF_ALL_PODS(fl_flow_streams_of_pod, fl_flow_streams_of);
FL_OF_ALL_PODS(fl_flow_held_of_pod, fl_flow_held_of);

/* A segment, and all that there is of its pod. */
struct fl_flow_way {
	struct fl_segment s; /* a copy on the stack: Linux 6.1 looks nothing up by a key elsewhere */
	struct fl_turn t;
	void *conns;
	__u32 side;
};

/* 1: *way is the segment that was handed over. 0: the pod is not measured any more. */
static __always_inline int fl_flow_take(struct __sk_buff *skb, struct fl_flow_way *way)
{
	__u32 first = 0, slot, bank;
	struct fl_flow_handed *handed = bpf_map_lookup_elem(&fl_flow_handed, &first);
	void *data, *counters;

	if (!handed)
		return 0;
	way->s = handed->segment;
	way->side = handed->side;
	slot = handed->slot;
	data = bpf_map_lookup_elem(&fl_flow_data_of, &slot);
	counters = bpf_map_lookup_elem(&fl_flow_counters_of, &slot);
	way->conns = bpf_map_lookup_elem(&fl_flow_conns_of, &slot);
	way->t.h2_connections = bpf_map_lookup_elem(&fl_flow_h2_of, &slot);
	way->t.h2_streams = bpf_map_lookup_elem(&fl_flow_streams_of, &slot);
	way->t.h2_held = bpf_map_lookup_elem(&fl_flow_held_of, &slot);
	if (!data || !counters || !way->conns || !way->t.h2_connections || !way->t.h2_streams || !way->t.h2_held)
		return 0;
	way->t.pod = bpf_map_lookup_elem(data, &first);
	if (!way->t.pod)
		return 0;
	bank = fl_bank_of(&way->t.pod->cut);
	way->t.counters = bpf_map_lookup_elem(counters, &bank);
	if (!way->t.counters)
		return 0;
	way->t.skb = skb;
	way->t.s = &way->s;
	way->t.conn = bpf_map_lookup_elem(way->conns, &way->s.key);
	return 1;
}

/* The connection, or its direction, ends: a request that waits gets no answer, and an answer is over. `h2`: the pod's map of
 * connections of HTTP/2. */
static __always_inline void fl_flow_ends(struct fl_flow_pod *pod, void *h2, const struct fl_flow_key *key, struct fl_flow_connection *conn,
					 struct fl_flow_counters *c, enum fl_flow_end how, __u32 seq)
{
	struct fl_flow_service *service = fl_flow_service(pod, conn);

	if (conn->kind == FL_KIND_HTTP2) {
		fl_h2_ends(pod, h2, key, conn, c, how, seq);
		return;
	}
	fl_flow_finish(pod, conn);
	if (conn->held_ns) {
		fl_flow_request_missed(conn, c, FL_GAP_TICKET);
		return;
	}
	if (!__sync_lock_test_and_set(&conn->pending_ns, 0) || !service)
		return;
	conn->asked_ns = 0;
	if (conn->flags & FL_FLOW_GOODBYE)
		return;
	if (how == FL_END_FAILED) {
		__sync_fetch_and_add(&service->failed, 1);
		__sync_fetch_and_add(&service->failed_unanswered, 1);
	} else if (how == FL_END_ABANDONED) {
		__sync_fetch_and_add(&service->abandoned, 1);
	} else {
		__sync_fetch_and_add(&service->unanswered, 1);
	}
}

/* Nobody saw who opened the connection of this data: it is entered in the pod's map of connections, so that it counts once a window. */
static __noinline int fl_flow_unknown(struct fl_flow_pod *pod, void *conns, const struct fl_segment *s, struct fl_flow_counters *c)
{
	struct fl_flow_connection fresh = {};
	struct fl_flow_connection *old;

	if (!pod->ready || !s->payload)
		return fl_done();
	old = bpf_map_lookup_elem(conns, &s->key);
	if (old) {
		if (old->side == FL_FLOW_NO_SIDE)
			fl_flow_active(pod, old, c);
		return fl_done();
	}
	fresh.side = FL_FLOW_NO_SIDE;
	fresh.gap = FL_GAP_SIDE;
	fresh.service = FL_FLOW_NO_SERVICE;
	fl_flow_active(pod, &fresh, c);
	c->connections++;
	if (bpf_map_update_elem(conns, &s->key, &fresh, BPF_NOEXIST))
		c->errors++;
	return fl_done();
}

/* The server accepts the connection. */
SEC("tc")
int fl_flow_opens(struct __sk_buff *skb)
{
	struct fl_flow_connection fresh = {}, *old;
	struct fl_flow_way way = {};
	struct fl_segment *s = &way.s;
	volatile __u32 *ports;

	if (!fl_flow_take(skb, &way))
		return TCX_NEXT;
	old = way.t.conn;

	if (old) {
		if (old->isn == s->ack && old->side == way.side && !(old->flags & FL_FLOW_OLD)) /* sent again */
			return TCX_NEXT;
		fl_flow_ends(way.t.pod, way.t.h2_connections, &s->key, old, way.t.counters, FL_END_UNANSWERED, 0);
	}
	fresh.side = way.side;
	fresh.isn = s->ack;
	fresh.request_end = s->ack;
	fresh.answer_end = s->seq + 1;
	fresh.flags = FL_FLOW_KNOWS_REQUEST | FL_FLOW_KNOWS_ANSWER;
	fresh.service = FL_FLOW_NO_SERVICE;
	way.t.counters->connections++;
	if (bpf_map_update_elem(way.conns, &s->key, &fresh, BPF_ANY))
		way.t.counters->errors++;
	ports = fl_flow_port_word(way.t.pod, way.side & 1, s->key.pod_port);
	if (!(*ports >> (s->key.pod_port & 31) & 1))
		__sync_fetch_and_or(ports, 1u << (s->key.pod_port & 31));
	return TCX_NEXT;
}

struct fl_flow_search {
	struct fl_flow_pod *pod;
	__u32 name;
	__u32 found; /* its place, or FL_FLOW_SERVICES */
};

/* Looks at one place after the other, and takes the first free one. 1: this is the one. */
static long fl_flow_search_one(__u32 place, struct fl_flow_search *search)
{
	struct fl_flow_service *service = &search->pod->services[fl_bounded(place, FL_FLOW_SERVICES)];
	__u32 name = service->name;

	if (!name) {
		name = __sync_val_compare_and_swap(&service->name, 0, search->name);
		if (!name) /* and no other CPU was faster */
			name = search->name;
	}
	if (name != search->name)
		return 0;
	search->found = place;
	return 1;
}

/* The index of the service, or FL_FLOW_SERVICES. Asked once for each connection. */
static __noinline __u32 fl_flow_find_service(struct fl_turn *t, __u32 side)
{
	struct fl_flow_search search = {.pod = t->pod, .found = FL_FLOW_SERVICES};

	search.name = FL_FLOW_SERVICE_NAME(side, side == FL_FLOW_SERVER ? t->s->key.pod_port : t->s->key.peer_port);
	bpf_loop(FL_FLOW_SERVICES, fl_flow_search_one, &search, 0);
	if (search.found == FL_FLOW_SERVICES)
		t->counters->no_service++;
	return search.found;
}

/* 1: the segment's connection is there, and the pod is on the side of it that the segment shows. Else it may be one that nobody saw begin,
 * which is counted. */
static __always_inline int fl_flow_is_known(struct fl_flow_way *way)
{
	struct fl_flow_connection *conn = way->t.conn;

	if (!conn) {
		fl_did(fl_flow_unknown(way->t.pod, way->conns, &way->s, way->t.counters));
		return 0;
	}
	if (conn->side == FL_FLOW_NO_SIDE && way->s.payload)
		fl_flow_active(way->t.pod, conn, way->t.counters);
	return conn->side == way->side;
}

SEC("tc")
int fl_flow_of_client(struct __sk_buff *skb)
{
	struct fl_flow_way way = {};
	struct fl_flow_connection *conn;
	struct fl_segment *s = &way.s;
	struct fl_turn *t = &way.t;
	__u32 end;
	int is_new;

	if (!fl_flow_take(skb, &way))
		return TCX_NEXT;
	conn = t->conn;
	end = s->seq + s->payload;
	if (!fl_flow_is_known(&way))
		return TCX_NEXT;
	if (s->payload && !(s->flags & FL_SYN)) {
		fl_flow_active(t->pod, conn, t->counters);
		if (conn->gap)
			return TCX_NEXT;
		is_new = !(conn->flags & FL_FLOW_KNOWS_REQUEST) || fl_is_after(end, conn->request_end);
		if (is_new || conn->kind == FL_KIND_HTTP2) { /* which may wait for what comes late */
			t->now = bpf_ktime_get_ns();
			if (conn->service == FL_FLOW_NO_SERVICE)
				conn->service = fl_flow_find_service(t, way.side);
			if (is_new)
				conn->request_end = end;
			conn->flags |= FL_FLOW_KNOWS_REQUEST;
			fl_flow_request(t);
		}
	}
	if (s->flags & (FL_FIN | FL_RST)) {
		conn->flags |= FL_FLOW_CLIENT_FIN;
		fl_flow_ends(t->pod, t->h2_connections, &s->key, conn, t->counters, FL_END_ABANDONED, s->seq);
	}
	return TCX_NEXT;
}

SEC("tc")
int fl_flow_of_server(struct __sk_buff *skb)
{
	struct fl_flow_way way = {};
	struct fl_flow_connection *conn;
	struct fl_segment *s = &way.s;
	struct fl_turn *t = &way.t;
	__u32 end;

	if (!fl_flow_take(skb, &way))
		return TCX_NEXT;
	conn = t->conn;
	end = s->seq + s->payload;
	if (!fl_flow_is_known(&way) || conn->gap)
		return TCX_NEXT;
	/* The awaited byte may come after later ones. */
	if (s->payload && (!(conn->flags & FL_FLOW_KNOWS_ANSWER) || fl_is_after(end, conn->answer_end) ||
			   conn->kind == FL_KIND_HTTP2 || (conn->pending_ns && conn->kind != FL_KIND_TLS && fl_is_after(end, conn->turn)))) {
		t->now = bpf_ktime_get_ns();
		fl_flow_answer(t);
		if (!(conn->flags & FL_FLOW_KNOWS_ANSWER) || fl_is_after(end, conn->answer_end))
			conn->answer_end = end;
		conn->flags |= FL_FLOW_KNOWS_ANSWER;
	}
	if (s->flags & (FL_FIN | FL_RST)) {
		conn->flags |= FL_FLOW_SERVER_FIN;
		fl_flow_ends(t->pod, t->h2_connections, &s->key, conn, t->counters, FL_END_FAILED, s->seq);
	}
	return TCX_NEXT;
}

struct fl_flow_sweep {
	struct fl_flow_pod *pod;
	void *h2; /* map */
	struct fl_flow_counters *counters;
	__u64 now;
	__u64 longest_wait_ns;
};

static long fl_flow_sweep_one(void *map, const struct fl_flow_key *key, struct fl_flow_connection *conn, struct fl_flow_sweep *sweep)
{
	__u64 answer = conn->answer_ns, pending = conn->pending_ns;

	if (answer && sweep->now > answer + FL_FLOW_IDLE_NS) {
		fl_flow_finish(sweep->pod, conn);
		conn->flags |= FL_FLOW_OVER;
	}
	if (pending && sweep->now > pending + sweep->longest_wait_ns)
		sweep->longest_wait_ns = sweep->now - pending;
	if (pending && sweep->now > pending + FL_FLOW_UNANSWERED_NS)
		fl_flow_ends(sweep->pod, sweep->h2, key, conn, sweep->counters, FL_END_UNANSWERED, 0);
	return 0;
}

/* No segment: what came to an end because nothing more came? */
SEC("tc")
int fl_flow_sweeps(struct __sk_buff *skb)
{
	struct fl_flow_sweep sweep = {.now = bpf_ktime_get_ns()};
	struct fl_flow_way way = {};
	struct fl_h2_sweep http2 = {.now = sweep.now};

	if (!fl_flow_take(skb, &way))
		return TCX_NEXT;
	sweep.pod = http2.pod = way.t.pod;
	sweep.counters = http2.counters = way.t.counters;
	sweep.h2 = http2.connections = way.t.h2_connections;
	http2.flows = way.conns;
	http2.streams = way.t.h2_streams;
	http2.held = way.t.h2_held;
	bpf_for_each_map_elem(way.conns, fl_flow_sweep_one, &sweep, 0);
	sweep.pod->longest_wait_ns = sweep.longest_wait_ns;
	fl_h2_sweep(&http2);
	return TCX_NEXT;
}
