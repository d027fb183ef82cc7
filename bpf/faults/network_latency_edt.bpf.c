// SPDX-License-Identifier: GPL-2.0-only
/* networkLatency by EDT (earliest departure time), all in the kernel. Way of a packet:
 *
 *   fl_edt_to (tcx ingress of the pod's host-side veth: what the pod sends) or
 *   fl_edt_from (tcx egress of it: what the pod receives)
 *     -> gets the time of its departure (skb->tstamp), and a clone of it goes out of the near end of a veth pair of ours; the
 *        original is consumed. A clone, because it has no tie to the sending socket: with the original, TCP counts what
 *        waits as not yet sent and sends no more (small queues; 2 Mbit/s measured).
 *     -> fq on the near end holds it until then
 *     -> fl_edt_turn (ingress of the far end, in a namespace of ours) sends it back
 *     -> fl_edt_return (tcx ingress of the near end) sends it round once more if it is not due yet and the lease runs, else
 *        marks it and redirects it to where it was taken
 *     -> fl_edt_to or fl_edt_from again, which knows the mark, clears it and lets the packet pass.
 *
 * The far end's namespace is held by a descriptor of the agent alone: it and with it the pair go when the agent dies. */
#include "delay.bpf.h"
#include "edt_abi.h"
#include "hist.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TC_ACT_SHOT 2
#define DELIVERY_MONO 1 /* BPF_SKB_TSTAMP_DELIVERY_MONO */

const volatile struct fl_edt_config fl_edt;
const volatile __u64 fl_edt_delays[FL_EDT_DELAYS]; /* ns */

__s64 fl_edt_bytes;  /* in the line */
__u64 fl_edt_drawn;  /* delays so far */

/* When the last packet of a flow is due: flows that meet in a slot keep order between them too. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_EDT_FLOWS);
	__type(key, __u32);
	__type(value, __u64);
} fl_edt_last SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_hist);
} fl_edt_added SEC(".maps");

static __always_inline __u64 fl_edt_up_to_grid(__u64 ns)
{
	return (ns + FL_EDT_GRID - 1) & ~(FL_EDT_GRID - 1);
}

static __always_inline __u64 fl_edt_due(__u64 now, __u32 flow)
{
	__u32 slot = 0, mine = flow & (FL_EDT_FLOWS - 1);
	__u64 due, *last, seen;
	int i;

	if (fl_edt.delays > 1)
		slot = __sync_fetch_and_add(&fl_edt_drawn, 1) & (FL_EDT_DELAYS - 1);
	due = now + fl_edt_delays[slot];
	if (fl_edt.order == FL_EDT_ORDER_NONE)
		return due;
	if (fl_edt.order == FL_EDT_ORDER_GRID)
		due = fl_edt_up_to_grid(due - FL_EDT_GRID / 2);
	if (due < now)
		due = now;
	last = bpf_map_lookup_elem(&fl_edt_last, &mine);
	if (!last)
		return due;
	for (i = 0; i < 8; i++) { /* another CPU may be in between; eight in a row are not */
		seen = *(volatile __u64 *)last;
		if (due <= seen)
			return seen;
		if (__sync_val_compare_and_swap(last, seen, due) == seen)
			break;
	}
	return due;
}

static __always_inline __s64 fl_edt_weight(const struct __sk_buff *skb)
{
	return skb->len + FL_EDT_PACKET_OVERHEAD;
}

static __always_inline void fl_edt_no_longer_ours(struct __sk_buff *skb)
{
	bpf_skb_vlan_pop(skb); /* cannot fail: the tag is beside the packet */
	skb->tc_index = 0;
	bpf_set_hash_invalid(skb);
}

/* Until when to wait now, and in which of fq's queues. fq wakes a queue when its first packet was due when it looked: one that
 * comes later and is due sooner would wait for that. So those with a whole round before them have queues of their own; within
 * one kind, packets of a flow are due in order. */
static __always_inline int fl_edt_schedule(struct __sk_buff *skb, __u64 now, __u64 due, __u32 hash)
{
	__u64 round = now + fl_edt.hop_ns;

	bpf_set_hash(skb, (hash & ~1u) | (due > round));
	return bpf_skb_set_tstamp(skb, due > round ? round : due, DELIVERY_MONO);
}

/* 0: a clone is on its way. */
static __always_inline int fl_edt_send(struct __sk_buff *skb, __u64 now, __u64 due, __u32 flow, __u32 lane)
{
	__u64 unit = now >> FL_EDT_UNIT_SHIFT;
	__u32 delay = (due - (unit << FL_EDT_UNIT_SHIFT)) >> FL_EDT_DELAY_SHIFT; /* from what is known later */
	__u16 tag = (lane << FL_EDT_HIGH_BITS) | ((unit >> 16) & ((1u << FL_EDT_HIGH_BITS) - 1));

	if (__sync_fetch_and_add(&fl_edt_bytes, fl_edt_weight(skb)) > fl_edt.most_bytes)
		goto back;
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), tag))
		goto back;
	skb->tc_index = unit & 0xffff;
	if (fl_edt_schedule(skb, now, due,
			    (delay << FL_EDT_QUEUE_BITS) | (flow & ((1u << FL_EDT_QUEUE_BITS) - 1))) ||
	    bpf_clone_redirect(skb, fl_config.tap_ifindex, 0)) {
		bpf_skb_set_tstamp(skb, 0, 0);
		fl_edt_no_longer_ours(skb);
		goto back;
	}
	return 0;
back:
	__sync_fetch_and_add(&fl_edt_bytes, -fl_edt_weight(skb));
	return -1;
}

static __always_inline int fl_edt_take(struct __sk_buff *skb, __u32 direction)
{
	struct fl_packet p = {};
	struct fl_counters *c;
	__u32 flow;
	__u64 now;

	if (skb->mark == fl_config.mark)
		return fl_returned(skb);
	c = fl_delay_wanted(skb, direction, &p, &now);
	if (!c)
		return TCX_NEXT;
	flow = fl_flow_hash(&p, direction);
	if (fl_edt_send(skb, now, fl_edt_due(now, flow), flow, fl_lane(skb, direction))) {
		fl_failed(c);
		return TCX_NEXT;
	}
	fl_injected(c, now);
	if (direction == FL_DELAY_TO)
		return TC_ACT_SHOT; /* at an ingress hook nobody is told */
	/* At an egress hook the sender would be told of a loss: the original goes where what has no tag is dropped. */
	fl_edt_no_longer_ours(skb);
	return bpf_redirect(fl_config.tap_ifindex, BPF_F_INGRESS);
}

SEC("tc")
int fl_edt_to(struct __sk_buff *skb)
{
	return fl_edt_take(skb, FL_DELAY_TO);
}

SEC("tc")
int fl_edt_from(struct __sk_buff *skb)
{
	return fl_edt_take(skb, FL_DELAY_FROM);
}

SEC("tc")
int fl_edt_turn(struct __sk_buff *skb)
{
	if (!skb->vlan_present)
		return TC_ACT_SHOT; /* the kernel of that namespace talking to itself */
	return bpf_redirect(skb->ifindex, 0);
}

SEC("tc")
int fl_edt_return(struct __sk_buff *skb)
{
	const __u64 comes_round = 1ull << (16 + FL_EDT_HIGH_BITS);
	__u64 now, unit, arrived, due;
	__u32 tag, lane, ifindex, zero = 0;
	struct fl_hist *hist;
	int armed;

	if (!skb->vlan_present)
		return TC_ACT_SHOT;
	armed = fl_armed(&now);
	if (!armed)
		now = bpf_ktime_get_ns();
	tag = skb->vlan_tci;
	unit = ((__u64)(tag & ((1u << FL_EDT_HIGH_BITS) - 1)) << 16) | (skb->tc_index & 0xffff);
	unit = ((now >> FL_EDT_UNIT_SHIFT) - unit) & (comes_round - 1);
	arrived = ((now >> FL_EDT_UNIT_SHIFT) - unit) << FL_EDT_UNIT_SHIFT;
	due = arrived + ((__u64)(skb->hash >> FL_EDT_QUEUE_BITS) << FL_EDT_DELAY_SHIFT);
	due = fl_edt.order == FL_EDT_ORDER_GRID ? fl_edt_up_to_grid(due) : due + FL_EDT_GRID / 2;
	if (armed && (skb->hash & 1) && due > now && !fl_edt_schedule(skb, now, due, skb->hash))
		return bpf_redirect(fl_config.tap_ifindex, 0);
	lane = (tag >> FL_EDT_HIGH_BITS) & 0xf;
	ifindex = fl_config.ifindex[(lane >> 1) & (FL_DELAY_MAX_DEVICES - 1)];
	__sync_fetch_and_add(&fl_edt_bytes, -fl_edt_weight(skb));
	fl_edt_no_longer_ours(skb);
	if (!ifindex)
		return TC_ACT_SHOT;
	hist = bpf_map_lookup_elem(&fl_edt_added, &zero);
	if (hist)
		fl_hist_add(hist, now - arrived);
	skb->mark = fl_config.mark;
	return bpf_redirect(ifindex, (lane & 1) == FL_DELAY_FROM ? 0 : BPF_F_INGRESS);
}
