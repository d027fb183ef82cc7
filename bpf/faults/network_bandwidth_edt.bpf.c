// SPDX-License-Identifier: GPL-2.0-only
/* networkBandwidth by EDT: the way of a packet is in edt.bpf.h, the link in link_abi.h. What is different from a latency:
 *
 * - A packet that finds tokens in the bucket and nothing in the line, nor just out of it, passes at once, without the way through the pair.
 * - FL_PACKETS_CUT: it goes through the pair once to be cut, because the near end takes no GSO packets, and each part gets its place
 *   on the link when it comes back from that; then it waits as usual, on a second way through the pair. All packets that do
 *   not pass at once go that way, so that none overtakes another. FL_PACKETS_WHOLE: it gets its place when it is taken.
 * - Who finds the queue full is dropped, and nobody is told: a sender on this node must not know more than one behind a router.
 * - All of one direction wait in one queue of fq, in the order of their places. One that goes round comes back to it half a
 *   round before it is due, so that those that came later, with less than a round to wait, are not out before it. */
#include "edt.bpf.h"
#include "link_abi.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct fl_link_config fl_link;
const volatile __u64 fl_link_hop_ns; /* no packet waits longer at once: how soon all are out when the lease has ended */

struct fl_link_state fl_links[2]; /* FL_DELAY_TO, FL_DELAY_FROM */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_link_counters);
} fl_link_counters SEC(".maps");

static __always_inline struct fl_link_counters *fl_link_count(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fl_link_counters, &zero);
}

/* A place on the link for the packet, and whether another one that waits is before it. */
static __always_inline struct fl_link_place fl_link_claim(struct fl_link_state *link, __u64 now, __u32 bytes, __u32 *behind)
{
	struct fl_link_place place;
	__u64 free;
	int i;

	for (i = 0; i < 16; i++) { /* another CPU may be in between; sixteen in a row are not */
		free = *(volatile __u64 *)&link->free;
		place = fl_link_enter(&fl_link, free, now, bytes);
		*behind = free > now ? FL_LINK_BEHIND : 0;
		if (!place.due || __sync_val_compare_and_swap(&link->free, free, place.free) == free)
			break;
	}
	return place;
}

static __always_inline int fl_link_passes_at_once(struct fl_link_state *link, __u64 now, __u32 bytes)
{
	__u64 free = *(volatile __u64 *)&link->free;
	struct fl_link_place place = fl_link_enter(&fl_link, free, now, bytes);

	return *(volatile __s64 *)&link->in_line == 0 && now > *(volatile __u64 *)&link->back + FL_PAIR_SETTLE_NS && place.due == now &&
	       __sync_val_compare_and_swap(&link->free, free, place.free) == free;
}

/* Until when to wait now, and in which of fq's queues. */
static __always_inline int fl_link_schedule(struct __sk_buff *skb, __u64 now, __u64 due, __u32 hash)
{
	__u64 until = due, half = due - fl_link_hop_ns / 2;
	__u32 queue = FL_LINK_QUEUE_LAST;

	if (due > now + fl_link_hop_ns) {
		queue = FL_LINK_QUEUE_ROUND;
		until = now + fl_link_hop_ns;
		if (until > half)
			until = half;
	}
	bpf_set_hash(skb, (hash & ~FL_LINK_QUEUE_MASK) | queue);
	return bpf_skb_set_tstamp(skb, until, DELIVERY_MONO);
}

/* What is known of it later: from the start of the unit of its arrival, in whole units, so that equal dues stay equal. */
static __always_inline __u32 fl_link_hash(__u64 arrived, __u64 now, __u64 due, __u32 behind, __u32 direction)
{
	__u64 unit = 1ull << FL_EDT_UNIT_SHIFT, wait = 0;

	/* All of a link are steered to one CPU, which the upper bits choose: those of a wait are 0. A hash of 0 would not be steered. */
	behind = due > now ? behind : FL_LINK_BEHIND;
	if (due > now)
		wait = ((due + unit - 1) >> FL_EDT_UNIT_SHIFT) - (arrived >> FL_EDT_UNIT_SHIFT);
	return ((__u32)wait << FL_LINK_WAIT_SHIFT) | behind | (direction << FL_LINK_FROM_SHIFT);
}

static __always_inline void fl_link_dropped(struct fl_counters *c, __u64 now, __u32 taken)
{
	struct fl_link_counters *count = fl_link_count();

	fl_injected(c, now);
	if (!count)
		return;
	count->taken += taken;
	count->dropped++;
}

/* The clone goes into the pair, where it counts as `packets`. 0: done. */
static __always_inline int fl_link_send(struct __sk_buff *skb, struct fl_link_state *link, __u32 packets)
{
	struct fl_link_counters *count = fl_link_count();

	if (!count)
		return -1;
	__sync_fetch_and_add(&link->in_line, packets);
	count->taken += packets;
	if (!bpf_clone_redirect(skb, fl_config.tap_ifindex, 0))
		return 0;
	count->taken -= packets;
	__sync_fetch_and_add(&link->in_line, -(__s64)packets);
	return -1;
}

static __always_inline int fl_link_take(struct __sk_buff *skb, __u32 direction)
{
	struct fl_passing *passing = fl_passing_of(skb);
	struct fl_link_state *link = &fl_links[direction];
	struct fl_link_place place = {};
	__u32 packets, more, spared, behind = 0;
	struct fl_delay_slot *slot;
	struct fl_packet p = {};
	struct fl_counters *c;
	__u64 now;

	if (passing) {
		if (passing->owner == fl_config.owner) {
			*(volatile __u64 *)&link->back = bpf_ktime_get_ns();
			__sync_fetch_and_add(&link->in_line, -1);
		}
		return fl_returned(skb, passing);
	}
	c = fl_delay_wanted(skb, direction, &p, &now, &spared);
	if (!c)
		return TCX_NEXT;
	packets = fl_packets_of(skb, &p, &more);
	if (fl_config.packets == FL_PACKETS_CUT)
		c->matched += packets - 1;
	else
		packets = 1;
	if (fl_link_passes_at_once(link, now, skb->len + more))
		return TCX_NEXT;
	if (fl_config.packets == FL_PACKETS_WHOLE) {
		place = fl_link_claim(link, now, skb->len + more, &behind);
		if (!place.due) {
			fl_link_dropped(c, now, 1);
			return fl_edt_consume(skb, direction);
		}
	}
	slot = fl_delay_slot_take(skb, now, 0, fl_lane(skb, direction), packets);
	if (!slot)
		return TCX_NEXT;
	if (fl_edt_label(skb, slot)) {
		slot->parts = 1;
		fl_delay_slot_put(slot, now);
		fl_failed(c);
		return TCX_NEXT;
	}
	if (fl_config.packets == FL_PACKETS_CUT)
		bpf_set_hash(skb, FL_LINK_QUEUE_CUT | (direction << FL_LINK_FROM_SHIFT));
	else if (fl_link_schedule(skb, now, place.due, fl_link_hash(now, now, place.due, behind, direction)))
		goto failed;
	if (fl_link_send(skb, link, packets))
		goto failed;
	if (place.due > now)
		fl_injected(c, now);
	return fl_edt_consume(skb, direction);
failed:
	fl_edt_undo(skb, slot, now);
	fl_failed(c);
	return TCX_NEXT;
}

SEC("tc")
int fl_edt_to(struct __sk_buff *skb)
{
	return fl_link_take(skb, FL_DELAY_TO);
}

SEC("tc")
int fl_edt_from(struct __sk_buff *skb)
{
	return fl_link_take(skb, FL_DELAY_FROM);
}

/* It had to wait and now it leaves the link. */
static __always_inline void fl_link_departs(struct __sk_buff *skb, struct fl_link_state *link, __u64 now, __u64 arrived,
					    int measure, int early)
{
	__u64 before = __sync_lock_test_and_set(&link->last_out, now);
	struct fl_link_counters *count = fl_link_count();
	struct fl_packet p = {};
	__u32 more = 0;

	if (early)
		fl_edt_flushed();
	else
		fl_edt_measure(now - arrived);
	if (!count)
		return;
	count->last_ns = now;
	if (!measure || !before || before > now)
		return;
	if (skb->gso_size && fl_parse(skb, &p))
		fl_packets_of(skb, &p, &more);
	count->bytes += skb->len + more;
	count->busy_ns += now - before;
}

/* Cut: it gets its place now. */
static __always_inline int fl_link_place_part(struct __sk_buff *skb, struct fl_delay_slot *slot, __u64 now, __u32 lane)
{
	struct fl_link_state *link = &fl_links[lane & 1];
	struct fl_link_place place;
	struct fl_counters *c;
	__u32 behind, zero = 0;

	c = bpf_map_lookup_elem(&fl_counters, &zero);
	if (!c)
		return TC_ACT_SHOT;
	place = fl_link_claim(link, now, skb->len, &behind);
	if (!place.due) {
		__sync_fetch_and_add(&link->in_line, -1);
		fl_delay_slot_put(slot, now);
		fl_link_dropped(c, now, 0);
		return TC_ACT_SHOT;
	}
	/* Those before it may be due, too, and not out yet: it goes behind them. */
	if (place.due == now && *(volatile __s64 *)&link->in_line <= 1)
		return fl_edt_give_back(skb);
	if (place.due > now)
		fl_injected(c, now);
	if (fl_link_schedule(skb, now, place.due, fl_link_hash(slot->arrived_ns, now, place.due, behind, lane & 1))) {
		fl_failed(c);
		return fl_edt_give_back(skb);
	}
	return bpf_redirect(fl_config.tap_ifindex, 0);
}

SEC("tc")
int fl_edt_return(struct __sk_buff *skb)
{
	__u32 lane, hash = skb->hash;
	struct fl_delay_slot *slot;
	__u64 now, wait, due;
	int armed;

	if (!skb->vlan_present)
		return TC_ACT_SHOT;
	armed = fl_armed(&now);
	if (!armed)
		now = bpf_ktime_get_ns();
	lane = fl_edt_lane(skb);
	slot = fl_delay_slot_of(fl_edt_number(skb));
	if (!slot)
		return fl_edt_give_back(skb);
	if ((hash & FL_LINK_QUEUE_MASK) == FL_LINK_QUEUE_CUT)
		return armed ? fl_link_place_part(skb, slot, now, lane) : fl_edt_give_back(skb);
	wait = (__u64)(hash >> FL_LINK_WAIT_SHIFT) << FL_EDT_UNIT_SHIFT;
	due = (slot->arrived_ns & ~((1ull << FL_EDT_UNIT_SHIFT) - 1)) + wait;
	if (armed && (hash & FL_LINK_QUEUE_MASK) == FL_LINK_QUEUE_ROUND && due > now &&
	    !fl_link_schedule(skb, now, due, hash))
		return bpf_redirect(fl_config.tap_ifindex, 0);
	if (wait)
		fl_link_departs(skb, &fl_links[lane & 1], now, slot->arrived_ns, armed && (hash & FL_LINK_BEHIND),
				!armed && due > now);
	return fl_edt_give_back(skb);
}
