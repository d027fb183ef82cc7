/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Which packets a network fault means: what its object and user space share for it. net_filter.bpf.h compares. */
#ifndef FAULTLINE_NET_FILTER_ABI_H
#define FAULTLINE_NET_FILTER_ABI_H

#include "fault_abi.h"

#define FL_MAX_ADDRESSES 20000u /* networks and addresses in one set; its map has room for an old set and a new one */
#define FL_MAX_ADDRESSES_IN_SLOTS (1u << 21) /* in the one map of all slots of an object, about 100 bytes each */

/* Key of the LPM tries fl_peers and fl_exceptions: a network, or with all bits one address. Their value means nothing. */
struct fl_address_key {
	__u32 prefix;  /* bits that count of what follows: FL_FAMILY_BITS, and those of addr */
	__u16 family;  /* 4 or 6, so that ::/0 is no IPv4 network; 4 where addr is ::ffff:a.b.c.d */
	__u16 set;     /* whose address it is: fl_filter_rules.address_set */
	__u8 addr[16]; /* IPv4 as ::ffff:a.b.c.d, network byte order */
};
#define FL_FAMILY_BITS 32 /* with those of the set */

/* Ports that a packet is compared with. A list of length 0 is not compared. */
struct fl_port_lists {
	__u32 n_ports; /* either end */
	__u32 n_pod_ports;
	__u32 n_peer_ports;
	__u16 ports[FL_MAX_PORTS];
	__u16 pod_ports[FL_MAX_PORTS];
	__u16 peer_ports[FL_MAX_PORTS];
};

/* rodata fl_filter, or a part of a slot */
struct fl_filter_rules {
	__u32 protocol;              /* FL_PROTO_* or IPPROTO_TCP, IPPROTO_UDP */
	__u32 by_peer;               /* 1: the peer's address must be in fl_peers; 0: it may be any */
	__u32 except_by_peer;        /* 1: a packet whose peer is in fl_exceptions is left alone; 0: the trie is not asked */
	__u32 address_set;           /* which of the addresses in the tries are this filter's; 0 where the tries serve one filter */
	struct fl_port_lists only;   /* each list that is not empty must have a port of the packet */
	struct fl_port_lists except; /* a packet with a port in any of these lists is left alone */
};

FL_STATIC_ASSERT(sizeof(struct fl_address_key) == 24, "fl_address_key");
FL_STATIC_ASSERT(sizeof(struct fl_port_lists) == 12 + 6 * FL_MAX_PORTS, "fl_port_lists");
FL_STATIC_ASSERT(offsetof(struct fl_filter_rules, only) == 16, "fl_filter_rules.only");
FL_STATIC_ASSERT(sizeof(struct fl_filter_rules) == 16 + 2 * (12 + 6 * FL_MAX_PORTS), "fl_filter_rules");

#endif
