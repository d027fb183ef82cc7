/* SPDX-License-Identifier: GPL-2.0-only */
/* What both mechanisms of networkLatency and networkBandwidth do at the pod's device: which packets are meant, and what comes back
 * from the line. Include in one file of an object only: it defines fl_config and the map fl_delay_counters. */
#ifndef FAULTLINE_DELAY_BPF_H
#define FAULTLINE_DELAY_BPF_H

#include "fault_guard.bpf.h"
#include "packet.bpf.h"

#define TCX_NEXT (-1)
#define TC_ACT_SHOT 2

const volatile struct fl_delay_config fl_config;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_delay_counters);
} fl_delay_counters SEC(".maps");

/* Back from the TAP: clear our mark, count, pass. */
static __always_inline int fl_returned(struct __sk_buff *skb)
{
	struct fl_delay_counters *c;
	__u32 zero = 0;

	skb->mark = 0;
	c = bpf_map_lookup_elem(&fl_delay_counters, &zero);
	if (c) {
		c->returned++;
		c->last_ns = bpf_ktime_get_ns();
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

/* Is this packet to be delayed? Its counters if so (matched is counted); NULL: pass it. What comes back is not for here. */
static __always_inline struct fl_counters *fl_delay_wanted(struct __sk_buff *skb, __u32 direction, struct fl_packet *p,
							   __u64 *now)
{
	struct fl_counters *c;

	if (fl_mark_is_pass(skb->mark) || skb->vlan_present || !*(volatile __u32 *)&fl_lease.armed)
		return NULL;
	if (!fl_parse_plain(skb, p) && (!fl_parse(skb, p) || fl_is_neighbour_discovery(p)))
		return NULL;
	/* The filter before the deadline: reading the clock costs more than most filters. */
	if (!fl_filter_match(&fl_config.filter, p, direction == FL_DELAY_TO) || !fl_armed(now))
		return NULL;
	c = fl_matched();
	if (c && fl_config.threshold != FL_CERTAIN && !fl_roll(direction, fl_config.threshold))
		return NULL;
	return c;
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
