/* SPDX-License-Identifier: GPL-2.0-only */
/* A packet at a tc hook, as far as filters look: addresses, protocol, ports. net_filter.bpf.h compares it.
 *
 * Out of scope of every network fault, whatever the filter says: what is neither IPv4 nor IPv6 (ARP), IPv6 neighbour
 * discovery, and multicast membership (MLD, IGMP). A path that is bad for data need not make neighbours unknown to each
 * other, and a pod that is silent but for these has no traffic. */
#ifndef FAULTLINE_PACKET_BPF_H
#define FAULTLINE_PACKET_BPF_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "fault_abi.h"

#define FL_ICMPV6 58
#define FL_AUTH_HEADER 51
#define FL_MAX_EXTENSIONS 8 /* IPv6 extension headers; a packet with more is out of scope */
#define FL_MAX_VLANS 2      /* tags inside the packet; an offloaded one is not inside */
#define FL_HOUSE_FIRST 130  /* ICMPv6 types 130-132: MLD (RFC 2710), 133-137: neighbour discovery (RFC 4861) */
#define FL_HOUSE_LAST 137
#define FL_MLD2_REPORT 143  /* RFC 3810 */

struct fl_packet {
	__u64 saddr[2]; /* network byte order; IPv4 as ::ffff:a.b.c.d */
	__u64 daddr[2];
	__u16 sport; /* host byte order; only with has_ports */
	__u16 dport;
	__u8 protocol; /* of the innermost header reached, IPPROTO_* */
	__u8 has_ports;
	__u8 fragment;  /* first or later fragment of a datagram; only the first has ports */
	__u8 icmp_type; /* only of ICMP and ICMPv6 with has_type */
	__u8 has_type;
	__u8 version; /* 4 or 6 */
	__u8 later; /* a fragment that is not the first */
	__u8 _pad;
	__u32 payload; /* offset of the transport header from the start of the frame; 0 in a later fragment */
	__u32 id;      /* of the datagram, only of fragments */
};

static __always_inline void fl_map_v4(__u64 *to, __be32 addr)
{
	__u32 *words = (__u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = addr;
}

/* 0: cut short. */
static __always_inline int fl_parse_transport(struct __sk_buff *skb, __u32 offset, struct fl_packet *p)
{
	__be16 ports[2];

	p->payload = offset;
	switch (p->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
		if (bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
			return 0;
		p->sport = bpf_ntohs(ports[0]);
		p->dport = bpf_ntohs(ports[1]);
		p->has_ports = 1;
		return 1;
	case IPPROTO_ICMP:
	case FL_ICMPV6:
		if (bpf_skb_load_bytes(skb, offset, &p->icmp_type, 1))
			return 0;
		p->has_type = 1;
		return 1;
	}
	return 1;
}

static __always_inline int fl_parse_v4(struct __sk_buff *skb, __u32 offset, struct fl_packet *p)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return 0;
	p->version = 4;
	fl_map_v4(p->saddr, ip.saddr);
	fl_map_v4(p->daddr, ip.daddr);
	p->protocol = ip.protocol;
	p->fragment = (ip.frag_off & bpf_htons(0x3fff)) != 0; /* more fragments, or an offset */
	if (p->fragment)
		p->id = ip.id;
	if (ip.frag_off & bpf_htons(0x1fff)) {
		p->later = 1;
		return 1;
	}
	return fl_parse_transport(skb, offset + ip.ihl * 4, p);
}

static __always_inline int fl_parse_v6(struct __sk_buff *skb, __u32 offset, struct fl_packet *p)
{
	struct ipv6hdr ip;
	__u8 next, ext[4];
	int i;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
		return 0;
	p->version = 6;
	__builtin_memcpy(p->saddr, &ip.saddr, 16);
	__builtin_memcpy(p->daddr, &ip.daddr, 16);
	next = ip.nexthdr;
	offset += sizeof(ip);
	for (i = 0; i < FL_MAX_EXTENSIONS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != FL_AUTH_HEADER)
			break;
		if (bpf_skb_load_bytes(skb, offset, ext, sizeof(ext)))
			return 0;
		if (next == IPPROTO_FRAGMENT) { /* RFC 8200 section 4.5: 8 bytes, offset in the upper 13 bits */
			p->fragment = 1;
			if (bpf_skb_load_bytes(skb, offset + 4, &p->id, sizeof(p->id)))
				return 0;
			if (ext[2] || (ext[3] & 0xf8)) {
				p->protocol = ext[0];
				p->later = 1;
				return 1;
			}
			offset += 8;
		} else if (next == FL_AUTH_HEADER) { /* RFC 4302: length in 4-byte units, minus 2 */
			offset += (ext[1] + 2) * 4;
		} else {
			offset += (ext[1] + 1) * 8;
		}
		next = ext[0];
	}
	p->protocol = next;
	if (i == FL_MAX_EXTENSIONS)
		return 0;
	return fl_parse_transport(skb, offset, p);
}

/* Fills *p, which must be zero. 0: not IP, or cut short. Reads paged packets too. */
static __always_inline int fl_parse(struct __sk_buff *skb, struct fl_packet *p)
{
	__u32 offset = ETH_HLEN;
	__be16 protocol = skb->protocol, tag[2];
	int i;

	for (i = 0; i < FL_MAX_VLANS; i++) {
		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		if (bpf_skb_load_bytes(skb, offset, tag, sizeof(tag)))
			return 0;
		protocol = tag[1];
		offset += sizeof(tag);
	}
	if (protocol == bpf_htons(ETH_P_IP))
		return fl_parse_v4(skb, offset, p);
	if (protocol == bpf_htons(ETH_P_IPV6))
		return fl_parse_v6(skb, offset, p);
	return 0;
}

static __always_inline int fl_is_housekeeping(const struct fl_packet *p)
{
	if (p->protocol == IPPROTO_IGMP)
		return 1;
	return p->protocol == FL_ICMPV6 && p->has_type &&
	       ((p->icmp_type >= FL_HOUSE_FIRST && p->icmp_type <= FL_HOUSE_LAST) ||
		p->icmp_type == FL_MLD2_REPORT);
}

/* The first name of fl_is_housekeeping(). */
static __always_inline int fl_is_neighbour_discovery(const struct fl_packet *p)
{
	return fl_is_housekeeping(p);
}

#endif
