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
 * Who is the server is told by the SYN-ACK; user space enters the connections that are older. Each pod has these programs and maps of its
 * own; what a segment means for its connection is found out by two programs that all pods share (flow_segments.bpf.c). A retransmission
 * is no new data. */
#include <linux/bpf.h>
#include "flow_connections.bpf.h"
#include "passing.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TCX_NEXT (-1)

struct fl_flow_pod fl_flow_pod; /* the only variable of .bss, which the shared programs see as this struct */
const volatile __u32 fl_flow_slot; /* rodata: where the shared programs have this pod's maps */

struct fl_flow_conns_of_pod fl_flow_conns SEC(".maps");
struct fl_flow_h2_of_pod fl_flow_h2 SEC(".maps");
struct fl_flow_streams_of_pod fl_flow_streams SEC(".maps");
struct fl_flow_held_of_pod fl_flow_held SEC(".maps");
struct fl_flow_counters_of_pod fl_flow_counters SEC(".maps");

static __always_inline struct fl_flow_counters *fl_flow_counts(void)
{
	__u32 bank = fl_bank_of(&fl_flow_pod.cut);

	return bpf_map_lookup_elem(&fl_flow_counters, &bank);
}

/* One of the shared programs goes on with the segment, as the rest of the program that runs. It does nothing when the pod's measuring ends
 * just now. */
static __always_inline void fl_flow_hand_over(struct __sk_buff *skb, const struct fl_segment *s, __u32 side, __u32 tail)
{
	struct fl_flow_handed *handed;
	__u32 first = 0;

	handed = bpf_map_lookup_elem(&fl_flow_handed, &first);
	if (!handed)
		return;
	handed->segment = *s;
	handed->slot = fl_flow_slot;
	handed->side = side;
	bpf_tail_call(skb, &fl_flow_tails, tail);
}

/* The same, if the segment says more than that something was received. */
static __always_inline void fl_flow_go_on(struct __sk_buff *skb, const struct fl_segment *s, __u32 side, __u32 tail)
{
	if (s->payload || s->flags & (FL_FIN | FL_RST))
		fl_flow_hand_over(skb, s, side, tail);
}

static __always_inline int fl_flow_has_port(__u32 side, __u16 port)
{
	return *fl_flow_port_word(&fl_flow_pod, side, port) >> (port & 31) & 1;
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

/* 1: a packet of UDP, or a fragment of one. Asked only of what is no TCP segment. */
static __noinline int fl_is_udp(struct __sk_buff *skb)
{
	struct fl_packet p = {};

	return fl_parse(skb, &p) && p.protocol == IPPROTO_UDP;
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
		fl_flow_hand_over(skb, &s, FL_FLOW_SERVER, FL_FLOW_TAIL_OPENS);
	else if (fl_flow_has_port(FL_FLOW_SERVER, s.key.pod_port))
		fl_flow_go_on(skb, &s, FL_FLOW_SERVER, FL_FLOW_TAIL_SERVER);
	else if (!fl_flow_has_port(FL_FLOW_CLIENT, s.key.pod_port))
		fl_flow_go_on(skb, &s, FL_FLOW_SERVER, FL_FLOW_TAIL_SERVER); /* nobody saw who opened it */
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
		fl_flow_go_on(skb, &s, FL_FLOW_SERVER, FL_FLOW_TAIL_CLIENT);
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
		fl_flow_go_on(skb, &s, FL_FLOW_CLIENT, FL_FLOW_TAIL_CLIENT);
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
		fl_flow_hand_over(skb, &s, FL_FLOW_CLIENT, FL_FLOW_TAIL_OPENS);
	else if (fl_flow_has_port(FL_FLOW_CLIENT, s.key.pod_port))
		fl_flow_go_on(skb, &s, FL_FLOW_CLIENT, FL_FLOW_TAIL_SERVER);
	return TCX_NEXT;
}

/* Run by user space once a window: what came to an end because nothing more came. */
SEC("tc")
int fl_flow_sweep(struct __sk_buff *skb)
{
	struct fl_segment none = {};

	fl_flow_hand_over(skb, &none, 0, FL_FLOW_TAIL_SWEEP);
	return TCX_NEXT;
}
