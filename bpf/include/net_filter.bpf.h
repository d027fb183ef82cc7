/* SPDX-License-Identifier: GPL-2.0-only */
/* Does a packet, or a socket call that is described as one, pass a filter?
 *
 * Addresses are in two LPM tries, which user space changes while the fault is armed. Whether a trie is asked at all is a rule of the
 * filter, so that a trie that is empty for a moment matches nothing, never everything. Include in one file of an object only: it
 * defines the maps fl_peers and fl_exceptions, and
 *
 *   fl_filter   the object's one filter, rodata: where no address is given, the verifier takes the lookup out of the program. An
 *               object that has a filter in each of its slots defines FL_FILTER_IN_SLOTS before, has none and calls
 *               fl_rules_match(). */
#ifndef FAULTLINE_NET_FILTER_BPF_H
#define FAULTLINE_NET_FILTER_BPF_H

#include "net_filter_abi.h"
#include "packet.bpf.h"

#ifdef FL_FILTER_IN_SLOTS
#define FL_FILTER_ADDRESSES FL_MAX_ADDRESSES_IN_SLOTS
#else
#define FL_FILTER_ADDRESSES (2 * FL_MAX_ADDRESSES)
#endif

#define FL_ADDRESS_MAP(name)                                      \
	struct {                                                  \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);              \
		__uint(map_flags, BPF_F_NO_PREALLOC);             \
		__uint(max_entries, FL_FILTER_ADDRESSES);         \
		__type(key, struct fl_address_key);               \
		__type(value, __u32);                             \
	} name SEC(".maps")

FL_ADDRESS_MAP(fl_peers);      /* asked with fl_filter_rules.by_peer */
FL_ADDRESS_MAP(fl_exceptions); /* asked with fl_filter_rules.except_by_peer */

/* Return 1 if the trie has a network of this set that holds the address, else 0. An address that is mapped from IPv4 is one of
 * IPv4. */
static __always_inline int fl_has_address(void *trie, __u32 set, const __u64 *address)
{
	const int mapped = !address[0] && ((const __u32 *)address)[2] == bpf_htonl(0xffff);
	struct fl_address_key key = {.prefix = FL_FAMILY_BITS + 128, .family = mapped ? 4 : 6, .set = (__u16)set};

	__builtin_memcpy(key.addr, address, sizeof(key.addr));
	return bpf_map_lookup_elem(trie, &key) != NULL;
}

/* Return 1 if port `a` or port `b` is among the first `n` of the list, else 0. */
static __always_inline int fl_has_port(const volatile __u16 *list, __u32 n, __u16 a, __u16 b)
{
	__u32 i;

	for (i = 0; i < FL_MAX_PORTS && i < n; i++) {
		__u16 port = list[i];

		if (port == a || port == b)
			return 1;
	}
	return 0;
}

/* Return 1 if every list that has ports has one of the packet's, else 0. A later fragment has no ports and so is in no list. */
static __always_inline int fl_ports_match(const volatile struct fl_port_lists *l, const struct fl_packet *p, __u16 pod,
					  __u16 peer)
{
	if ((l->n_ports || l->n_pod_ports || l->n_peer_ports) && !p->has_ports)
		return 0;
	if (l->n_ports && !fl_has_port(l->ports, l->n_ports, pod, peer))
		return 0;
	if (l->n_pod_ports && !fl_has_port(l->pod_ports, l->n_pod_ports, pod, pod))
		return 0;
	if (l->n_peer_ports && !fl_has_port(l->peer_ports, l->n_peer_ports, peer, peer))
		return 0;
	return 1;
}

/* Return 1 if any of the lists has a port of the packet, else 0. A later fragment has no ports; one that overtakes the first one of
 * its datagram (fragment.bpf.h) may be of one that is to be left alone, and is taken for that where any list has ports. */
static __always_inline int fl_ports_spare(const volatile struct fl_port_lists *l, const struct fl_packet *p, __u16 pod,
					  __u16 peer)
{
	if (!l->n_ports && !l->n_pod_ports && !l->n_peer_ports)
		return 0;
	if (!p->has_ports)
		return p->fragment;
	return fl_has_port(l->ports, l->n_ports, pod, peer) || fl_has_port(l->pod_ports, l->n_pod_ports, pod, pod) ||
	       fl_has_port(l->peer_ports, l->n_peer_ports, peer, peer);
}

/* Return 1 if the packet is meant: it matches all given parts of the filter and none of its exceptions. Else 0. The cheap
 * comparisons come first. What is decided depends on the packet alone, so that a connection is judged as its packets are, however
 * long it lives. */
static __always_inline int fl_rules_match(const volatile struct fl_filter_rules *f, const struct fl_packet *p, int pod_is_source)
{
	__u16 pod = pod_is_source ? p->sport : p->dport;
	__u16 peer = pod_is_source ? p->dport : p->sport;
	const __u64 *address = pod_is_source ? p->daddr : p->saddr;

	if (f->protocol == FL_PROTO_ICMP_ANY) {
		if (p->protocol != IPPROTO_ICMP && p->protocol != FL_ICMPV6)
			return 0;
	} else if (f->protocol != FL_PROTO_ANY && f->protocol != p->protocol) {
		return 0;
	}
	if (!fl_ports_match(&f->only, p, pod, peer) || fl_ports_spare(&f->except, p, pod, peer))
		return 0;
	if (f->by_peer && !fl_has_address(&fl_peers, f->address_set, address))
		return 0;
	if (f->except_by_peer && fl_has_address(&fl_exceptions, f->address_set, address))
		return 0;
	return 1;
}

#ifndef FL_FILTER_IN_SLOTS
const volatile struct fl_filter_rules fl_filter;

/* The same by the object's one filter. */
static __always_inline int fl_filter_match(const struct fl_packet *p, int pod_is_source)
{
	return fl_rules_match(&fl_filter, p, pod_is_source);
}
#endif

#endif
