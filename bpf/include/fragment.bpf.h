/* SPDX-License-Identifier: GPL-2.0-only */
/* The fragments of a datagram have one fate: what was decided for the one that came first holds for the others, too. Only the first
 * fragment of a datagram has ports, so that a filter by ports could not even say whether the others are meant.
 *
 * A fragment without ports that overtakes the first one is judged by what it has: a filter by ports does not mean it, and nothing is
 * remembered of that. Include in one file of an object only: it defines the map fl_fragments. */
#ifndef FAULTLINE_FRAGMENT_BPF_H
#define FAULTLINE_FRAGMENT_BPF_H

#include "net_filter.bpf.h"

#define FL_FRAGMENT_UNKNOWN 0u
#define FL_FRAGMENT_NOT_MEANT 1u
#define FL_FRAGMENT_SPARED 2u
#define FL_FRAGMENT_HIT 3u

/* Datagrams on their way; the least recently used goes first. */
#define FL_FRAGMENT_DATAGRAMS 4096
/* A receiver waits no longer for the rest (Linux: 30 s IPv4, 60 s IPv6). Identifications come round, so that a first fragment only
 * takes over what was decided a moment ago. */
#define FL_FRAGMENT_LATER_NS 30000000000ull
#define FL_FRAGMENT_FIRST_NS 100000000ull

struct fl_fragment_key {
	__u64 saddr[2];
	__u64 daddr[2];
	__u32 id;
	__u32 protocol; /* 0 of IPv6, where it is no part of what tells datagrams apart (RFC 8200, 4.5) */
};

struct fl_fragment_fate {
	__u64 decided_ns;
	__u32 fate; /* FL_FRAGMENT_* */
	__u32 _pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_FRAGMENT_DATAGRAMS);
	__type(key, struct fl_fragment_key);
	__type(value, struct fl_fragment_fate);
} fl_fragments SEC(".maps");

static __always_inline void fl_fragment_key_of(const struct fl_packet *p, struct fl_fragment_key *key)
{
	__builtin_memcpy(key->saddr, p->saddr, sizeof(key->saddr));
	__builtin_memcpy(key->daddr, p->daddr, sizeof(key->daddr));
	key->id = p->id;
	key->protocol = p->version == 4 ? p->protocol : 0;
}

/* Return what was decided for the datagram of a fragment, FL_FRAGMENT_UNKNOWN if nothing was, and for all other packets. */
static __always_inline __u32 fl_fragment_recall(const struct fl_packet *p)
{
	__u64 most = p->later ? FL_FRAGMENT_LATER_NS : FL_FRAGMENT_FIRST_NS;
	struct fl_fragment_fate *fate;
	struct fl_fragment_key key;

	if (!p->fragment)
		return FL_FRAGMENT_UNKNOWN;
	fl_fragment_key_of(p, &key);
	fate = bpf_map_lookup_elem(&fl_fragments, &key);
	return fate && bpf_ktime_get_ns() - fate->decided_ns < most ? fate->fate : FL_FRAGMENT_UNKNOWN;
}

/* What was decided for a fragment holds for its datagram. Other packets are nothing to remember; the clock is not read for them,
 * since each packet of the pod comes by here, whether it matches or not. */
static __always_inline void fl_fragment_remember(const struct fl_packet *p, __u32 decided)
{
	struct fl_fragment_fate fate = {.fate = decided};
	struct fl_fragment_key key;

	if (!p->fragment)
		return;
	fate.decided_ns = bpf_ktime_get_ns();
	fl_fragment_key_of(p, &key);
	bpf_map_update_elem(&fl_fragments, &key, &fate, BPF_ANY);
}

/* Is the packet meant? Return FL_FRAGMENT_NOT_MEANT; FL_FRAGMENT_SPARED or FL_FRAGMENT_HIT when that was decided for its datagram;
 * else FL_FRAGMENT_UNKNOWN: it is meant, and the caller decides and remembers. */
static __always_inline __u32 fl_fragment_match(const struct fl_packet *p, int pod_is_source)
{
	__u32 known = fl_fragment_recall(p);

	if (known != FL_FRAGMENT_UNKNOWN || fl_filter_match(p, pod_is_source))
		return known;
	if (!p->later)
		fl_fragment_remember(p, FL_FRAGMENT_NOT_MEANT);
	return FL_FRAGMENT_NOT_MEANT;
}

#endif
