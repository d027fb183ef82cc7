/* SPDX-License-Identifier: GPL-2.0-only */
/* Does a packet at a pod's host-side device pass a fl_net_filter, and which flow is it of? */
#ifndef FAULTLINE_DELAY_FILTER_BPF_H
#define FAULTLINE_DELAY_FILTER_BPF_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "fault_abi.h"

#define FL_ICMPV6 58
#define FL_MAX_EXTENSIONS 6

struct fl_l3l4 {
	union {
		__u8 addr8[32]; /* source, destination; IPv4 as ::ffff:a.b.c.d */
		__u32 addr[8];
		__u64 addr64[4];
	};
	__u16 port[2]; /* source, destination, host order; valid only with has_ports */
	__u8 protocol;
	__u8 has_ports;
	__u8 icmp_type; /* of a first fragment */
	__u8 fragment;
};

static __always_inline int fl_read_l4(struct __sk_buff *skb, __u32 offset, struct fl_l3l4 *p)
{
	__be16 ports[2];

	if (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP) {
		if (bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
			return 0;
		p->port[0] = bpf_ntohs(ports[0]);
		p->port[1] = bpf_ntohs(ports[1]);
		p->has_ports = 1;
	} else if (p->protocol == FL_ICMPV6) {
		return !bpf_skb_load_bytes(skb, offset, &p->icmp_type, 1);
	}
	return 1;
}

/* 0: not an IP packet, or cut short. */
static __always_inline int fl_read_packet(struct __sk_buff *skb, struct fl_l3l4 *p)
{
	__u32 offset = ETH_HLEN;
	int i;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.ihl < 5)
			return 0;
		p->addr[2] = bpf_htonl(0xffff);
		p->addr[3] = ip.saddr;
		p->addr[6] = bpf_htonl(0xffff);
		p->addr[7] = ip.daddr;
		p->protocol = ip.protocol;
		p->fragment = (ip.frag_off & bpf_htons(0x3fff)) != 0;
		if (ip.frag_off & bpf_htons(0x1fff))
			return 1; /* a later fragment has no ports */
		return fl_read_l4(skb, offset + ip.ihl * 4, p);
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;
		__u8 next, ext[8];

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
			return 0;
		__builtin_memcpy(p->addr8, &ip.saddr, 16);
		__builtin_memcpy(p->addr8 + 16, &ip.daddr, 16);
		next = ip.nexthdr;
		offset += sizeof(ip);
		for (i = 0; i < FL_MAX_EXTENSIONS; i++) {
			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
			    next != IPPROTO_FRAGMENT)
				break;
			if (bpf_skb_load_bytes(skb, offset, ext, sizeof(ext)))
				return 0;
			if (next == IPPROTO_FRAGMENT) {
				p->fragment = 1;
				if (ext[2] || (ext[3] & 0xf8)) { /* a later fragment */
					p->protocol = ext[0];
					return 1;
				}
				offset += 8;
			} else {
				offset += (ext[1] + 1) * 8;
			}
			next = ext[0];
		}
		p->protocol = next;
		return fl_read_l4(skb, offset, p);
	}
	return 0;
}

static __always_inline int fl_has_port(const volatile __u16 *list, __u32 n, __u16 a, __u16 b)
{
	__u32 i;

	for (i = 0; i < FL_MAX_PORTS && i < n; i++)
		if (list[i] == a || list[i] == b)
			return 1;
	return 0;
}

static __always_inline int fl_in_cidrs(const volatile struct fl_net_filter *f, const __u64 *peer)
{
	__u32 i;

	for (i = 0; i < FL_MAX_CIDRS && i < f->n_cidrs; i++) {
		const volatile __u64 *addr = (const volatile __u64 *)f->cidrs[i].addr;
		const volatile __u64 *mask = (const volatile __u64 *)f->cidrs[i].mask;

		if ((peer[0] & mask[0]) == addr[0] && (peer[1] & mask[1]) == addr[1])
			return 1;
	}
	return 0;
}

static __always_inline int fl_passes(const volatile struct fl_net_filter *f, const struct fl_l3l4 *p,
				     __u32 direction)
{
	__u16 pod = direction == FL_DELAY_TO ? p->port[0] : p->port[1];
	__u16 peer = direction == FL_DELAY_TO ? p->port[1] : p->port[0];

	if (f->protocol == FL_PROTO_ICMP_ANY) {
		if (p->protocol != IPPROTO_ICMP && p->protocol != FL_ICMPV6)
			return 0;
	} else if (f->protocol != FL_PROTO_ANY && f->protocol != p->protocol) {
		return 0;
	}
	if ((f->n_ports || f->n_pod_ports || f->n_peer_ports) && !p->has_ports)
		return 0;
	if (f->n_ports && !fl_has_port(f->ports, f->n_ports, pod, peer))
		return 0;
	if (f->n_pod_ports && !fl_has_port(f->pod_ports, f->n_pod_ports, pod, pod))
		return 0;
	if (f->n_peer_ports && !fl_has_port(f->peer_ports, f->n_peer_ports, peer, peer))
		return 0;
	if (f->n_cidrs && !fl_in_cidrs(f, direction == FL_DELAY_TO ? &p->addr64[2] : &p->addr64[0]))
		return 0;
	return 1;
}

/* Same for all packets of a flow, fragments of its datagrams with each other; direction included. */
static __always_inline __u32 fl_flow_hash(const struct fl_l3l4 *p, __u32 direction)
{
	__u64 h = p->addr64[0] ^ (p->addr64[1] * 0x9e3779b97f4a7c15ull);

	h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9ull + p->addr64[2];
	h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9ull + p->addr64[3];
	if (p->has_ports && !p->fragment)
		h ^= ((__u64)p->port[0] << 16) | p->port[1];
	h ^= ((__u64)p->protocol << 40) | ((__u64)direction << 48);
	h = (h ^ (h >> 31)) * 0x94d049bb133111ebull;
	return (__u32)(h >> 32);
}

static __always_inline int fl_delay_match(struct __sk_buff *skb, const volatile struct fl_net_filter *f,
					  __u32 direction, __u32 *flow)
{
	struct fl_l3l4 p = {};

	if (skb->vlan_present || !fl_read_packet(skb, &p))
		return 0;
	if (p.protocol == FL_ICMPV6 && p.icmp_type >= 133 && p.icmp_type <= 137)
		return 0; /* neighbour discovery, RFC 4861 */
	if (!fl_passes(f, &p, direction))
		return 0;
	*flow = fl_flow_hash(&p, direction);
	return 1;
}

#endif
