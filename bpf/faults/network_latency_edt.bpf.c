// SPDX-License-Identifier: GPL-2.0-only
/* networkLatency by EDT: the way of a packet is in edt.bpf.h. */
#include "edt.bpf.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct fl_edt_config fl_edt;
const volatile __u64 fl_edt_delays[FL_EDT_DELAYS]; /* ns */

__s64 fl_edt_bytes;  /* in the line */
__u64 fl_edt_drawn;  /* delays so far */
__u64 fl_edt_over_ns; /* ktime of the first packet that came round and found the lease ended; 0: it runs */

/* Bytes in the lines of all objects: one map of the process (agent/faults/edt/edt_memory.h). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __s64);
} fl_edt_held SEC(".maps");

/* When the last packet of a flow is due: flows that meet in a slot keep order between them too. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_EDT_FLOWS);
	__type(key, __u32);
	__type(value, __u64);
} fl_edt_last SEC(".maps");

/* Return when a packet of the flow that came now is due. One that the dice spare is due at once, but not before its flow. No two of a
 * flow are due at the same time: those that go round may come back to fq in any order. */
static __always_inline __u64 fl_edt_due(__u64 now, __u32 flow, __u32 spared)
{
	__u32 slot = 0, mine = flow & (FL_EDT_FLOWS - 1);
	__u64 due = now, *last, seen;
	int i;

	if (!spared) {
		if (fl_edt.delays > 1)
			slot = __sync_fetch_and_add(&fl_edt_drawn, 1) & (FL_EDT_DELAYS - 1);
		due += fl_edt_delays[slot];
	}
	if (fl_edt.order == FL_EDT_ORDER_NONE)
		return due;
	last = bpf_map_lookup_elem(&fl_edt_last, &mine);
	if (!last)
		return due;
	for (i = 0; i < 8; i++) { /* another CPU may be in between; eight in a row are not */
		seen = *(volatile __u64 *)last;
		if (due <= seen)
			due = seen + 1;
		if (__sync_val_compare_and_swap(last, seen, due) == seen)
			break;
	}
	return due;
}

static __always_inline __s64 fl_edt_weight(const struct __sk_buff *skb)
{
	return skb->len + FL_EDT_PACKET_OVERHEAD;
}

/* Add `bytes` to what this line and all lines hold. Return what all held before. */
static __always_inline __s64 fl_edt_hold(__s64 bytes)
{
	__u32 zero = 0;
	__s64 *all = bpf_map_lookup_elem(&fl_edt_held, &zero);

	__sync_fetch_and_add(&fl_edt_bytes, bytes);
	return all ? __sync_fetch_and_add(all, bytes) : fl_edt.most_bytes + 1;
}

/* Return 1 if there is room for the packet, whose bytes are counted from now on. Else it is counted as stalled. */
static __always_inline int fl_edt_has_room(const struct __sk_buff *skb)
{
	struct fl_line_counters *count;

	if (fl_edt_hold(fl_edt_weight(skb)) <= fl_edt.most_bytes)
		return 1;
	fl_edt_hold(-fl_edt_weight(skb));
	count = fl_delay_count();
	if (count)
		count->stalled++;
	return 0;
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

/* Return 0: a clone is on its way. Else the packet and its slot are as if nothing had been. */
static __always_inline int fl_edt_send(struct __sk_buff *skb, struct fl_delay_slot *slot, __u64 now)
{
	if (!fl_edt_label(skb, slot)) {
		if (!fl_edt_schedule(skb, now, slot->due_ns, slot->flow << 1) &&
		    !bpf_clone_redirect(skb, fl_config.tap_ifindex, 0))
			return 0;
		fl_edt_undo(skb, slot, now);
	} else {
		fl_delay_slot_put(slot, now);
	}
	return -1;
}

static __always_inline int fl_edt_take(struct __sk_buff *skb, __u32 direction)
{
	struct fl_passing *passing = fl_passing_of(skb);
	struct fl_delay_slot *slot;
	struct fl_packet p = {};
	struct fl_counters *c;
	__u32 flow, spared;
	__u64 now;

	if (passing)
		return fl_returned(skb, passing);
	c = fl_delay_wanted(skb, direction, &p, &now, &spared);
	if (!c)
		return TCX_NEXT;
	flow = fl_flow_hash(&p, direction);
	if (spared && !fl_delay_flow_waits(flow, now, FL_PAIR_SETTLE_NS))
		return TCX_NEXT;
	if (!fl_edt_has_room(skb))
		return TCX_NEXT;
	slot = fl_delay_slot_take(skb, now, flow, fl_lane(skb, direction), 1);
	if (!slot) {
		fl_edt_hold(-fl_edt_weight(skb));
		return TCX_NEXT;
	}
	slot->due_ns = fl_edt_due(now, flow, spared);
	if (spared)
		slot->flags = FL_DELAY_SPARED;
	if (fl_edt_send(skb, slot, now)) {
		fl_edt_hold(-fl_edt_weight(skb));
		fl_failed(c);
		return TCX_NEXT;
	}
	fl_delay_taken(c, now, spared);
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

/* Return when a packet that was due at `due` leaves, now that the lease has ended: at the pace it came, within FL_EDT_FLUSH_US. */
static __always_inline __u64 fl_edt_due_at_end(__u64 now, __u64 due)
{
	__u64 over = __sync_val_compare_and_swap(&fl_edt_over_ns, 0, now);

	if (!over)
		over = now;
	if (fl_edt.longest_us <= FL_EDT_FLUSH_US || due <= over)
		return due;
	return over + (due - over) / 1000 * FL_EDT_FLUSH_US / fl_edt.longest_us * 1000;
}

SEC("tc")
int fl_edt_return(struct __sk_buff *skb)
{
	struct fl_delay_slot *slot;
	__u64 now, due = 0;
	int armed;

	if (!skb->vlan_present)
		return TC_ACT_SHOT;
	armed = fl_armed(&now);
	if (!armed)
		now = bpf_ktime_get_ns();
	slot = fl_delay_slot_of(fl_edt_number(skb));
	if (armed && fl_edt_over_ns)
		fl_edt_over_ns = 0;
	if (slot)
		due = armed ? slot->due_ns : fl_edt_due_at_end(now, slot->due_ns);
	if (due > now && !fl_edt_schedule(skb, now, due, slot->flow << 1))
		return bpf_redirect(fl_config.tap_ifindex, 0);
	fl_edt_hold(-fl_edt_weight(skb));
	if (slot && !(slot->flags & FL_DELAY_SPARED)) {
		if (!armed)
			fl_edt_flushed();
		else
			fl_edt_measure(now - slot->arrived_ns);
	}
	return fl_edt_give_back(skb);
}
