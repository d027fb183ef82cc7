/* SPDX-License-Identifier: GPL-2.0-only */
/* Waiting by EDT (earliest departure time), for networkLatency and networkBandwidth, all in the kernel. Way of a packet:
 *
 *   fl_edt_to (tc ingress of the pod's host-side veth: what the pod sends) or
 *   fl_edt_from (tc egress of it: what the pod receives)
 *     -> gets the time of its departure (skb->tstamp), and a clone of it goes out of the near end of a veth pair of ours; the
 *        original is consumed. A clone, because it has no tie to the sending socket: with the original, TCP counts what
 *        waits as not yet sent and sends no more (small queues; 2 Mbit/s measured).
 *     -> fq on the near end holds it until then
 *     -> the far end, in a namespace of ours. Where packets of a flow differ in delay it steers them to a CPU by their hash
 *        (agent/kernel/receive_steering.h): fq may be emptied by any CPU, and from here on one alone has all of a flow, in order
 *     -> fl_edt_turn (ingress of the far end) hands it back to the near end at once
 *     -> fl_edt_return (tc ingress of the near end) sends it round once more if it is not due yet and the lease runs, else
 *        redirects it to where it was taken, as one on its second way (passing_abi.h)
 *     -> fl_edt_to or fl_edt_from again, which puts mark, priority and the like back and lets the packet pass.
 *
 * The far end's namespace is held by a descriptor of the agent alone: it and with it the pair go when the agent dies.
 *
 * The pair clears mark and priority; what a packet carries through it is the number of its slot and its lane. Here is that, and the
 * ends of its way; the hash chooses its queue in fq, which the two faults do differently. Include in one
 * file of an object only: it defines fl_edt_added and fl_edt_turn. */
#ifndef FAULTLINE_EDT_BPF_H
#define FAULTLINE_EDT_BPF_H

#include "delay.bpf.h"
#include "edt_abi.h"
#include "hist.bpf.h"

#define DELIVERY_MONO 1 /* BPF_SKB_TSTAMP_DELIVERY_MONO */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_hist);
} fl_edt_added SEC(".maps");

/* Take our label off; tc_index and hash are for the caller to put back. */
static __always_inline void fl_edt_unlabel(struct __sk_buff *skb)
{
	bpf_skb_vlan_pop(skb); /* cannot fail: the tag is beside the packet */
	skb->tc_index = 0;
}

/* Write the number of the packet's slot and its lane where the pair leaves them alone. The priority is 0 on the way, since fq lets
 * those of TC_PRIO_CONTROL go at once. Return 0, or -1 with the packet unchanged. */
static __always_inline int fl_edt_label(struct __sk_buff *skb, const struct fl_delay_slot *slot)
{
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), (slot->lane << FL_EDT_HIGH_BITS) | (slot->number >> 16)))
		return -1;
	skb->tc_index = slot->number & 0xffff;
	skb->priority = 0;
	return 0;
}

static __always_inline __u32 fl_edt_number(const struct __sk_buff *skb)
{
	return ((__u32)(skb->vlan_tci & ((1u << FL_EDT_HIGH_BITS) - 1)) << 16) | (skb->tc_index & 0xffff);
}

static __always_inline __u32 fl_edt_lane(const struct __sk_buff *skb)
{
	return (skb->vlan_tci >> FL_EDT_HIGH_BITS) & 0xf;
}

/* The packet was labelled but could not be sent: it is again as the hook found it, and its slot is free. */
static __always_inline void fl_edt_undo(struct __sk_buff *skb, struct fl_delay_slot *slot, __u64 now)
{
	bpf_skb_set_tstamp(skb, 0, 0);
	fl_edt_unlabel(skb);
	fl_delay_restore(skb, slot);
	slot->parts = 1;
	fl_delay_slot_put(slot, now);
}

/* The end of the original, whose clone is on its way or whose place is lost. */
static __always_inline int fl_edt_consume(struct __sk_buff *skb, __u32 direction)
{
	if (direction == FL_DELAY_TO)
		return TC_ACT_SHOT; /* at an ingress hook nobody is told */
	/* At an egress hook the sender would be told of a loss: the original goes where what has no tag is dropped. */
	fl_edt_unlabel(skb);
	return bpf_redirect(fl_config.tap_ifindex, BPF_F_INGRESS);
}

static __always_inline void fl_edt_measure(__u64 waited)
{
	__u32 zero = 0;
	struct fl_hist *hist = bpf_map_lookup_elem(&fl_edt_added, &zero);

	if (hist)
		fl_hist_add(hist, waited);
}

/* It leaves before it is due, because the fault has ended: it is counted, and no part of the delays that were asked. */
static __always_inline void fl_edt_flushed(void)
{
	__u32 zero = 0;
	struct fl_line_counters *c = bpf_map_lookup_elem(&fl_delay_counters, &zero);

	if (c)
		c->flushed++;
}

/* Send it to where it was taken, as one on its second way. */
static __always_inline int fl_edt_give_back(struct __sk_buff *skb)
{
	__u32 lane = fl_edt_lane(skb), number = fl_edt_number(skb);
	__u32 ifindex = fl_config.ifindex[(lane >> 1) & (FL_DELAY_MAX_DEVICES - 1)];

	fl_edt_unlabel(skb);
	bpf_set_hash_invalid(skb);
	if (!ifindex || fl_delay_send_back(skb, number))
		return TC_ACT_SHOT;
	return bpf_redirect(ifindex, (lane & 1) == FL_DELAY_FROM ? 0 : BPF_F_INGRESS);
}

SEC("tc")
int fl_edt_turn(struct __sk_buff *skb)
{
	if (!skb->vlan_present)
		return TC_ACT_SHOT; /* the kernel of that namespace talking to itself */
	return bpf_redirect_peer(skb->ifindex, 0);
}

#endif
