// SPDX-License-Identifier: GPL-2.0-only
/* networkLatency and networkBandwidth, kernel side of the delay line. Way of a packet:
 *
 *   fl_delay_to (tcx ingress of the pod's host-side veth: what the pod sends) or
 *   fl_delay_from (tcx egress of it: what the pod receives)
 *     -> struct fl_delay_meta is put in front of the packet, and it is redirected to our TAP
 *     -> user space reads it, holds it until it is due, and writes it back with a VLAN tag that names device and direction
 *     -> fl_delay_return (tcx ingress of the TAP) takes the tag off, marks the packet and redirects it to where it was taken
 *     -> fl_delay_to or fl_delay_from again, which knows the mark, clears it and lets the packet pass.
 *
 * injected counts what is taken; with FL_PACKETS_CUT the TAP cuts GSO packets, each with the metadata in front, and both counters
 * count what comes of it.
 *
 * A packet is only taken while user space says that it is alive: a stopped or starved agent must not become an outage of the pod.
 *
 * A packet with an offloaded VLAN tag is out of scope: the TAP would put that tag into the middle of the metadata. */
#include "delay.bpf.h"

char LICENSE[] SEC("license") = "GPL";

__u64 fl_delay_alive_ns; /* .bss, mmapped: ktime at which user space was ready to take a packet; 0: it is not */

/* Return 1 if user space has been ready within FL_DELAY_STALL_NS before `now`. Else count the packet as stalled and return 0. */
static __always_inline int fl_delay_is_alive(__u64 now)
{
	__u64 alive = *(volatile __u64 *)&fl_delay_alive_ns;
	struct fl_delay_counters *c;
	__u32 zero = 0;

	if (alive && now < alive + FL_DELAY_STALL_NS)
		return 1;
	c = bpf_map_lookup_elem(&fl_delay_counters, &zero);
	if (c)
		c->stalled++;
	return 0;
}

static __always_inline int fl_take(struct __sk_buff *skb, __u32 direction)
{
	struct fl_delay_meta meta = {};
	struct fl_packet p = {};
	struct fl_counters *c;
	__u32 packets = 1, more = 0;
	__u64 now;

	if (skb->mark == fl_config.mark)
		return fl_returned(skb);
	c = fl_delay_wanted(skb, direction, &p, &now);
	if (!c || !fl_delay_is_alive(now))
		return TCX_NEXT;
	meta.cookie = fl_config.cookie;
	meta.ktime_ns = now;
	meta.flow = fl_flow_hash(&p, direction);
	meta.lane = fl_lane(skb, direction);
	if (fl_config.packets != FL_PACKETS_AS_TAKEN)
		packets = fl_packets_of(skb, &p, &more);
	if (fl_config.packets == FL_PACKETS_CUT)
		c->matched += packets - 1;
	else
		meta.more = more < 0xffff ? more : 0xffff;
	if (bpf_skb_change_head(skb, sizeof(meta), 0)) {
		fl_failed(c);
		return TCX_NEXT;
	}
	/* cannot fail: change_head has made these bytes, linear and ours */
	bpf_skb_store_bytes(skb, 0, &meta, sizeof(meta), 0);
	fl_injected(c, now);
	if (fl_config.packets == FL_PACKETS_CUT)
		c->injected += packets - 1;
	return bpf_redirect(fl_config.tap_ifindex, 0);
}

SEC("tc")
int fl_delay_to(struct __sk_buff *skb)
{
	return fl_take(skb, FL_DELAY_TO);
}

SEC("tc")
int fl_delay_from(struct __sk_buff *skb)
{
	return fl_take(skb, FL_DELAY_FROM);
}

/* Only what our worker wrote carries the tag; a raw socket opened on the TAP gets nothing through. */
SEC("tc")
int fl_delay_return(struct __sk_buff *skb)
{
	__u32 lane = skb->vlan_tci & FL_DELAY_LANE_MASK;
	__u32 ifindex;

	if (!skb->vlan_present || (skb->vlan_tci & ~FL_DELAY_LANE_MASK) != FL_DELAY_LANE_TAG)
		return TC_ACT_SHOT;
	ifindex = fl_config.ifindex[(lane >> 1) & (FL_DELAY_MAX_DEVICES - 1)];
	if (!ifindex || bpf_skb_vlan_pop(skb))
		return TC_ACT_SHOT;
	skb->mark = fl_config.mark;
	return bpf_redirect(ifindex, (lane & 1) == FL_DELAY_FROM ? 0 : BPF_F_INGRESS);
}
