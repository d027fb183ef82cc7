/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Waiting by EDT: what its programs and user space share beside fl_line_config (fault_abi.h), whose tap_ifindex is the near end of
 * our veth pair here. What only networkBandwidth needs is in link_abi.h. */
#ifndef FAULTLINE_EDT_ABI_H
#define FAULTLINE_EDT_ABI_H

#include "delay_abi.h"

#define FL_EDT_FLOWS 65536u  /* slots that keep flows in order under jitter; a power of two */
#define FL_EDT_DELAYS 65536u /* delays drawn beforehand, used in turn; a power of two */

/* What a packet carries through the pair, which clears mark, priority and tstamp on its way through another namespace, in fields that
 * it leaves alone: its lane and the upper part of the number of its slot in the VLAN tag, the lower part in tc_index. The hash
 * chooses the queue in fq. */
#define FL_EDT_HIGH_BITS (FL_DELAY_NUMBER_BITS - 16)
#define FL_EDT_QUEUE_BITS 14       /* of the hash: all that fq is told to look at (orphan_mask) */
#define FL_EDT_UNIT_SHIFT 10       /* of waits that the hash carries: 1.024 us */
#define FL_EDT_PACKET_OVERHEAD 768 /* bytes of an sk_buff beside its data, about */

/* How packets of a flow stay in order. */
#define FL_EDT_ORDER_NONE 0u /* all have one delay: they do */
#define FL_EDT_ORDER_KEPT 1u /* fl_edt_last: each is due after the one before it */

/* When the lease has ended, what waits leaves when it is due anyway; if some would wait longer than this, within this time and as
 * much faster. */
#define FL_EDT_FLUSH_US 1000000ull

/* rodata fl_edt */
struct fl_edt_config {
	__u64 hop_ns;     /* no packet waits longer at once: how soon one is seen again when the lease has ended */
	__s64 most_bytes; /* in all lines of the process; a packet that finds no room passes without delay and counts as stalled */
	__u64 longest_us; /* of the delays */
	__u32 delays;     /* used entries of fl_edt_delays, FL_EDT_DELAYS or 1 */
	__u32 order;      /* FL_EDT_ORDER_* */
};

FL_STATIC_ASSERT(sizeof(struct fl_edt_config) == 32, "fl_edt_config");

#endif
