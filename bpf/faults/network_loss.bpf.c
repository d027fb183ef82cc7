// SPDX-License-Identifier: GPL-2.0-only
/* networkLoss: packets are dropped where they are received, because a drop at tcx egress makes the sender's send() fail with
 * ENOBUFS, which no real network does.
 *
 *   fl_loss_to    tcx ingress of the pod's host-side veth: what the pod sends
 *   fl_loss_from  tcx ingress of the pod-side veth, in the pod's namespace: what it receives
 *
 * A GSO packet is one event, as it is for netem on a veth. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "fault_guard.bpf.h"
#include "fragment.bpf.h"
#include "net_filter.bpf.h"
#include "passing.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TCX_NEXT (-1)
#define TCX_DROP 2

const volatile struct fl_loss_config fl_config;

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
	if (s->started && copy < fl_config.correlation)
		return s->lost;
	return fate < fl_config.loss;
}

/* Gilbert-Elliott: E. N. Gilbert, "Capacity of a burst-noise channel" (1960); E. O. Elliott, "Estimates of error rates for
 * codes on burst-noise channels" (1963). The packet is lost by the state it travels in, then the state may change. */
static __always_inline __u32 fl_gilbert_elliott(struct fl_loss_state *s, __u32 move, __u32 fate, __u32 start)
{
	__u32 lost;

	if (!s->started)
		s->bad = start < fl_config.start_bad;
	lost = fate < (s->bad ? fl_config.bad_loss : fl_config.good_loss);
	if (move < (s->bad ? fl_config.leave_bad : fl_config.enter_bad))
		s->bad = !s->bad;
	return lost;
}

static __always_inline int fl_is_lost(__u32 direction)
{
	struct fl_loss_state *s;
	__u32 lost;
	__u64 random, first;

	if (fl_config.model == FL_LOSS_INDEPENDENT)
		return fl_roll(direction, fl_config.loss);

	s = bpf_map_lookup_elem(&fl_loss_states, &direction);
	if (!s)
		return 0;
	first = fl_random(fl_seed, direction + 2, 0); /* a stream of its own: the state before the first packet */
	bpf_spin_lock(&s->lock);
	random = fl_random(fl_seed, direction, s->n++);
	if (fl_config.model == FL_LOSS_CORRELATED)
		lost = fl_correlated(s, (__u32)random, random >> 32);
	else
		lost = fl_gilbert_elliott(s, (__u32)random, random >> 32, first >> 32);
	s->lost = lost;
	s->started = 1;
	bpf_spin_unlock(&s->lock);
	return lost;
}

static __always_inline int fl_lose(struct __sk_buff *skb, __u32 direction)
{
	struct fl_packet packet = {};
	struct fl_counters *c;
	__u32 fate;
	__u64 now;

	/* It went through a delay line and comes by again: decided when it came first. */
	if (fl_passing_of(skb))
		return TCX_NEXT;
	if (!fl_may_be_armed())
		return TCX_NEXT;
	if (!fl_parse(skb, &packet) || fl_is_housekeeping(&packet))
		return TCX_NEXT;
	/* The filter before the deadline: reading the clock costs more than most filters. */
	fate = fl_fragment_match(&packet, direction == FL_LOSS_TO);
	if (fate == FL_FRAGMENT_NOT_MEANT || !fl_armed(&now))
		return TCX_NEXT;
	c = fl_matched();
	if (!c)
		return TCX_NEXT;
	if (fate == FL_FRAGMENT_UNKNOWN) {
		fate = fl_is_lost(direction) ? FL_FRAGMENT_HIT : FL_FRAGMENT_SPARED;
		fl_fragment_remember(&packet, fate);
	}
	if (fate == FL_FRAGMENT_SPARED)
		return TCX_NEXT;
	fl_injected(c, now);
	return TCX_DROP;
}

SEC("tc")
int fl_loss_to(struct __sk_buff *skb)
{
	return fl_lose(skb, FL_LOSS_TO);
}

SEC("tc")
int fl_loss_from(struct __sk_buff *skb)
{
	return fl_lose(skb, FL_LOSS_FROM);
}
