// SPDX-License-Identifier: GPL-2.0-only
/* socketError on security hooks: the socket calls that no cgroup hook sees, and sendmsg of any socket. User space loads each as LSM
 * program or as fmod_ret on security_<hook>. The scope is the task that calls; only IPv4 and IPv6 sockets that a program has made.
 *
 * A call that another program or module has refused already keeps its own errno and is not counted. */
#include <stddef.h>
#include "socket_call.bpf.h"
#include "in_pod.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

enum { FL_AT_LISTEN, FL_AT_ACCEPT, FL_AT_SENDMSG, FL_AT_RECVMSG }; /* streams */

const volatile __s32 fl_retval; /* -4095..-1. Negative here: the verifier loses track of a number that a program negates */

/* Kernel types, by CO-RE: only what is read. */
struct sock_common {
	unsigned short skc_family;
	__be16 skc_dport;
	__u16 skc_num;
	__be32 skc_daddr;
	struct in6_addr skc_v6_daddr;
} __attribute__((preserve_access_index));
struct sock { struct sock_common __sk_common; __u16 sk_protocol; } __attribute__((preserve_access_index));
struct socket { void *file; struct sock *sk; } __attribute__((preserve_access_index));
struct msghdr { void *msg_name; int msg_namelen; } __attribute__((preserve_access_index));

/* The socket, with its peer where it is connected. false: none of ours. The kernel's own sockets have no file. */
static __always_inline bool fl_describe_socket(struct fl_packet *call, struct socket *sock)
{
	struct sock *sk = BPF_CORE_READ(sock, sk);
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if (!BPF_CORE_READ(sock, file) || (family != AF_INET && family != AF_INET6))
		return false;
	fl_describe(call, BPF_CORE_READ(sk, sk_protocol));
	call->sport = BPF_CORE_READ(sk, __sk_common.skc_num);
	call->dport = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == AF_INET)
		fl_map_v4(call->daddr, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	else
		bpf_core_read(call->daddr, sizeof(call->daddr), &sk->__sk_common.skc_v6_daddr);
	return true;
}

/* The peer that an unconnected datagram names. The kernel has copied the address by now. */
static __always_inline void fl_named_peer(struct fl_packet *call, struct msghdr *message)
{
	void *name = BPF_CORE_READ(message, msg_name);
	struct { __u16 family; __be16 port; __be32 v4_or_flow; __u64 v6[2]; } __attribute__((packed)) to = {};

	if (!name || bpf_probe_read_kernel(&to, sizeof(to), name))
		return;
	call->dport = bpf_ntohs(to.port);
	if (to.family == AF_INET6)
		__builtin_memcpy(call->daddr, to.v6, sizeof(call->daddr));
	else
		fl_map_v4(call->daddr, to.v4_or_flow);
}

static __always_inline int fl_at_hook(struct socket *sock, struct msghdr *sent, __u32 stream)
{
	struct fl_packet call = {};
	struct fl_counters *c;
	__u64 now;

	if (!fl_in_pod() || !fl_armed(&now) || !fl_describe_socket(&call, sock))
		return 0;
	if (sent)
		fl_named_peer(&call, sent);
	c = fl_call_hit(&call, stream);
	if (!c)
		return 0;
	fl_injected_shared(c, now);
	return fl_retval;
}

SEC("lsm/socket_listen")
int BPF_PROG(fl_socket_listen, struct socket *sock, int backlog, int ret)
{
	return ret ? ret : fl_at_hook(sock, NULL, FL_AT_LISTEN);
}

SEC("lsm/socket_accept")
int BPF_PROG(fl_socket_accept, struct socket *sock, struct socket *accepted, int ret)
{
	return ret ? ret : fl_at_hook(sock, NULL, FL_AT_ACCEPT);
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(fl_socket_sendmsg, struct socket *sock, struct msghdr *message, int size, int ret)
{
	return ret ? ret : fl_at_hook(sock, message, FL_AT_SENDMSG);
}

SEC("lsm/socket_recvmsg")
int BPF_PROG(fl_socket_recvmsg, struct socket *sock, struct msghdr *message, int size, int flags, int ret)
{
	return ret ? ret : fl_at_hook(sock, NULL, FL_AT_RECVMSG);
}
