// SPDX-License-Identifier: GPL-2.0-only
/* networkLatency, kernel side of the delay line. Way of a packet:
 *
 *   fl_delay_to (tcx ingress of the pod's host-side veth: what the pod sends) or
 *   fl_delay_from (tcx egress of it: what the pod receives)
 *     -> struct fl_delay_meta is put in front of the packet, and it is redirected to our TAP
 *     -> user space reads it, holds it until it is due, and writes it back with a VLAN tag that names device and direction
 *     -> fl_delay_return (tcx ingress of the TAP) takes the tag off, marks the packet and redirects it to where it was taken
 *     -> fl_delay_to or fl_delay_from again, which knows the mark, clears it and lets the packet pass.
 *
 * Out of scope: what is neither IPv4 nor IPv6 (ARP), IPv6 neighbour discovery, and VLAN-tagged packets. A path that is slow for
 * data need not make neighbours unknown to each other. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "delay_filter.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TCX_NEXT (-1)
#define TC_ACT_SHOT 2

const volatile struct fl_delay_config fl_config;
struct fl_lease fl_lease;
__u64 fl_dice_throws; /* matched packets so far; the nth has the nth decision of the seed */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_counters);
} fl_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_delay_counters);
} fl_delay_counters SEC(".maps");

/* splitmix64 (Steele, Lea, Flood 2014): a bijection that makes a counter look random. */
static __always_inline __u64 fl_mix64(__u64 x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static __always_inline int fl_chosen(void)
{
	__u64 n;

	if (fl_config.dice_below == ~0ull)
		return 1;
	n = __sync_fetch_and_add(&fl_dice_throws, 1);
	return fl_mix64(fl_config.seed + n) < fl_config.dice_below;
}

/* Back from the TAP: clear our mark, count, pass. */
static __always_inline int fl_returned(struct __sk_buff *skb)
{
	struct fl_delay_counters *c;
	struct fl_counters *all;
	__u32 zero = 0;

	skb->mark = 0;
	c = bpf_map_lookup_elem(&fl_delay_counters, &zero);
	all = bpf_map_lookup_elem(&fl_counters, &zero);
	if (c && all) {
		c->returned++;
		all->last_ns = bpf_ktime_get_ns();
	}
	return TCX_NEXT;
}

static __always_inline int fl_take(struct __sk_buff *skb, __u32 direction)
{
	struct fl_delay_meta meta = {};
	struct fl_counters *c;
	__u32 zero = 0, slot = 0;
	__u64 now;
	int i;

	if (skb->mark == fl_config.mark)
		return fl_returned(skb);
	if (fl_mark_is_pass(skb->mark) || !fl_lease.armed)
		return TCX_NEXT;
	if (!fl_delay_match(skb, &fl_config.filter, direction, &meta.flow))
		return TCX_NEXT;
	now = bpf_ktime_get_ns();
	if (now >= *(volatile __u64 *)&fl_lease.deadline_ns)
		return TCX_NEXT;
	c = bpf_map_lookup_elem(&fl_counters, &zero);
	if (!c)
		return TCX_NEXT;
	c->matched++;
	if (!fl_chosen())
		return TCX_NEXT;

	for (i = 1; i < FL_DELAY_MAX_DEVICES; i++)
		if (fl_config.ifindex[i] == skb->ifindex)
			slot = i;
	meta.cookie = fl_config.cookie;
	meta.ktime_ns = now;
	meta.lane = slot * 2 + direction;
	if (bpf_skb_change_head(skb, sizeof(meta), 0)) {
		c->errors++;
		return TCX_NEXT;
	}
	/* cannot fail: change_head has made these bytes, linear and ours */
	bpf_skb_store_bytes(skb, 0, &meta, sizeof(meta), 0);
	c->injected++;
	if (!c->first_ns)
		c->first_ns = now;
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
