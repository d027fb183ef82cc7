/* SPDX-License-Identifier: GPL-2.0-only */
/* What programs of socketError do on every kind of hook: they describe a socket call as a packet that the pod sends. No state. */
#ifndef FAULTLINE_SOCKET_CALL_BPF_H
#define FAULTLINE_SOCKET_CALL_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "packet.bpf.h"

#define AF_INET 2
#define AF_INET6 10

static __always_inline void fl_describe(struct fl_packet *call, __u32 protocol)
{
	call->protocol = (__u8)protocol;
	call->has_ports = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
			  protocol == IPPROTO_UDPLITE;
}

#endif
