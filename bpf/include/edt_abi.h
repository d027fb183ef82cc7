/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Waiting by EDT: what its programs and user space share beside fl_delay_config (fault_abi.h), whose tap_ifindex is the near end of
 * our veth pair here. What only networkBandwidth needs is in link_abi.h. */
#ifndef FAULTLINE_EDT_ABI_H
#define FAULTLINE_EDT_ABI_H

#include "fault_abi.h"

#define FL_EDT_FLOWS 65536u  /* slots that keep flows in order under jitter; a power of two */
#define FL_EDT_DELAYS 65536u /* delays drawn beforehand, used in turn; a power of two */

/* What a packet carries through the pair, which clears mark and tstamp on its way through another namespace, in three fields
 * that it leaves alone: lane and the upper part of the time of arrival in the VLAN tag, the lower part in tc_index, the delay
 * in the hash, whose low bits choose the queue in fq. Bandwidth has its own use of the hash. */
#define FL_EDT_UNIT_SHIFT 10 /* of times of arrival: 1.024 us; they come round after 275 s */
#define FL_EDT_HIGH_BITS 12
#define FL_EDT_QUEUE_BITS 14       /* of the hash: all that fq is told to look at (orphan_mask) */
#define FL_EDT_DELAY_SHIFT 18      /* of the delay in the hash, which only rounds after the first look at: 0.26 ms; 68 s at most */
#define FL_EDT_GRID (1ull << FL_EDT_DELAY_SHIFT)
#define FL_EDT_PACKET_OVERHEAD 768 /* bytes of an sk_buff beside its data, about */

/* How packets of a flow stay in order. */
#define FL_EDT_ORDER_NONE 0u  /* no jitter: they do */
#define FL_EDT_ORDER_EXACT 1u /* fl_edt_last; no delay is longer than a round, so that none is rounded */
#define FL_EDT_ORDER_GRID 2u  /* fl_edt_last; departures are on a grid of FL_EDT_GRID ns, so that rounding moves none */

/* rodata fl_edt */
struct fl_edt_config {
	__u64 hop_ns;     /* no packet waits longer at once: how soon all are out when the lease has ended */
	__s64 most_bytes; /* in the line; a packet that finds no room passes without delay and counts as an error */
	__u32 delays;     /* used entries of fl_edt_delays, FL_EDT_DELAYS or 1 */
	__u32 order;      /* FL_EDT_ORDER_* */
};

FL_STATIC_ASSERT(sizeof(struct fl_edt_config) == 24, "fl_edt_config");

#endif
