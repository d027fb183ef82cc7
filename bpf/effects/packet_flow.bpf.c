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
 * Turnaround: from the last new data of a request to the first new data of its answer; a retransmission is not new. A protocol
 * that has several requests under way on one connection is seen as one request at a time. */
#include <linux/bpf.h>
#include <linux/tcp.h>
#include "cut.bpf.h"
#include "hist.bpf.h"
#include "packet.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TCX_NEXT (-1)
#define FL_FIN 0x01
#define FL_SYN 0x02
#define FL_RST 0x04
#define FL_ACK 0x10

struct fl_connection_key {
	__u64 peer[2];
	__u16 pod_port;
	__u16 peer_port;
	__u32 _pad;
};

struct fl_connection {
	__u64 pending_ns; /* the request that waits for its answer: when its last new data came; 0: none */
	__u32 request_end; /* sequence number after the newest data of each direction */
	__u32 answer_end;
	__u32 service; /* index into fl_flow_services */
	__u8 answered; /* answer_end is known */
	__u8 given_up; /* the client has closed while a request was pending; counted as unanswered */
	__u16 _pad;
};

/* One TCP segment, as the pod sees it. */
struct fl_segment {
	struct fl_connection_key key;
	__u32 seq;
	__u32 payload; /* bytes */
	__u8 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_FLOW_CONNECTIONS);
	__type(key, struct fl_connection_key);
	__type(value, struct fl_connection);
} fl_flow_conns SEC(".maps");

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

struct fl_flow_service fl_flow_services[FL_FLOW_SERVICES];
__u32 fl_flow_used;          /* services in use */
__u32 fl_flow_server[2048];  /* a bit a port: the pod answers there. User space sets those that listen already */

static __always_inline int fl_is_server(__u16 port)
{
	return (*(volatile __u32 *)&fl_flow_server[(port >> 5) & 2047] >> (port & 31)) & 1;
}

static __always_inline void fl_set_server(__u16 port)
{
	if (!fl_is_server(port))
		__sync_fetch_and_or(&fl_flow_server[(port >> 5) & 2047], 1u << (port & 31));
}

/* 1: *s is the segment. All but the rare is read in place: each packet of a measured pod pays for this. */
static __always_inline int fl_segment_of(struct __sk_buff *skb, struct fl_segment *s, int pod_is_source)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct ipv6hdr *ip6 = data + ETH_HLEN;
	struct tcphdr *tcp;
	struct tcphdr copy;
	struct fl_packet p = {};
	__u32 length, header; /* of the IP packet from the TCP header on */

	if (skb->protocol == bpf_htons(ETH_P_IP) && (void *)(ip + 1) <= end && *(__u8 *)ip == 0x45) {
		tcp = (void *)(ip + 1);
		if (ip->protocol != IPPROTO_TCP)
			return 0;
		if ((void *)(tcp + 1) <= end && !(ip->frag_off & bpf_htons(0x3fff))) {
			fl_map_v4(s->key.peer, pod_is_source ? ip->daddr : ip->saddr);
			length = bpf_ntohs(ip->tot_len) - sizeof(*ip);
			if (!ip->tot_len) /* BIG TCP */
				length = skb->len - ETH_HLEN - sizeof(*ip);
			goto found;
		}
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end && ip6->nexthdr == IPPROTO_TCP) {
		tcp = (void *)(ip6 + 1);
		if ((void *)(tcp + 1) <= end) {
			__builtin_memcpy(s->key.peer, pod_is_source ? &ip6->daddr : &ip6->saddr, 16);
			length = bpf_ntohs(ip6->payload_len);
			if (!length)
				length = skb->len - ETH_HLEN - sizeof(*ip6);
			goto found;
		}
	}
	if (!fl_parse(skb, &p) || p.protocol != IPPROTO_TCP || p.fragment ||
	    bpf_skb_load_bytes(skb, p.payload, &copy, sizeof(copy)))
		return 0;
	s->key.peer[0] = pod_is_source ? p.daddr[0] : p.saddr[0];
	s->key.peer[1] = pod_is_source ? p.daddr[1] : p.saddr[1];
	length = skb->len - p.payload;
	tcp = &copy;
found:
	s->key.pod_port = bpf_ntohs(pod_is_source ? tcp->source : tcp->dest);
	s->key.peer_port = bpf_ntohs(pod_is_source ? tcp->dest : tcp->source);
	s->seq = bpf_ntohl(tcp->seq);
	s->flags = ((__u8 *)tcp)[13];
	header = tcp->doff * 4;
	s->payload = length > header ? length - header : 0;
	return 1;
}

static __always_inline int fl_is_after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

/* The index of the service, or FL_FLOW_SERVICES. */
static __always_inline __u32 fl_service(__u32 side, __u32 port, struct fl_flow_counters *c)
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

static __always_inline void fl_request(const struct fl_segment *s, __u32 side, struct fl_flow_counters *c)
{
	struct fl_connection *old = bpf_map_lookup_elem(&fl_flow_conns, &s->key);
	struct fl_connection fresh = {};
	__u32 end = s->seq + s->payload;

	if (s->payload && !(s->flags & FL_SYN)) {
		if (old) {
			if (fl_is_after(end, old->request_end)) {
				old->request_end = end;
				old->pending_ns = bpf_ktime_get_ns();
			}
		} else {
			fresh.service = fl_service(side, side == FL_FLOW_SERVER ? s->key.pod_port : s->key.peer_port, c);
			if (fresh.service >= FL_FLOW_SERVICES)
				return;
			fresh.request_end = end;
			fresh.pending_ns = bpf_ktime_get_ns();
			c->connections++;
			if (bpf_map_update_elem(&fl_flow_conns, &s->key, &fresh, BPF_NOEXIST))
				c->errors++;
		}
	}
	if (old && (s->flags & FL_FIN) && old->pending_ns && !old->given_up && old->service < FL_FLOW_SERVICES) {
		old->given_up = 1;
		__sync_fetch_and_add(&fl_flow_services[old->service].unanswered[fl_bank() & 1], 1);
	}
}

/* The connection ends: whoever still waits, waits in vain. */
static __always_inline void fl_over(const struct fl_segment *s, struct fl_connection *connection)
{
	if (__sync_lock_test_and_set(&connection->pending_ns, 0) && !connection->given_up &&
	    connection->service < FL_FLOW_SERVICES)
		__sync_fetch_and_add(&fl_flow_services[connection->service].unanswered[fl_bank() & 1], 1);
	bpf_map_delete_elem(&fl_flow_conns, &s->key);
}

static __always_inline void fl_answer(const struct fl_segment *s)
{
	struct fl_connection *connection = bpf_map_lookup_elem(&fl_flow_conns, &s->key);
	__u32 end = s->seq + s->payload;
	__u64 pending;

	if (!connection)
		return;
	if (s->payload && (!connection->answered || fl_is_after(end, connection->answer_end))) {
		connection->answer_end = end;
		connection->answered = 1;
		pending = __sync_lock_test_and_set(&connection->pending_ns, 0);
		if (pending && connection->service < FL_FLOW_SERVICES) {
			struct fl_flow_service *service = &fl_flow_services[connection->service];

			fl_hist_add_shared(&service->latency[fl_bank() & 1], bpf_ktime_get_ns() - pending);
			if (connection->given_up) { /* it had only closed its own half */
				connection->given_up = 0;
				__sync_fetch_and_add(&service->unanswered[fl_bank() & 1], -1);
			}
		}
	}
	if (s->flags & FL_FIN)
		fl_over(s, connection);
}

static __always_inline struct fl_flow_counters *fl_flow_count(struct __sk_buff *skb, __u32 direction)
{
	__u32 bank = fl_bank();
	struct fl_flow_counters *c = bpf_map_lookup_elem(&fl_flow_counters, &bank);

	if (c) {
		c->packets[direction]++;
		c->bytes[direction] += skb->len;
	}
	return c;
}

static __always_inline void fl_reset(const struct fl_segment *s)
{
	struct fl_connection *connection = bpf_map_lookup_elem(&fl_flow_conns, &s->key);

	if (connection)
		fl_over(s, connection);
}

SEC("tc")
int fl_flow_out_to(struct __sk_buff *skb)
{
	struct fl_flow_counters *c = fl_flow_count(skb, FL_FLOW_TO);
	struct fl_segment s = {};

	if (!c || !fl_segment_of(skb, &s, 1))
		return TCX_NEXT;
	if ((s.flags & (FL_SYN | FL_ACK)) == (FL_SYN | FL_ACK))
		fl_set_server(s.key.pod_port);
	if (s.flags & FL_RST)
		c->resets++;
	if (!fl_is_server(s.key.pod_port))
		return TCX_NEXT;
	if (s.flags & FL_RST)
		fl_reset(&s);
	else if (s.payload || (s.flags & FL_FIN))
		fl_answer(&s);
	return TCX_NEXT;
}

static __always_inline int fl_before_faults(struct __sk_buff *skb)
{
	struct fl_segment s = {};
	struct fl_flow_counters *c;
	__u32 zero = 0;

	/* On its second way, after a delay line: it was seen before. */
	if (fl_mark_is_pass(skb->mark) || !fl_segment_of(skb, &s, 0) || !fl_is_server(s.key.pod_port))
		return TCX_NEXT;
	c = bpf_map_lookup_elem(&fl_flow_counters, &zero);
	if (!c)
		return TCX_NEXT;
	if (s.flags & (FL_RST | FL_SYN)) /* a SYN: the ports are used again, and what was before is over */
		fl_reset(&s);
	else if (s.payload || (s.flags & FL_FIN))
		fl_request(&s, FL_FLOW_SERVER, c);
	return TCX_NEXT;
}

SEC("tc")
int fl_flow_out_from(struct __sk_buff *skb)
{
	return fl_before_faults(skb);
}

/* Takes turns with the former when the head of the chain must be taken again: a program can hang on a hook only once, and
 * between a detach and an attach a request would go unseen. */
SEC("tc")
int fl_flow_out_frm2(struct __sk_buff *skb)
{
	return fl_before_faults(skb);
}

SEC("tc")
int fl_flow_in_to(struct __sk_buff *skb)
{
	struct fl_segment s = {};
	struct fl_flow_counters *c;
	__u32 zero = 0;

	if (!fl_segment_of(skb, &s, 1) || fl_is_server(s.key.pod_port) ||
	    (s.flags & (FL_SYN | FL_ACK)) == (FL_SYN | FL_ACK))
		return TCX_NEXT;
	c = bpf_map_lookup_elem(&fl_flow_counters, &zero);
	if (!c)
		return TCX_NEXT;
	if (s.flags & (FL_RST | FL_SYN)) /* a SYN: the ports are used again, and what was before is over */
		fl_reset(&s);
	else if (s.payload || (s.flags & FL_FIN))
		fl_request(&s, FL_FLOW_CLIENT, c);
	return TCX_NEXT;
}

SEC("tc")
int fl_flow_in_from(struct __sk_buff *skb)
{
	struct fl_flow_counters *c = fl_flow_count(skb, FL_FLOW_FROM);
	struct fl_segment s = {};

	if (!c || !fl_segment_of(skb, &s, 0))
		return TCX_NEXT;
	if (s.flags & FL_RST)
		c->resets++;
	if (fl_is_server(s.key.pod_port))
		return TCX_NEXT;
	if (s.flags & FL_RST)
		fl_reset(&s);
	else if (s.payload || (s.flags & FL_FIN))
		fl_answer(&s);
	return TCX_NEXT;
}
