/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs of a pod (packet_flow.bpf.c) and those that all pods share (flow_segments.bpf.c) have in common: the pod's maps, and
 * what the former hand to the latter. */
#ifndef FAULTLINE_FLOW_CONNECTIONS_BPF_H
#define FAULTLINE_FLOW_CONNECTIONS_BPF_H

#include "bounded.bpf.h"
#define FL_CUT_IN_SLOTS
#include "cut.bpf.h"
#include "flow_http2_abi.h"
#include "flow_segment.bpf.h"

/* The maps of one pod. A pod's object has each of them, and the shared one has them as the values of maps of maps. By their sizes: of a
 * type that is named here only the compiler would not tell libbpf. */
struct fl_flow_conns_of_pod {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_FLOW_CONNECTIONS);
	__uint(key_size, sizeof(struct fl_flow_key));
	__uint(value_size, sizeof(struct fl_flow_connection));
};

/* The next three are of HTTP/2. Most pods have few of either, so the memory is only taken when it is used. */
struct fl_flow_h2_of_pod {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, FL_H2_CONNECTIONS);
	__uint(key_size, sizeof(struct fl_flow_key));
	__uint(value_size, sizeof(struct fl_h2_connection));
};

struct fl_flow_streams_of_pod {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, FL_H2_STREAMS);
	__uint(key_size, sizeof(struct fl_flow_key));
	__uint(value_size, sizeof(struct fl_h2_stream));
};

struct fl_flow_held_of_pod {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, FL_H2_HELD);
	__uint(key_size, sizeof(struct fl_flow_key));
	__uint(value_size, sizeof(struct fl_h2_held));
};

struct fl_flow_counters_of_pod {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_BANKS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct fl_flow_counters));
};

/* A segment that says something, on its way from a pod's program to the one that reads it. It lies in memory of the CPU: nothing else
 * runs there between the writing and the reading, as both happen with softirqs off. */
struct fl_flow_handed {
	struct fl_segment segment;
	__u32 slot; /* of the pod */
	__u32 side;
};

/* The shared programs' object has the next two maps, and user space puts them in the place of those of a pod's object. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fl_flow_handed);
} fl_flow_handed SEC(".maps");

/* What a pod's program calls as its tail. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, FL_FLOW_TAILS);
	__type(key, __u32);
	__type(value, __u32);
} fl_flow_tails SEC(".maps");

/* The word of the pod's bits of ports that has this one. */
static __always_inline volatile __u32 *fl_flow_port_word(struct fl_flow_pod *pod, __u32 side, __u16 port)
{
	return &pod->ports[side][fl_bounded(port >> 5, FL_FLOW_PORTS / 32)];
}

#endif
