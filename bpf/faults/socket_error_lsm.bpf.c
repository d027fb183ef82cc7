// SPDX-License-Identifier: GPL-2.0-only
/* socketError on security hooks: the socket calls that no cgroup hook sees, and sendmsg of any socket. One program a hook serves all
 * faults of the node; user space loads those it needs, as LSM programs or as fmod_ret on security_<hook>. The scope is the task that
 * calls; only IPv4 and IPv6 sockets that a program has made.
 *
 * The faults on a task are asked in the order in which they were armed. The first that hits gives the call its errno, and those
 * behind it do not see the call. A call that another program or module has refused already keeps its own errno and is not counted. */
#include <stddef.h>
#define FL_FILTER_IN_SLOTS
#include "lease.bpf.h"
#include "net_filter.bpf.h"
#include "socket_call.bpf.h"
#include "socket_error_abi.h"
#include "task_slots.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

FL_SLOT_ARRAY(struct fl_sock_fault);

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

/* What the faults of a task are asked, one after the other. */
struct fl_question {
	const struct fl_task_slots *slots;
	const struct fl_packet *call;
	__u32 hook;
	__s64 retval; /* the answer: what the call returns; 0: none hits it */
};

/* Is it armed, after its filter was asked? When a fault ends, its lease ends before its exceptions go: whoever did not find one any
 * more must see that. The atomic operation changes nothing and keeps the order of the two reads. */
static __always_inline bool fl_is_armed_still(struct fl_lease *lease, __u64 *now)
{
	return __sync_fetch_and_add(&lease->armed, 0) && fl_lease_is_armed(lease, now);
}

/* Returns 1 when no further fault is to be asked. */
static int fl_ask(__u32 n, struct fl_question *question)
{
	struct fl_sock_fault *fault = fl_slot_on_task(&fl_slots, question->slots, n);
	__u64 now, number;
	__u32 hook;

	if (!fault || !(fault->hooks >> question->hook & 1) || !fl_lease_may_be_armed(&fault->lease))
		return 0;
	/* The filter before the deadline: reading the clock costs more than most filters. */
	if (!fl_rules_match(&fault->rules, question->call, 1) || !fl_is_armed_still(&fault->lease, &now))
		return 0;
	__sync_fetch_and_add(&fault->counters.matched, 1);
	hook = fl_bounded(question->hook, FL_SOCK_HOOKS);
	number = __sync_fetch_and_add(&fault->asked[hook], 1);
	if ((fl_random(fault->seed, hook, number) >> 32) >= fault->probability)
		return 0;
	fl_count_injected(&fault->counters, now);
	question->retval = fault->retval;
	return 1;
}

/* For a task that has faults: what it makes ready costs the others nothing. */
static __always_inline __s64 fl_answer(const struct fl_task_slots *slots, struct socket *sock, struct msghdr *sent, __u32 hook)
{
	struct fl_packet call = {};
	struct fl_question question = { .slots = slots, .call = &call, .hook = hook };

	if (!fl_describe_socket(&call, sock))
		return 0;
	if (sent)
		fl_named_peer(&call, sent);
	bpf_loop(slots->count, fl_ask, &question, 0);
	return fl_errno_of(&question.retval);
}

static __always_inline int fl_at_hook(struct socket *sock, struct msghdr *sent, __u32 hook)
{
	const struct fl_task_slots *slots = fl_slots_of_task();

	return slots ? fl_answer(slots, sock, sent, hook) : 0;
}

SEC("lsm/socket_listen")
int BPF_PROG(fl_socket_listen, struct socket *sock, int backlog, int ret)
{
	return ret ? ret : fl_at_hook(sock, NULL, FL_SOCK_AT_LISTEN);
}

SEC("lsm/socket_accept")
int BPF_PROG(fl_socket_accept, struct socket *sock, struct socket *accepted, int ret)
{
	return ret ? ret : fl_at_hook(sock, NULL, FL_SOCK_AT_ACCEPT);
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(fl_socket_sendmsg, struct socket *sock, struct msghdr *message, int size, int ret)
{
	return ret ? ret : fl_at_hook(sock, message, FL_SOCK_AT_SENDMSG);
}

SEC("lsm/socket_recvmsg")
int BPF_PROG(fl_socket_recvmsg, struct socket *sock, struct msghdr *message, int size, int flags, int ret)
{
	return ret ? ret : fl_at_hook(sock, NULL, FL_SOCK_AT_RECVMSG);
}
