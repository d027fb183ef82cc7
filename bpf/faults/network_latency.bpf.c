// SPDX-License-Identifier: GPL-2.0-only
/* networkLatency and networkBandwidth, kernel side of the delay line. Way of a packet:
 *
 *   fl_delay_to (tcx ingress of the pod's host-side veth: what the pod sends) or
 *   fl_delay_from (tcx egress of it: what the pod receives)
 *     -> it gets a slot, where all stands that user space and its way back must know; its MAC addresses, kept there too, make
 *        room for struct fl_delay_label, and it is redirected to our TAP
 *     -> user space reads it, holds it until it is due, and writes it back as it was read
 *     -> fl_delay_return (tcx ingress of the TAP) finds the slot by the label, puts the MAC addresses back, and redirects it to where
 *        it was taken, as one on its second way (passing_abi.h)
 *     -> fl_delay_to or fl_delay_from again, which puts mark, priority and the like back and lets the packet pass.
 *
 * injected counts what is taken; with FL_PACKETS_CUT the TAP cuts GSO packets, each with the label in front, and both counters
 * count what comes of it.
 *
 * A packet is only taken while user space says that it is alive: a stopped or starved agent must not become an outage of the pod. A
 * packet with an offloaded VLAN tag is out of scope. */
#include "delay.bpf.h"

char LICENSE[] SEC("license") = "GPL";

__u64 fl_delay_alive_ns; /* .bss, mmapped: ktime at which user space was ready to take a packet; 0: it is not */

/* Return 1 if user space has been ready within FL_DELAY_STALL_NS before `now`. Else count the packet as stalled and return 0. */
static __always_inline int fl_delay_is_alive(__u64 now)
{
	__u64 alive = *(volatile __u64 *)&fl_delay_alive_ns;
	struct fl_line_counters *c;
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
	struct fl_delay_label label = {.cookie = {(__u32)fl_config.cookie, fl_config.cookie >> 32}};
	struct fl_passing *passing = fl_passing_of(skb);
	__u32 packets = 1, more = 0, spared, flow;
	struct fl_delay_slot *slot;
	struct fl_packet p = {};
	struct fl_counters *c;
	__u64 now;

	if (passing)
		return fl_returned(skb, passing);
	c = fl_delay_wanted(skb, direction, &p, &now, &spared);
	if (!c)
		return TCX_NEXT;
	flow = fl_flow_hash(&p, direction);
	if (spared && !fl_delay_flow_waits(flow, now, FL_DELAY_SETTLE_NS))
		return TCX_NEXT;
	if (!fl_delay_is_alive(now))
		return TCX_NEXT;
	if (fl_config.packets != FL_PACKETS_AS_TAKEN)
		packets = fl_packets_of(skb, &p, &more);
	if (fl_config.packets == FL_PACKETS_CUT)
		c->matched += packets - 1;
	else
		packets = 1;
	slot = fl_delay_slot_take(skb, now, flow, fl_lane(skb, direction), packets);
	if (!slot)
		return TCX_NEXT;
	if (fl_config.packets == FL_PACKETS_WHOLE)
		slot->more = more < 0xffff ? more : 0xffff;
	if (spared)
		slot->flags = FL_DELAY_SPARED;
	label.number = slot->number;
	if (bpf_skb_load_bytes(skb, 0, slot->macs, sizeof(slot->macs)) ||
	    bpf_skb_store_bytes(skb, 0, &label, sizeof(label), 0)) {
		slot->parts = 1;
		fl_delay_slot_put(slot, now);
		fl_failed(c);
		return TCX_NEXT;
	}
	fl_delay_taken(c, now, spared);
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

/* Only what our worker wrote has the label of a slot of ours; a raw socket opened on the TAP gets nothing through. */
SEC("tc")
int fl_delay_return(struct __sk_buff *skb)
{
	struct fl_delay_label label;
	struct fl_delay_slot *slot;
	__u32 lane, ifindex;

	if (bpf_skb_load_bytes(skb, 0, &label, sizeof(label)) || label.cookie[0] != (__u32)fl_config.cookie ||
	    label.cookie[1] != (__u32)(fl_config.cookie >> 32))
		return TC_ACT_SHOT;
	slot = fl_delay_slot_of(label.number);
	if (!slot)
		return TC_ACT_SHOT;
	lane = slot->lane;
	ifindex = fl_config.ifindex[(lane >> 1) & (FL_DELAY_MAX_DEVICES - 1)];
	if (!ifindex || bpf_skb_store_bytes(skb, 0, slot->macs, sizeof(slot->macs), 0) ||
	    fl_delay_send_back(skb, label.number))
		return TC_ACT_SHOT;
	return bpf_redirect(ifindex, (lane & 1) == FL_DELAY_FROM ? 0 : BPF_F_INGRESS);
}
