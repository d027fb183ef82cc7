/* SPDX-License-Identifier: GPL-2.0-only */
/* A TCP segment at a tc hook, as packet_flow looks at it. */
#ifndef FAULTLINE_FLOW_SEGMENT_BPF_H
#define FAULTLINE_FLOW_SEGMENT_BPF_H

#include <linux/bpf.h>
#include <linux/tcp.h>
#include "bounded.bpf.h"
#include "flow_abi.h"
#include "packet.bpf.h"

#define FL_FIN 0x01
#define FL_SYN 0x02
#define FL_RST 0x04
#define FL_PSH 0x08
#define FL_ACK 0x10

struct fl_segment {
	struct fl_flow_key key;
	__u32 seq;
	__u32 ack;
	__u32 payload; /* bytes */
	__u32 data;    /* offset of the payload from the start of the frame */
	__u8 flags;
};

/* Reads the TCP header into *s. The IP packet from that header on begins at offset `at` and has `length` bytes. */
static __always_inline void fl_segment_read(struct fl_segment *s, const struct tcphdr *tcp, __u32 at, __u32 length, int pod_is_source)
{
	__u32 header = tcp->doff * 4;

	s->key.pod_port = bpf_ntohs(pod_is_source ? tcp->source : tcp->dest);
	s->key.peer_port = bpf_ntohs(pod_is_source ? tcp->dest : tcp->source);
	s->seq = bpf_ntohl(tcp->seq);
	s->ack = bpf_ntohl(tcp->ack_seq);
	s->flags = ((const __u8 *)tcp)[13];
	s->payload = length > header ? length - header : 0;
	s->data = at + header;
}

/* As fl_segment_of(), of a packet with options, extension headers or fragments, or that is not in one piece. A function of its own,
 * so that its stack is not below that of what comes after. */
static __noinline int fl_segment_unusual(struct __sk_buff *skb, struct fl_segment *s, int pod_is_source)
{
	struct fl_packet p = {};
	struct tcphdr copy;

	if (!fl_parse(skb, &p) || p.protocol != IPPROTO_TCP || p.fragment ||
	    bpf_skb_load_bytes(skb, p.payload, &copy, sizeof(copy)))
		return 0;
	s->key.peer[0] = pod_is_source ? p.daddr[0] : p.saddr[0];
	s->key.peer[1] = pod_is_source ? p.daddr[1] : p.saddr[1];
	fl_segment_read(s, &copy, p.payload, skb->len - p.payload, pod_is_source);
	return 1;
}

/* 1: *s is the segment. The usual packet is read in place, because each packet of a measured pod pays for this. */
static __always_inline int fl_segment_of(struct __sk_buff *skb, struct fl_segment *s, int pod_is_source)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct ipv6hdr *ip6 = data + ETH_HLEN;
	struct tcphdr *tcp;
	__u32 length, at;

	if (skb->protocol == bpf_htons(ETH_P_IP) && (void *)(ip + 1) <= end && *(__u8 *)ip == 0x45) {
		tcp = (void *)(ip + 1);
		if (ip->protocol != IPPROTO_TCP)
			return 0;
		if ((void *)(tcp + 1) <= end && !(ip->frag_off & bpf_htons(0x3fff))) {
			fl_map_v4(s->key.peer, pod_is_source ? ip->daddr : ip->saddr);
			at = ETH_HLEN + sizeof(*ip);
			length = bpf_ntohs(ip->tot_len) - sizeof(*ip);
			if (!ip->tot_len) /* BIG TCP */
				length = skb->len - at;
			fl_segment_read(s, tcp, at, length, pod_is_source);
			return 1;
		}
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end && ip6->nexthdr == IPPROTO_TCP) {
		tcp = (void *)(ip6 + 1);
		if ((void *)(tcp + 1) <= end) {
			__builtin_memcpy(s->key.peer, pod_is_source ? &ip6->daddr : &ip6->saddr, 16);
			at = ETH_HLEN + sizeof(*ip6);
			length = bpf_ntohs(ip6->payload_len);
			if (!length)
				length = skb->len - at;
			fl_segment_read(s, tcp, at, length, pod_is_source);
			return 1;
		}
	}
	return fl_segment_unusual(skb, s, pod_is_source);
}

/* How many packets of the wire this is. A GSO packet that user space made, as a delay line does, has not been counted by the
 * kernel yet; `payload` is that of its TCP segment. */
static __always_inline __u32 fl_wire_packets(const struct __sk_buff *skb, __u32 payload)
{
	__u32 segments = skb->gso_segs, size = skb->gso_size;

	if (segments)
		return segments;
	return size && payload ? (payload + size - 1) / size : 1;
}

static __always_inline int fl_is_after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

/* The first `n` bytes at `offset` of the packet, the oldest is the highest; 0 when they are not there. n: 1 to 8. */
static __always_inline __u64 fl_bytes(struct __sk_buff *skb, __u32 offset, __u32 n)
{
	__u64 bytes = 0;

	asm volatile("" : "+r"(n)); /* else the compiler drops the mask that the verifier wants */
	n = ((n - 1) & 7) + 1;
	if (bpf_skb_load_bytes(skb, offset, &bytes, n))
		return 0;
	return bpf_be64_to_cpu(bytes);
}

/* The first bytes of the payload, at most 8. */
static __always_inline __u64 fl_payload_bytes(struct __sk_buff *skb, const struct fl_segment *s)
{
	return s->payload ? fl_bytes(skb, s->data, s->payload < 8 ? s->payload : 8) : 0;
}

#endif
