/* SPDX-License-Identifier: GPL-2.0-only */
/* What programs of socketError do on every kind of hook: a socket call, described as a packet that the pod sends, passes the filter
 * and the dice. Include in one file of an object only (fault_guard.bpf.h). */
#ifndef FAULTLINE_SOCKET_CALL_BPF_H
#define FAULTLINE_SOCKET_CALL_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "fault_guard.bpf.h"
#include "net_filter.bpf.h"

#define AF_INET 2
#define AF_INET6 10

const volatile struct fl_sock_config fl_config;

static __always_inline void fl_describe(struct fl_packet *call, __u32 protocol)
{
	call->protocol = (__u8)protocol;
	call->has_ports = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
			  protocol == IPPROTO_UDPLITE;
}

/* Not NULL: act now, and count there what was done. `stream`: each operation has its own dice. */
static __always_inline struct fl_counters *fl_call_hit(const struct fl_packet *call, __u32 stream)
{
	struct fl_counters *c;

	if (!fl_filter_match(call, 1))
		return NULL;
	c = fl_matched_shared();
	return c && fl_roll(stream, fl_config.probability) ? c : NULL;
}

#endif
