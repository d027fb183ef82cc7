// SPDX-License-Identifier: GPL-2.0-only
/* networkLoss: packets of the wire are lost, each with dice of its own. Programs, and where they are:
 *
 *   fl_loss_to       tcx ingress of the pod's host-side veth: what the pod sends
 *   fl_loss_outside  tcx egress of the same device: what the pod receives, of which some must be cut
 *   fl_loss_from     tcx ingress of the pod-side veth, in the pod's namespace: what it receives, however it came there
 *   fl_loss_turn, fl_loss_return  the two ends of a veth pair of ours, as in edt.bpf.h; nothing waits there
 *
 * A drop at tcx egress makes the sender's send() fail with ENOBUFS, which no real network does. So fl_loss_outside sends what is
 * lost to the pair, where it ends in silence.
 *
 * TCP hands over many packets in one piece (GSO), and a network loses one of them. The dice are thrown for each when the piece
 * comes by. If all are spared the piece passes, if all are lost it is dropped. Else it goes through the pair, whose near end takes
 * no GSO packets, so that the kernel cuts it; fl_loss_return drops those parts that are lost, and the others go on from where the
 * piece was taken. While a flow has packets in the pair, all that it sends waits behind them in the queue of this CPU, whole, so that
 * none overtakes another.
 *
 * What fl_loss_outside has decided carries fl_loss_decided in tc_index, which the way into the pod leaves alone: fl_loss_from lets it
 * pass. What comes into the pod past that hook (bpf_redirect_peer) cannot be cut: such a piece is lost whole, with one throw of the dice. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "edt.bpf.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct fl_loss_config fl_loss;
const volatile __u32 fl_loss_decided; /* 1 to 65535, not fl_passing_tag; 0: nothing is decided outside the pod */

__u32 fl_loss_cut_any;     /* 1: a packet has gone through the pair, so that others may have to follow one */
__s64 fl_loss_in_pair;     /* packets, about: those that the kernel dropped there are in it until nothing has come back for a while */
__u64 fl_loss_returned_ns; /* ktime when the last one came back */

/* What a model remembers from packet to packet; one a direction. */
struct fl_loss_state {
	struct bpf_spin_lock lock;
	__u32 started;
	__u32 lost; /* fate of the last packet */
	__u32 bad;  /* burst: state in which the next packet travels */
	__u64 n;    /* packets so far: under the lock, so that order of packets and of decisions agree */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct fl_loss_state);
} fl_loss_states SEC(".maps");

/* Share a predecessor's fate with the given probability, else throw afresh: the lag-1 correlation of fates is exactly that
 * probability, and the loss rate stays what was asked. */
static __always_inline __u32 fl_correlated(struct fl_loss_state *s, __u32 copy, __u32 fate)
{
	if (s->started && copy < fl_loss.correlation)
		return s->lost;
	return fate < fl_loss.loss;
}

/* Gilbert-Elliott: E. N. Gilbert, "Capacity of a burst-noise channel" (1960); E. O. Elliott, "Estimates of error rates for
 * codes on burst-noise channels" (1963). The packet is lost by the state it travels in, then the state may change. */
static __always_inline __u32 fl_gilbert_elliott(struct fl_loss_state *s, __u32 move, __u32 fate, __u32 start)
{
	__u32 lost;

	if (!s->started)
		s->bad = start < fl_loss.start_bad;
	lost = fate < (s->bad ? fl_loss.bad_loss : fl_loss.good_loss);
	if (move < (s->bad ? fl_loss.leave_bad : fl_loss.enter_bad))
		s->bad = !s->bad;
	return lost;
}

/* Return the fates of the next `packets` of a direction, at most FL_LOSS_MOST_FATES, the first in the lowest bit; 1: lost. A function of
 * its own, which the verifier reads once and not for each way that leads here: 33 000 instructions a program were that. */
__noinline __u64 fl_loss_fates(__u32 direction, __u32 packets)
{
	struct fl_loss_state *s;
	__u64 fates = 0, random, first, n;
	__u32 lost, i;

	if (fl_loss.model == FL_LOSS_INDEPENDENT) {
		n = __sync_fetch_and_add(&fl_event_no[direction & (FL_MAX_STREAMS - 1)], packets);
		/* The upper bit of the difference says which is less: a branch would double the verifier's work. */
		for (i = 0; i < FL_LOSS_MOST_FATES && i < packets; i++)
			fates |= (((fl_random(fl_seed, direction, n + i) >> 32) - fl_loss.loss) >> 63) << i;
		return fates;
	}
	s = bpf_map_lookup_elem(&fl_loss_states, &direction);
	if (!s)
		return 0;
	first = fl_random(fl_seed, direction + 2, 0); /* a stream of its own: the state before the first packet */
	bpf_spin_lock(&s->lock);
	for (i = 0; i < FL_LOSS_MOST_FATES && i < packets; i++) {
		random = fl_random(fl_seed, direction, s->n++);
		if (fl_loss.model == FL_LOSS_CORRELATED)
			lost = fl_correlated(s, (__u32)random, random >> 32);
		else
			lost = fl_gilbert_elliott(s, (__u32)random, random >> 32, first >> 32);
		s->lost = lost;
		s->started = 1;
		fates |= (__u64)lost << i;
	}
	bpf_spin_unlock(&s->lock);
	return fates;
}

static __always_inline __u64 fl_loss_all(__u32 packets)
{
	return packets >= FL_LOSS_MOST_FATES ? ~0ull : (1ull << packets) - 1;
}

/* The same for a piece: fl_loss_all() if all its packets are lost. Those of more packets than there are bits are thrown when it is
 * cut; 1 until then. Without a pair the loss is certain, or none, and all have one fate. */
static __always_inline __u64 fl_loss_fates_of_piece(__u32 direction, __u32 packets)
{
	if (!fl_config.tap_ifindex)
		return fl_loss_fates(direction, 1) ? fl_loss_all(packets) : 0;
	return packets > FL_LOSS_MOST_FATES ? 1 : fl_loss_fates(direction, packets);
}

/* All packets of the skb are lost. */
static __always_inline int fl_loss_drop(struct fl_counters *c, __u64 now, __u32 packets, __u32 direction)
{
	c->injected += packets - 1;
	fl_injected(c, now);
	if (direction == FL_LOSS_TO)
		return TC_ACT_SHOT; /* at an ingress hook nobody is told */
	return bpf_redirect(fl_config.tap_ifindex, BPF_F_INGRESS); /* without a label: fl_loss_return ends it */
}

/* The packet has come to the end of its way past the dice: outside the pod that is written into it. */
static __always_inline int fl_loss_pass(struct __sk_buff *skb, __u32 direction)
{
	if (direction == FL_LOSS_FROM)
		skb->tc_index = fl_loss_decided;
	return TCX_NEXT;
}

/* Return 1 if the pair can take that many more. A CPU's backlog, where they wait, holds 1 000 packets and drops what comes then; at an
 * egress hook the original of each goes there, too. */
static __always_inline int fl_loss_has_room(__u64 now, __u32 packets)
{
	__s64 inside = *(volatile __s64 *)&fl_loss_in_pair;

	if (inside < 0 || (inside > 0 && now > *(volatile __u64 *)&fl_loss_returned_ns + FL_LOSS_FORGOTTEN_NS)) {
		__sync_val_compare_and_swap(&fl_loss_in_pair, inside, 0);
		inside = 0;
	}
	return inside + packets <= FL_LOSS_MOST_IN_PAIR;
}

/* Send the packet through the pair, which cuts a piece of several; `fates` are those of its parts. One that loses nothing and only
 * follows is handed to the near end as it is, in the same queue of this CPU. */
static __always_inline int fl_loss_through(struct __sk_buff *skb, struct fl_counters *c, __u64 now, __u32 direction, __u32 flow,
					   __u32 packets, __u64 fates)
{
	struct fl_line_counters *count = fl_delay_count();
	__u64 where = fates ? 0 : BPF_F_INGRESS;
	struct fl_delay_slot *slot;
	long sent;

	if (!fates)
		packets = 1;
	if (!count)
		return fl_loss_pass(skb, direction);
	if (!fl_loss_has_room(now, packets)) {
		count->stalled += packets;
		return fl_loss_pass(skb, direction);
	}
	slot = fl_delay_slot_take(skb, now, flow, fl_lane(skb, direction), packets);
	if (!slot) {
		count->stalled += packets - 1; /* one is counted */
		return fl_loss_pass(skb, direction);
	}
	slot->due_ns = fates;
	slot->flags = fates ? FL_LOSS_CUT : 0;
	if (packets > FL_LOSS_MOST_FATES)
		slot->flags |= FL_LOSS_THROWN_LATER;
	if (fl_edt_label(skb, slot)) {
		slot->parts = 1;
		fl_delay_slot_put(slot, now);
		fl_failed(c);
		return fl_loss_pass(skb, direction);
	}
	fl_loss_cut_any = 1;
	if (fates)
		fl_loss_returned_ns = now; /* none could be back since */
	__sync_fetch_and_add(&fl_loss_in_pair, packets);
	count->followed += packets;
	sent = bpf_clone_redirect(skb, fl_config.tap_ifindex, where);
	/* Above 0: the backlog was full. Of a piece the kernel says so for its last part alone: the others are on their way. */
	if (!sent || (fates && sent > 0))
		return fl_edt_consume(skb, direction);
	count->followed -= packets;
	__sync_fetch_and_add(&fl_loss_in_pair, -(__s64)packets);
	fl_edt_undo(skb, slot, now);
	fl_failed(c);
	return fl_loss_pass(skb, direction);
}

/* Could the packet, which fl_loss_outside sees, concern it? All others are for fl_loss_from. */
static __always_inline int fl_loss_is_for_outside(const struct __sk_buff *skb)
{
	return skb->gso_size || *(volatile __u32 *)&fl_loss_cut_any;
}

/* What comes by at the host-side device. */
static __always_inline int fl_loss_outside_pod(struct __sk_buff *skb, __u32 direction)
{
	struct fl_passing *passing = fl_passing_of(skb);
	__u32 fate, packets, more, waits;
	struct fl_packet packet = {};
	struct fl_counters *c;
	__u64 now, fates;

	if (passing) {
		if (passing->owner != fl_config.owner)
			return TCX_NEXT; /* it was decided before that line took it */
		fl_returned(skb, passing);
		return fl_loss_pass(skb, direction);
	}
	if (direction == FL_LOSS_FROM && skb->tc_index == fl_loss_decided)
		skb->tc_index = 0; /* somebody else's number, which would exempt the packet */
	if (!fl_may_be_armed() || (direction == FL_LOSS_FROM && !fl_loss_is_for_outside(skb)))
		return TCX_NEXT;
	if (!fl_parse(skb, &packet) || fl_is_housekeeping(&packet))
		return TCX_NEXT;
	/* The filter before the deadline: reading the clock costs more than most filters. */
	fate = fl_fragment_match(&packet, direction == FL_LOSS_TO);
	if (fate == FL_FRAGMENT_NOT_MEANT || !fl_armed(&now))
		return TCX_NEXT;
	waits = *(volatile __u32 *)&fl_loss_cut_any &&
		fl_delay_flow_waits(fl_flow_hash(&packet, direction), now, FL_PAIR_SETTLE_NS);
	if (direction == FL_LOSS_FROM && !skb->gso_size && !waits)
		return TCX_NEXT;
	c = fl_matched();
	if (!c)
		return TCX_NEXT;
	packets = fl_packets_of(skb, &packet, &more);
	c->matched += packets - 1;
	if (fate == FL_FRAGMENT_UNKNOWN) {
		fates = fl_loss_fates_of_piece(direction, packets);
		fl_fragment_remember(&packet, fates & 1 ? FL_FRAGMENT_HIT : FL_FRAGMENT_SPARED);
	} else {
		fates = fate == FL_FRAGMENT_HIT;
	}
	if (fates == fl_loss_all(packets))
		return fl_loss_drop(c, now, packets, direction);
	if (!fates && !waits)
		return fl_loss_pass(skb, direction);
	/* A tag is where the label would be. A piece that user space made, and whose packets the kernel has not counted, may be left whole. */
	if (fl_config.tap_ifindex && !skb->vlan_present && (!fates || skb->gso_segs))
		return fl_loss_through(skb, c, now, direction, fl_flow_hash(&packet, direction), packets, fates);
	if (fates)
		fl_failed(c); /* some of it should be lost, and it cannot be cut */
	return fl_loss_pass(skb, direction);
}

SEC("tc")
int fl_loss_to(struct __sk_buff *skb)
{
	return fl_loss_outside_pod(skb, FL_LOSS_TO);
}

SEC("tc")
int fl_loss_outside(struct __sk_buff *skb)
{
	return fl_loss_outside_pod(skb, FL_LOSS_FROM);
}

SEC("tc")
int fl_loss_from(struct __sk_buff *skb)
{
	struct fl_packet packet = {};
	struct fl_counters *c;
	__u32 fate, packets, more;
	__u64 now;

	if (fl_loss_decided && skb->tc_index == fl_loss_decided) {
		skb->tc_index = 0;
		return TCX_NEXT;
	}
	if (!fl_may_be_armed())
		return TCX_NEXT;
	if (!fl_parse(skb, &packet) || fl_is_housekeeping(&packet))
		return TCX_NEXT;
	/* The filter before the deadline: reading the clock costs more than most filters. */
	fate = fl_fragment_match(&packet, 0);
	if (fate == FL_FRAGMENT_NOT_MEANT || !fl_armed(&now))
		return TCX_NEXT;
	c = fl_matched();
	if (!c)
		return TCX_NEXT;
	packets = fl_packets_of(skb, &packet, &more);
	c->matched += packets - 1;
	if (fate == FL_FRAGMENT_UNKNOWN) {
		fate = fl_loss_fates(FL_LOSS_FROM, 1) ? FL_FRAGMENT_HIT : FL_FRAGMENT_SPARED;
		fl_fragment_remember(&packet, fate);
	}
	if (fate == FL_FRAGMENT_SPARED)
		return TCX_NEXT;
	return fl_loss_drop(c, now, packets, FL_LOSS_TO);
}

/* As fl_edt_turn, without another queue: the near end goes on at once, on the same CPU. */
SEC("tc")
int fl_loss_turn(struct __sk_buff *skb)
{
	if (!skb->vlan_present)
		return TC_ACT_SHOT;
	return bpf_redirect_peer(skb->ifindex, 0);
}

/* Parts of a piece come back in their order, on the CPU that sent it. */
SEC("tc")
int fl_loss_return(struct __sk_buff *skb)
{
	struct fl_line_counters *count = fl_delay_count();
	__u32 lane, lost, zero = 0;
	struct fl_delay_slot *slot;
	struct fl_counters *c;
	__u64 now;

	if (!skb->vlan_present)
		return TC_ACT_SHOT;
	__sync_fetch_and_add(&fl_loss_in_pair, -1);
	lane = fl_edt_lane(skb);
	slot = fl_delay_slot_of(fl_edt_number(skb));
	c = bpf_map_lookup_elem(&fl_counters, &zero);
	if (!slot || !c || !count)
		return fl_edt_give_back(skb);
	lost = slot->due_ns & 1;
	slot->due_ns >>= 1;
	if (!fl_armed(&now))
		return fl_edt_give_back(skb);
	if (slot->flags & FL_LOSS_CUT)
		fl_loss_returned_ns = now;
	if (slot->flags & FL_LOSS_THROWN_LATER)
		lost = fl_loss_fates(lane & 1, 1);
	if (!lost)
		return fl_edt_give_back(skb);
	fl_injected(c, now);
	count->returned++;
	fl_delay_slot_put(slot, now);
	return TC_ACT_SHOT;
}
