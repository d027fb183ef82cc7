// SPDX-License-Identifier: GPL-2.0-only
/* Packets, bytes, resets and the turnaround of requests of one pod. Four hooks, because the two sides of a service see a fault from
 * different places:
 *
 *   fl_flow_out_to    host-side ingress, behind our faults: what the network really got from the pod. Answers of servers.
 *   fl_flow_out_from  host-side egress, before our faults: when the network had it for the pod. Requests to servers.
 *   fl_flow_in_to     pod-side egress: when the pod sent it, whatever faults do to it later. Requests of clients.
 *   fl_flow_in_from   pod-side ingress, behind our faults: what the pod really got. Answers to clients.
 *
 * So a server's latency is what its callers are made to feel, a client's what its own application feels; both with our faults.
 * Who is the server is told by the SYN-ACK; user space enters the connections that are older. What a connection carries, and how its
 * requests are told apart: flow_kinds.bpf.h. A retransmission is no new data. */
#include <linux/bpf.h>
#include "flow_kinds.bpf.h"
#include "passing.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TCX_NEXT (-1)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_FLOW_CONNECTIONS);
	__type(key, struct fl_flow_key);
	__type(value, struct fl_flow_connection);
} fl_flow_conns SEC(".maps");

/* Of HTTP/2. Most pods have few of either, so the memory is only taken when it is used. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, FL_H2_CONNECTIONS);
	__type(key, struct fl_flow_key);
	__type(value, struct fl_h2_connection);
} fl_flow_h2 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, FL_H2_STREAMS);
	__type(key, struct fl_flow_key);
	__type(value, struct fl_h2_stream);
} fl_flow_streams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, FL_H2_HELD);
	__type(key, struct fl_flow_key);
	__type(value, struct fl_h2_held);
} fl_flow_held SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_BANKS);
	__type(key, __u32);
	__type(value, struct fl_flow_counters);
} fl_flow_counters SEC(".maps");

/* side << 16 | port -> index into fl_flow_services */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_FLOW_SERVICES);
	__type(key, __u32);
	__type(value, __u32);
} fl_flow_index SEC(".maps");

/* A bit a port of the pod and side: there are or were connections. It spares most packets a look into the map. */
__u32 fl_flow_ports[2][2048];
__u32 fl_flow_ready; /* user space has entered the connections that are older than the hooks */

static __always_inline volatile __u32 *fl_flow_port_word(__u32 side, __u16 port)
{
	__u64 word = port >> 5;

	asm volatile("" : "+r"(word)); /* else the compiler drops the mask that the verifier of Linux 6.1 wants */
	return &fl_flow_ports[side][word & 2047];
}

static __always_inline int fl_flow_has_port(__u32 side, __u16 port)
{
	return (*fl_flow_port_word(side, port) >> (port & 31)) & 1;
}

static __always_inline void fl_flow_set_port(__u32 side, __u16 port)
{
	if (!fl_flow_has_port(side, port))
		__sync_fetch_and_or(fl_flow_port_word(side, port), 1u << (port & 31));
}

static __always_inline struct fl_flow_counters *fl_flow_counts(void)
{
	__u32 bank = fl_bank();

	return bpf_map_lookup_elem(&fl_flow_counters, &bank);
}

/* The index of the service, or FL_FLOW_SERVICES. */
static __always_inline __u32 fl_flow_find_service(__u32 side, __u32 port, struct fl_flow_counters *c)
{
	__u32 key = side << 16 | port, fresh;
	__u32 *index = bpf_map_lookup_elem(&fl_flow_index, &key);

	if (index)
		return *index;
	fresh = __sync_fetch_and_add(&fl_flow_used, 1);
	if (fresh >= FL_FLOW_SERVICES) {
		__sync_fetch_and_add(&fl_flow_used, -1);
		c->no_service++;
		return FL_FLOW_SERVICES;
	}
	fl_flow_services[fresh].port = port;
	fl_flow_services[fresh].side = side;
	/* Another CPU may have been faster; then ours stays empty, which is rare and harmless. */
	bpf_map_update_elem(&fl_flow_index, &key, &fresh, BPF_NOEXIST);
	index = bpf_map_lookup_elem(&fl_flow_index, &key);
	return index ? *index : FL_FLOW_SERVICES;
}

/* The connection, or its direction, ends: a request that waits gets no answer, and an answer is over. */
static __always_inline void fl_flow_ends(const struct fl_flow_key *key, struct fl_flow_connection *conn,
					 struct fl_flow_counters *c, enum fl_flow_end how, __u32 seq)
{
	struct fl_flow_service *service = fl_flow_service(conn);

	if (conn->kind == FL_KIND_HTTP2) {
		fl_h2_ends(&fl_flow_h2, key, conn, c, how, seq);
		return;
	}
	fl_flow_finish(conn);
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

/* The server accepts the connection. */
static __noinline int fl_flow_open(const struct fl_segment *s, __u32 side, struct fl_flow_counters *c)
{
	struct fl_flow_connection fresh = {};
	struct fl_flow_connection *old = bpf_map_lookup_elem(&fl_flow_conns, &s->key);

	if (old) {
		if (old->isn == s->ack && old->side == side && !(old->flags & FL_FLOW_OLD)) /* sent again */
			return fl_done();
		fl_flow_ends(&s->key, old, c, FL_END_UNANSWERED, 0);
	}
	fresh.side = side;
	fresh.isn = s->ack;
	fresh.request_end = s->ack;
	fresh.answer_end = s->seq + 1;
	fresh.flags = FL_FLOW_KNOWS_REQUEST | FL_FLOW_KNOWS_ANSWER;
	fresh.service = FL_FLOW_NO_SERVICE;
	c->connections++;
	if (bpf_map_update_elem(&fl_flow_conns, &s->key, &fresh, BPF_ANY))
		c->errors++;
	fl_flow_set_port(side, s->key.pod_port);
	return fl_done();
}

/* Nobody saw who opened the connection of this data: it is entered, so that it counts once a window. */
static __noinline int fl_flow_unknown(const struct fl_segment *s, struct fl_flow_counters *c)
{
	struct fl_flow_connection fresh = {};
	struct fl_flow_connection *old;

	if (!fl_flow_ready || !s->payload)
		return fl_done();
	old = bpf_map_lookup_elem(&fl_flow_conns, &s->key);
	if (old) {
		if (old->side == FL_FLOW_NO_SIDE)
			fl_flow_active(old, c);
		return fl_done();
	}
	fresh.side = FL_FLOW_NO_SIDE;
	fresh.gap = FL_GAP_SIDE;
	fresh.service = FL_FLOW_NO_SERVICE;
	fl_flow_active(&fresh, c);
	c->connections++;
	if (bpf_map_update_elem(&fl_flow_conns, &s->key, &fresh, BPF_NOEXIST))
		c->errors++;
	return fl_done();
}

static __always_inline struct fl_turn fl_flow_turn(struct __sk_buff *skb, struct fl_segment *s, struct fl_flow_connection *conn,
						   struct fl_flow_counters *c)
{
	struct fl_turn t = {.skb = skb, .s = s, .conn = conn, .counters = c, .now = bpf_ktime_get_ns(),
			    .h2_connections = &fl_flow_h2, .h2_streams = &fl_flow_streams, .h2_held = &fl_flow_held};

	return t;
}

/* The two long ways, a segment of the client and one of the server, are functions that the verifier goes through for themselves, with
 * any segment: going through them once for each way in which a program comes to know its segment took a second for each measured pod.
 * Both return what fl_done() does. */

/* A segment of the client. */
__noinline int fl_flow_from_client(struct __sk_buff *skb, struct fl_segment *given, __u32 side)
{
	struct fl_segment own, *s = &own; /* Linux 6.1 looks nothing up by a key in memory that a caller gave */
	struct fl_flow_connection *conn;
	struct fl_flow_counters *c;
	__u32 end;
	int is_new;

	if (!given) /* the verifier asks */
		return fl_done();
	own = *given;
	end = s->seq + s->payload;
	conn = bpf_map_lookup_elem(&fl_flow_conns, &s->key);
	c = fl_flow_counts();
	if (!c)
		return fl_done();
	if (!conn) {
		fl_did(fl_flow_unknown(s, c));
		return fl_done();
	}
	if (conn->side != side) {
		if (conn->side == FL_FLOW_NO_SIDE && s->payload)
			fl_flow_active(conn, c);
		return fl_done();
	}
	if (s->payload && !(s->flags & FL_SYN)) {
		fl_flow_active(conn, c);
		if (conn->gap)
			return fl_done();
		is_new = !(conn->flags & FL_FLOW_KNOWS_REQUEST) || fl_is_after(end, conn->request_end);
		if (is_new || conn->kind == FL_KIND_HTTP2) { /* which may wait for what comes late */
			struct fl_turn t = fl_flow_turn(skb, s, conn, c);

			if (conn->service == FL_FLOW_NO_SERVICE)
				conn->service = fl_flow_find_service(
					side, side == FL_FLOW_SERVER ? s->key.pod_port : s->key.peer_port, c);
			if (is_new)
				conn->request_end = end;
			conn->flags |= FL_FLOW_KNOWS_REQUEST;
			fl_flow_request(&t);
		}
	}
	if (s->flags & (FL_FIN | FL_RST)) {
		conn->flags |= FL_FLOW_CLIENT_FIN;
		fl_flow_ends(&s->key, conn, c, FL_END_ABANDONED, s->seq);
	}
	return fl_done();
}

/* A segment of the server. */
__noinline int fl_flow_from_server(struct __sk_buff *skb, struct fl_segment *given, __u32 side)
{
	struct fl_segment own, *s = &own;
	struct fl_flow_counters *c = fl_flow_counts();
	struct fl_flow_connection *conn;
	__u32 end;

	if (!given || !c)
		return fl_done();
	own = *given;
	end = s->seq + s->payload;
	conn = bpf_map_lookup_elem(&fl_flow_conns, &s->key);
	if (!conn) {
		fl_did(fl_flow_unknown(s, c));
		return fl_done();
	}
	if (conn->side != side || conn->gap)
		return fl_done();
	/* The awaited byte may come after later ones. */
	if (s->payload && (!(conn->flags & FL_FLOW_KNOWS_ANSWER) || fl_is_after(end, conn->answer_end) ||
			   conn->kind == FL_KIND_HTTP2 || (conn->pending_ns && conn->kind != FL_KIND_TLS && fl_is_after(end, conn->turn)))) {
		struct fl_turn t = fl_flow_turn(skb, s, conn, c);

		fl_flow_answer(&t);
		if (!(conn->flags & FL_FLOW_KNOWS_ANSWER) || fl_is_after(end, conn->answer_end))
			conn->answer_end = end;
		conn->flags |= FL_FLOW_KNOWS_ANSWER;
	}
	if (s->flags & (FL_FIN | FL_RST)) {
		conn->flags |= FL_FLOW_SERVER_FIN;
		fl_flow_ends(&s->key, conn, c, FL_END_FAILED, s->seq);
	}
	return fl_done();
}

/* Does the segment say more than that something was received? */
static __always_inline int fl_flow_has_news(const struct fl_segment *s)
{
	return s->payload || s->flags & (FL_FIN | FL_RST);
}

static __always_inline void fl_flow_of_client(struct __sk_buff *skb, struct fl_segment *s, __u32 side)
{
	if (fl_flow_has_news(s))
		fl_did(fl_flow_from_client(skb, s, side));
}

static __always_inline void fl_flow_of_server(struct __sk_buff *skb, struct fl_segment *s, __u32 side)
{
	if (fl_flow_has_news(s))
		fl_did(fl_flow_from_server(skb, s, side));
}

static __always_inline struct fl_flow_counters *fl_flow_count(struct __sk_buff *skb, __u32 direction)
{
	struct fl_flow_counters *c = fl_flow_counts();

	if (c) {
		c->packets[direction]++;
		c->bytes[direction] += skb->len;
	}
	return c;
}

SEC("tc")
int fl_flow_out_to(struct __sk_buff *skb)
{
	struct fl_flow_counters *c = fl_flow_count(skb, FL_FLOW_TO);
	struct fl_segment s = {};

	if (!c)
		return TCX_NEXT;
	if (!fl_segment_of(skb, &s, 1)) {
		c->udp += fl_is_udp(skb);
		return TCX_NEXT;
	}
	if (s.flags & FL_RST)
		c->resets++;
	if ((s.flags & (FL_SYN | FL_ACK)) == (FL_SYN | FL_ACK))
		fl_did(fl_flow_open(&s, FL_FLOW_SERVER, c));
	else if (fl_flow_has_port(FL_FLOW_SERVER, s.key.pod_port))
		fl_flow_of_server(skb, &s, FL_FLOW_SERVER);
	else if (!fl_flow_has_port(FL_FLOW_CLIENT, s.key.pod_port))
		fl_did(fl_flow_unknown(&s, c));
	return TCX_NEXT;
}

static __always_inline int fl_flow_before_faults(struct __sk_buff *skb)
{
	struct fl_flow_counters *c;
	struct fl_segment s = {};
	int is_segment;

	/* On its second way, after a delay line: it was seen before. */
	if (fl_passing_of(skb))
		return TCX_NEXT;
	is_segment = fl_segment_of(skb, &s, 0);
	c = fl_flow_counts();
	if (c)
		c->to_pod_outside += fl_wire_packets(skb, s.payload);
	if (is_segment && fl_flow_has_port(FL_FLOW_SERVER, s.key.pod_port))
		fl_flow_of_client(skb, &s, FL_FLOW_SERVER);
	return TCX_NEXT;
}

SEC("tc")
int fl_flow_out_from(struct __sk_buff *skb)
{
	return fl_flow_before_faults(skb);
}

/* Takes turns with the former when the head of the chain must be taken again: a program can hang on a hook only once, and
 * between a detach and an attach a request would go unseen. */
SEC("tc")
int fl_flow_out_frm2(struct __sk_buff *skb)
{
	return fl_flow_before_faults(skb);
}

SEC("tc")
int fl_flow_in_to(struct __sk_buff *skb)
{
	struct fl_segment s = {};

	if (fl_segment_of(skb, &s, 1) && fl_flow_has_port(FL_FLOW_CLIENT, s.key.pod_port))
		fl_flow_of_client(skb, &s, FL_FLOW_CLIENT);
	return TCX_NEXT;
}

SEC("tc")
int fl_flow_in_from(struct __sk_buff *skb)
{
	struct fl_flow_counters *c = fl_flow_count(skb, FL_FLOW_FROM);
	struct fl_segment s = {};
	int is_segment;

	if (!c)
		return TCX_NEXT;
	is_segment = fl_segment_of(skb, &s, 0);
	c->to_pod_inside += fl_wire_packets(skb, s.payload);
	if (!is_segment) {
		c->udp += fl_is_udp(skb);
		return TCX_NEXT;
	}
	if (s.flags & FL_RST)
		c->resets++;
	if ((s.flags & (FL_SYN | FL_ACK)) == (FL_SYN | FL_ACK))
		fl_did(fl_flow_open(&s, FL_FLOW_CLIENT, c));
	else if (fl_flow_has_port(FL_FLOW_CLIENT, s.key.pod_port))
		fl_flow_of_server(skb, &s, FL_FLOW_CLIENT);
	return TCX_NEXT;
}

struct fl_flow_sweep {
	struct fl_flow_counters *counters;
	__u64 now;
};

static long fl_flow_sweep_one(void *map, const struct fl_flow_key *key, struct fl_flow_connection *conn, struct fl_flow_sweep *sweep)
{
	__u64 answer = conn->answer_ns, pending = conn->pending_ns;

	if (answer && sweep->now > answer + FL_FLOW_IDLE_NS) {
		fl_flow_finish(conn);
		conn->flags |= FL_FLOW_OVER;
	}
	if (pending && sweep->now > pending + FL_FLOW_UNANSWERED_NS)
		fl_flow_ends(key, conn, sweep->counters, FL_END_UNANSWERED, 0);
	return 0;
}

/* Run by user space once a window: what came to an end because nothing more came. */
SEC("tc")
int fl_flow_sweep(struct __sk_buff *skb)
{
	struct fl_flow_sweep sweep = {.counters = fl_flow_counts(), .now = bpf_ktime_get_ns()};

	struct fl_h2_sweep http2 = {.flows = &fl_flow_conns, .connections = &fl_flow_h2, .streams = &fl_flow_streams, .held = &fl_flow_held,
				    .counters = sweep.counters, .now = sweep.now};

	if (!sweep.counters)
		return TCX_NEXT;
	bpf_for_each_map_elem(&fl_flow_conns, fl_flow_sweep_one, &sweep, 0);
	fl_h2_sweep(&http2);
	return TCX_NEXT;
}
