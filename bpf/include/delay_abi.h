/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* networkLatency and networkBandwidth: what their programs and user space share beside fault_abi.h. Numbers are host byte order. */
#ifndef FAULTLINE_DELAY_ABI_H
#define FAULTLINE_DELAY_ABI_H

#include "fault_abi.h"

#define FL_DELAY_MAX_DEVICES 8 /* interfaces of one pod; a power of two */
#define FL_DELAY_TO 0u         /* what the pod sends: taken and given back at its host-side device's ingress */
#define FL_DELAY_FROM 1u       /* what the pod receives: at its egress */

/* How packets are counted and measured: fl_delay_config.packets. */
#define FL_PACKETS_AS_TAKEN 0u /* a GSO packet is one, its length is its own */
#define FL_PACKETS_CUT 1u      /* our device cuts GSO packets into what goes over a wire: these are counted */
#define FL_PACKETS_WHOLE 2u    /* a GSO packet is one, its length is that of what it would be cut into */

/* ---- packets that wait: array fl_delay_slots -----------------------------------------------------------------------
 * Each packet in a line has a number of FL_DELAY_NUMBER_BITS bits, given in turn; its slot is the number modulo the slots. The
 * packet itself carries the number only. A slot whose parts are not all back is given to nobody else, unless it is so old that
 * they must have been lost (fl_line_config.lost_after_ns). */
#define FL_DELAY_NUMBER_BITS 28
#define FL_DELAY_NUMBER_MASK ((1u << FL_DELAY_NUMBER_BITS) - 1)
#define FL_DELAY_LEAST_SLOTS (1u << 15) /* twice what the TAP's ring holds */
#define FL_DELAY_MOST_SLOTS (1u << 18)  /* 16 MiB */

/* fl_delay_slot.flags */
#define FL_DELAY_SPARED 1u /* the dice spared it, but its flow has packets in the line: it goes on behind them */

struct fl_delay_slot {
	__u64 arrived_ns; /* ktime at the hook */
	__u64 due_ns;     /* networkLatency by EDT: ktime. networkLoss: fates of the parts that are not back, the next one's in the lowest bit; 1: lost */
	__u32 number;     /* whose slot this is */
	__u32 parts;      /* packets not yet back: one, or what a GSO packet is cut into; hook and user space count it down */
	__u32 flow;       /* hash, the same for all packets of one flow and direction */
	__u32 mark;       /* of the skb, as the hook found it; likewise the next four */
	__u32 priority;
	__u32 hash;
	__u16 tc_index;
	__u16 queue_mapping;
	__u16 lane; /* index into fl_line_config.ifindex * 2 + FL_DELAY_TO or _FROM */
	__u16 more; /* bytes that cutting a GSO packet would add; only with FL_PACKETS_WHOLE */
	__u16 flags;
	__u8 macs[12]; /* the first bytes of the frame, in whose place struct fl_delay_label stands in the TAP */
	__u8 _pad[2];
};

/* In place of the MAC addresses of a packet in the TAP, both ways. */
struct fl_delay_label {
	__u32 cookie[2]; /* of this armed fault: what lacks it did not come from our hook */
	__u32 number;
};

/* ---- order within a flow: array fl_delay_flows, by the low bits of the flow's hash -----------------------------------
 * Flows that meet in a slot keep order between them too. */
#define FL_DELAY_FLOWS 8192u /* a power of two */
#define FL_DELAY_SETTLE_NS 2000000ull
#define FL_PAIR_SETTLE_NS 20000000ull /* behind a veth pair of ours, where packets go on by one CPU, which may be busy */

struct fl_delay_flow {
	__u64 last_back_ns; /* ktime: one that came back so recently may still be on its way through this CPU's queue */
	__u32 waiting;      /* packets in the line */
	__u32 _pad;
};

/* rodata fl_config */
struct fl_line_config {
	__u64 cookie;
	__u64 threshold;     /* of FL_CERTAIN: the share of matched packets that is delayed */
	__u64 lost_after_ns; /* a packet that was taken longer ago than this does not come back any more */
	__u32 tap_ifindex;
	__u32 owner;         /* struct fl_passing */
	__u32 ifindex[FL_DELAY_MAX_DEVICES];
	__u32 packets;       /* FL_PACKETS_* */
	__u32 slots;         /* entries of fl_delay_slots; a power of two */
};

/* per-CPU array fl_delay_counters, one entry */
struct fl_line_counters {
	__u64 returned; /* packets that passed the hook again after their delay */
	__u64 last_ns;  /* ktime of the last of them on this CPU that was delayed */
	__u64 stalled;  /* matched packets that passed at once, because the line could not take more */
	__u64 flushed;  /* packets that left before they were due, because the fault had ended */
	__u64 followed; /* packets that went behind what their flow had in the line, spared by the dice; of networkLoss all that went through its pair */
};

/* The thread behind a delay line writes the time into fl_delay_alive_ns, in .bss, every few milliseconds while it can take
 * packets, and 0 when it cannot. The hook takes nothing when that is older than this. 40 ms is ten times the longest pause between two
 * stamps: a thread that is late for once is not taken for one that is stopped. */
#define FL_DELAY_STALL_NS 40000000ull

FL_STATIC_ASSERT(sizeof(struct fl_delay_slot) == 64, "fl_delay_slot");
FL_STATIC_ASSERT(offsetof(struct fl_delay_slot, macs) == 50, "fl_delay_slot.macs");
FL_STATIC_ASSERT(sizeof(struct fl_delay_label) == 12, "fl_delay_label");
FL_STATIC_ASSERT(sizeof(struct fl_delay_flow) == 16, "fl_delay_flow");
FL_STATIC_ASSERT(offsetof(struct fl_line_config, ifindex) == 32, "fl_line_config.ifindex");
FL_STATIC_ASSERT(sizeof(struct fl_line_config) == 40 + 4 * FL_DELAY_MAX_DEVICES, "fl_line_config");
FL_STATIC_ASSERT(sizeof(struct fl_line_counters) == 40, "fl_delay_counters");

#endif
