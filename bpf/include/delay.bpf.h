/* SPDX-License-Identifier: GPL-2.0-only */
/* What both mechanisms of networkLatency and networkBandwidth do at the pod's device: which packets are meant, and what comes back
 * from the line. Include in one file of an object only: it defines fl_config, fl_delay_next and the maps fl_delay_*.
 *
 * What a packet has with it (mark, priority, tc_index, hash, queue) waits in its slot, and is there again when it goes on. */
#ifndef FAULTLINE_DELAY_BPF_H
#define FAULTLINE_DELAY_BPF_H

#include <linux/bpf.h>
#include "delay_abi.h"
#include "fault_guard.bpf.h"
#include "fragment.bpf.h"
#include "net_filter.bpf.h"
#include "passing.bpf.h"

#define TCX_NEXT (-1)
#define TC_ACT_SHOT 2

const volatile struct fl_line_config fl_config;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_line_counters);
} fl_delay_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FL_DELAY_LEAST_SLOTS); /* user space makes it fl_config.slots */
	__type(key, __u32);
	__type(value, struct fl_delay_slot);
} fl_delay_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_DELAY_FLOWS);
	__type(key, __u32);
	__type(value, struct fl_delay_flow);
} fl_delay_flows SEC(".maps");

__u32 fl_delay_next = 1; /* number of the next packet that is taken */

static __always_inline struct fl_line_counters *fl_delay_count(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fl_delay_counters, &zero);
}

static __always_inline struct fl_delay_flow *fl_delay_flow_of(__u32 flow)
{
	__u32 index = flow & (FL_DELAY_FLOWS - 1);

	return bpf_map_lookup_elem(&fl_delay_flows, &index);
}

/* Return 1 if a packet of this flow that passed now could overtake one that the line holds, or has given back within settle_ns. */
static __always_inline int fl_delay_flow_waits(__u32 hash, __u64 now, __u64 settle_ns)
{
	struct fl_delay_flow *flow = fl_delay_flow_of(hash);

	return flow && (*(volatile __u32 *)&flow->waiting || now < *(volatile __u64 *)&flow->last_back_ns + settle_ns);
}

/* Return the slot of the packet with this number; NULL: somebody else has it by now. */
static __always_inline struct fl_delay_slot *fl_delay_slot_of(__u32 number)
{
	__u32 index = number & (fl_config.slots - 1);
	struct fl_delay_slot *slot = bpf_map_lookup_elem(&fl_delay_slots, &index);

	return slot && slot->number == number ? slot : NULL;
}

/* One part of the packet is out of the line; the last one ends the flow's wait for it. */
static __always_inline void fl_delay_slot_put(struct fl_delay_slot *slot, __u64 now)
{
	struct fl_delay_flow *flow;

	if (!slot->parts || __sync_fetch_and_add(&slot->parts, -1) != 1)
		return;
	flow = fl_delay_flow_of(slot->flow);
	if (!flow)
		return;
	flow->last_back_ns = now;
	__sync_fetch_and_add(&flow->waiting, -1);
}

/* Return a slot for the packet, filled but for due_ns, flags and macs; NULL: all that were tried are taken, and it is counted as
 * stalled. `parts`: the packets that it will come back as. */
static __always_inline struct fl_delay_slot *fl_delay_slot_take(struct __sk_buff *skb, __u64 now, __u32 hash, __u32 lane,
								__u32 parts)
{
	struct fl_line_counters *count;
	struct fl_delay_slot *slot;
	struct fl_delay_flow *flow;
	__u32 number, index;
	int i;

	for (i = 0; i < 4; i++) {
		number = __sync_fetch_and_add(&fl_delay_next, 1) & FL_DELAY_NUMBER_MASK;
		index = number & (fl_config.slots - 1);
		slot = bpf_map_lookup_elem(&fl_delay_slots, &index);
		if (!slot)
			return NULL;
		if (*(volatile __u32 *)&slot->parts) {
			if (now < slot->arrived_ns + fl_config.lost_after_ns)
				continue;
			slot->parts = 1; /* it was lost: as if it came back now */
			fl_delay_slot_put(slot, now);
		}
		slot->arrived_ns = now;
		slot->number = number;
		slot->parts = parts;
		slot->flow = hash;
		slot->mark = skb->mark;
		slot->priority = skb->priority;
		slot->hash = skb->hash;
		slot->tc_index = skb->tc_index;
		slot->queue_mapping = skb->queue_mapping;
		slot->lane = lane;
		slot->more = 0;
		slot->flags = 0;
		flow = fl_delay_flow_of(hash);
		if (flow)
			__sync_fetch_and_add(&flow->waiting, 1);
		return slot;
	}
	count = fl_delay_count();
	if (count)
		count->stalled++;
	return NULL;
}

/* Put back what the packet had with it when it was taken. The kernel chooses the queue anew at egress, whatever stands here. */
static __always_inline void fl_delay_restore(struct __sk_buff *skb, const struct fl_delay_slot *slot)
{
	skb->mark = slot->mark;
	skb->priority = slot->priority;
	skb->tc_index = slot->tc_index;
	skb->queue_mapping = slot->queue_mapping;
	if (slot->hash)
		bpf_set_hash(skb, slot->hash);
	else
		bpf_set_hash_invalid(skb);
}

/* Mark the packet as one on its second way, whose own hook finds it again by `number`. Return 0, or -1 if no entry was free: it is
 * lost then. */
static __always_inline int fl_delay_send_back(struct __sk_buff *skb, __u32 number)
{
	struct fl_passing *entry;
	__u32 mark, index;
	int i;

	for (i = 0; i < 8; i++) {
		mark = bpf_get_prandom_u32();
		index = mark & (FL_PASSING_ENTRIES - 1);
		entry = bpf_map_lookup_elem(&fl_passing, &index);
		if (!entry || !mark)
			continue;
		/* The last try takes the entry of a packet that was most likely dropped in the kernel's backlog long ago. */
		if (i < 7 && __sync_val_compare_and_swap(&entry->mark, 0, mark))
			continue;
		entry->owner = fl_config.owner;
		entry->number = number;
		entry->mark = mark;
		skb->mark = mark;
		skb->tc_index = fl_passing_tag;
		return 0;
	}
	return -1;
}

/* It has come back and is on its second way: put everything back, count it, and pass it. Packets of other lines pass as they are. */
static __always_inline int fl_returned(struct __sk_buff *skb, struct fl_passing *entry)
{
	struct fl_line_counters *c = fl_delay_count();
	__u64 now = bpf_ktime_get_ns();
	struct fl_delay_slot *slot;
	__u16 flags = 0;

	if (entry->owner != fl_config.owner)
		return TCX_NEXT;
	slot = fl_delay_slot_of(entry->number);
	entry->mark = 0;
	if (slot) {
		flags = slot->flags;
		fl_delay_restore(skb, slot);
		fl_delay_slot_put(slot, now);
	} else {
		skb->mark = 0;
		skb->tc_index = 0;
	}
	if (c) {
		c->returned++;
		if (!(flags & FL_DELAY_SPARED))
			c->last_ns = now;
	}
	return TCX_NEXT;
}

/* The same for all packets of a flow in one direction, and for all fragments between two hosts. */
static __always_inline __u32 fl_flow_hash(const struct fl_packet *p, __u32 direction)
{
	__u64 h = p->saddr[0] ^ (p->saddr[1] * 0x9e3779b97f4a7c15ull);

	h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9ull + p->daddr[0];
	h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9ull + p->daddr[1];
	if (p->has_ports && !p->fragment)
		h ^= ((__u64)p->sport << 16) | p->dport;
	h ^= ((__u64)p->protocol << 40) | ((__u64)direction << 48);
	h = (h ^ (h >> 31)) * 0x94d049bb133111ebull;
	return (__u32)(h >> 32);
}

/* As fl_parse(), for what nearly every packet is, with its headers in reach and nothing between them; 0: look with that. Reads
 * in place: each packet of the pod pays for this while the fault is armed, whether it matches or not. */
static __always_inline int fl_parse_plain(struct __sk_buff *skb, struct fl_packet *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct ipv6hdr *ip6 = data + ETH_HLEN;
	__be16 *ports;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		ports = (void *)(ip + 1);
		if ((void *)(ports + 2) > end || *(__u8 *)ip != 0x45 || (ip->frag_off & bpf_htons(0x3fff)))
			return 0;
		fl_map_v4(p->saddr, ip->saddr);
		fl_map_v4(p->daddr, ip->daddr);
		p->protocol = ip->protocol;
		p->payload = ETH_HLEN + sizeof(*ip);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		ports = (void *)(ip6 + 1);
		if ((void *)(ports + 2) > end || ip6->version != 6)
			return 0;
		__builtin_memcpy(p->saddr, &ip6->saddr, 16);
		__builtin_memcpy(p->daddr, &ip6->daddr, 16);
		p->protocol = ip6->nexthdr;
		p->payload = ETH_HLEN + sizeof(*ip6);
	} else {
		return 0;
	}
	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
		return 0;
	p->sport = bpf_ntohs(ports[0]);
	p->dport = bpf_ntohs(ports[1]);
	p->has_ports = 1;
	return 1;
}

/* What a GSO packet becomes when it is cut: `packets`, and `more` bytes in all than its length, for the headers of each. Other
 * packets: 1 and 0. */
static __always_inline __u32 fl_packets_of(struct __sk_buff *skb, const struct fl_packet *p, __u32 *more)
{
	__u32 size = skb->gso_size, packets = skb->gso_segs, headers = p->payload;
	__u8 offset;

	*more = 0;
	if (!size)
		return 1;
	if (p->protocol == IPPROTO_TCP && !bpf_skb_load_bytes(skb, headers + 12, &offset, 1))
		headers += (offset >> 4) * 4;
	else
		headers += 8; /* UDP */
	if (!packets && skb->len > headers) /* a machine of the pod made it, the kernel has not counted yet */
		packets = (skb->len - headers + size - 1) / size;
	if (packets < 2)
		return 1;
	*more = (packets - 1) * headers;
	return packets;
}

/* Is this packet to be delayed? Return its counters if so (matched is counted), with *spared = 1 if the dice spare it: it is then
 * only taken if its flow has packets in the line. NULL: pass it. What comes back is not for here. */
static __always_inline struct fl_counters *fl_delay_wanted(struct __sk_buff *skb, __u32 direction, struct fl_packet *p,
							   __u64 *now, __u32 *spared)
{
	struct fl_counters *c;
	__u32 known;

	*spared = 0;
	if (skb->vlan_present || !fl_may_be_armed())
		return NULL;
	if (!fl_parse_plain(skb, p) && (!fl_parse(skb, p) || fl_is_neighbour_discovery(p)))
		return NULL;
	/* The filter before the deadline: reading the clock costs more than most filters. */
	known = fl_fragment_match(p, direction == FL_DELAY_TO);
	if (known == FL_FRAGMENT_NOT_MEANT || !fl_armed(now))
		return NULL;
	c = fl_matched();
	if (!c)
		return NULL;
	if (known == FL_FRAGMENT_UNKNOWN) {
		*spared = fl_config.threshold != FL_CERTAIN && !fl_roll(direction, fl_config.threshold);
		fl_fragment_remember(p, *spared ? FL_FRAGMENT_SPARED : FL_FRAGMENT_HIT);
	} else {
		*spared = known == FL_FRAGMENT_SPARED;
	}
	return c;
}

/* A packet was taken: one that was chosen is injected, one that was spared only follows its flow. */
static __always_inline void fl_delay_taken(struct fl_counters *c, __u64 now, __u32 spared)
{
	struct fl_line_counters *count;

	if (!spared) {
		fl_injected(c, now);
		return;
	}
	count = fl_delay_count();
	if (count)
		count->followed++;
}

/* Which of the pod's devices, and which way: index into fl_config.ifindex * 2 + direction. */
static __always_inline __u32 fl_lane(const struct __sk_buff *skb, __u32 direction)
{
	__u32 slot = 0;
	int i;

	for (i = 1; i < FL_DELAY_MAX_DEVICES; i++)
		if (fl_config.ifindex[i] == skb->ifindex)
			slot = i;
	return slot * 2 + direction;
}

#endif
