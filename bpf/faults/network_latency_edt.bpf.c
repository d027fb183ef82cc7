// SPDX-License-Identifier: GPL-2.0-only
/* networkLatency by EDT: the way of a packet is in edt.bpf.h. */
#include "edt.bpf.h"

char LICENSE[] SEC("license") = "GPL";

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

	if (__sync_fetch_and_add(&fl_edt_bytes, fl_edt_weight(skb)) > fl_edt.most_bytes)
		goto back;
	if (fl_edt_label(skb, now, lane))
		goto back;
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
	return fl_edt_consume(skb, direction);
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
int fl_edt_return(struct __sk_buff *skb)
{
	__u64 now, arrived, due;
	int armed;

	if (!skb->vlan_present)
		return TC_ACT_SHOT;
	armed = fl_armed(&now);
	if (!armed)
		now = bpf_ktime_get_ns();
	arrived = fl_edt_arrived(skb, now);
	due = arrived + ((__u64)(skb->hash >> FL_EDT_QUEUE_BITS) << FL_EDT_DELAY_SHIFT);
	due = fl_edt.order == FL_EDT_ORDER_GRID ? fl_edt_up_to_grid(due) : due + FL_EDT_GRID / 2;
	if (armed && (skb->hash & 1) && due > now && !fl_edt_schedule(skb, now, due, skb->hash))
		return bpf_redirect(fl_config.tap_ifindex, 0);
	__sync_fetch_and_add(&fl_edt_bytes, -fl_edt_weight(skb));
	if (!armed && (skb->hash & 1) && due > now)
		fl_edt_flushed();
	else
		fl_edt_measure(now - arrived);
	return fl_edt_give_back(skb, fl_edt_lane(skb));
}
