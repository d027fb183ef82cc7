// SPDX-License-Identifier: GPL-2.0-only
/* socketError: socket calls of a cgroup fail with an errno, by the cgroup hooks and bpf_set_retval. The scope is the hook: the
 * kernel runs these programs only for sockets that were made in the cgroup (or below it), and only for IPv4 and IPv6.
 *
 * A call that failed already, by another program or in the kernel, keeps its own errno and is not counted. */
#include "fault_guard.bpf.h"
#include "net_filter.bpf.h"
#include "socket_call.bpf.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct fl_sock_config fl_config;

#define ALLOW 1
#define DENY 0 /* with the errno that bpf_set_retval() has put */
#define SMALLEST_PAGE 4096

/* Not NULL: act now, and count there what was done. `stream`: each operation has its own dice. */
static __always_inline struct fl_counters *fl_call_hit(const struct fl_packet *call, __u32 stream)
{
	struct fl_counters *c;

	if (!fl_filter_match(call, 1))
		return NULL;
	c = fl_matched_shared();
	return c && fl_roll(stream, fl_config.probability) ? c : NULL;
}

/* Armed, and the call has not failed yet? */
static __always_inline int fl_may_fail(__u64 *now)
{
	return fl_armed(now) && bpf_get_retval() >= 0;
}

static __always_inline int fl_fail(const struct fl_packet *call, __u32 operation, __u64 now)
{
	struct fl_counters *c = fl_call_hit(call, operation);

	if (!c)
		return ALLOW;
	if (bpf_set_retval(-(int)fl_config.error)) {
		fl_failed(c);
		return ALLOW;
	}
	fl_injected_shared(c, now);
	return DENY;
}

static __always_inline void fl_peer4(struct fl_packet *call, struct bpf_sock_addr *ctx)
{
	fl_map_v4(call->daddr, ctx->user_ip4);
}

static __always_inline void fl_peer6(struct fl_packet *call, struct bpf_sock_addr *ctx)
{
	__u32 *words = (__u32 *)call->daddr;

	words[0] = ctx->user_ip6[0];
	words[1] = ctx->user_ip6[1];
	words[2] = ctx->user_ip6[2];
	words[3] = ctx->user_ip6[3];
}

/* The peer is named by the call; the pod's port is known when the socket is bound. */
static __always_inline void fl_peer_ports(struct fl_packet *call, struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	fl_describe(call, ctx->protocol);
	call->dport = bpf_ntohs((__u16)ctx->user_port);
	if (sk)
		call->sport = (__u16)sk->src_port;
}

SEC("cgroup/sock_create")
int fl_sock_create(struct bpf_sock *ctx)
{
	struct fl_packet call = {};
	__u64 now;

	if (!fl_may_fail(&now))
		return ALLOW;
	fl_describe(&call, ctx->protocol);
	return fl_fail(&call, FL_SOCK_SOCKET, now);
}

static __always_inline int fl_bind(struct bpf_sock_addr *ctx)
{
	struct fl_packet call = {};
	__u64 now;

	if (!fl_may_fail(&now))
		return ALLOW;
	fl_describe(&call, ctx->protocol);
	call.sport = bpf_ntohs((__u16)ctx->user_port);
	return fl_fail(&call, FL_SOCK_BIND, now);
}

SEC("cgroup/bind4")
int fl_sock_bind4(struct bpf_sock_addr *ctx)
{
	return fl_bind(ctx);
}

SEC("cgroup/bind6")
int fl_sock_bind6(struct bpf_sock_addr *ctx)
{
	return fl_bind(ctx);
}

/* Return ALLOW, or 0 when this call towards an IPv4 address fails. */
static __always_inline int fl_call4(struct bpf_sock_addr *ctx, __u32 operation)
{
	struct fl_packet call = {};
	__u64 now;

	if (!fl_may_fail(&now))
		return ALLOW;
	fl_peer_ports(&call, ctx);
	fl_peer4(&call, ctx);
	return fl_fail(&call, operation, now);
}

/* The same towards an IPv6 address, which only programs for IPv6 may read. */
static __always_inline int fl_call6(struct bpf_sock_addr *ctx, __u32 operation)
{
	struct fl_packet call = {};
	__u64 now;

	if (!fl_may_fail(&now))
		return ALLOW;
	fl_peer_ports(&call, ctx);
	fl_peer6(&call, ctx);
	return fl_fail(&call, operation, now);
}

SEC("cgroup/connect4")
int fl_sock_conn4(struct bpf_sock_addr *ctx)
{
	return fl_call4(ctx, FL_SOCK_CONNECT);
}

SEC("cgroup/connect6")
int fl_sock_conn6(struct bpf_sock_addr *ctx)
{
	return fl_call6(ctx, FL_SOCK_CONNECT);
}

/* Only UDP sockets that are not connected come by the hooks of sendmsg. */
SEC("cgroup/sendmsg4")
int fl_sock_send4(struct bpf_sock_addr *ctx)
{
	return fl_call4(ctx, FL_SOCK_SENDMSG);
}

SEC("cgroup/sendmsg6")
int fl_sock_send6(struct bpf_sock_addr *ctx)
{
	return fl_call6(ctx, FL_SOCK_SENDMSG);
}

static __always_inline int fl_sockopt(struct bpf_sockopt *ctx, __u32 operation)
{
	struct fl_packet call = {};
	struct bpf_sock *sk = ctx->sk;
	__u64 now;

	if (!sk || (sk->family != AF_INET && sk->family != AF_INET6) || !fl_may_fail(&now))
		return ALLOW;
	fl_describe(&call, sk->protocol);
	return fl_fail(&call, operation, now);
}

/* The kernel shows us at most a page of the option, and takes a longer optlen that comes back unchanged for a mistake of
 * ours: EFAULT for the application. 0 says: nothing was changed, use the original. */
static __always_inline int fl_untouched(struct bpf_sockopt *ctx)
{
	if (ctx->optlen > SMALLEST_PAGE)
		ctx->optlen = 0;
	return ALLOW;
}

SEC("cgroup/setsockopt")
int fl_sock_setopt(struct bpf_sockopt *ctx)
{
	if (fl_sockopt(ctx, FL_SOCK_SETSOCKOPT) == DENY)
		return DENY;
	return fl_untouched(ctx);
}

SEC("cgroup/getsockopt")
int fl_sock_getopt(struct bpf_sockopt *ctx)
{
	if (fl_sockopt(ctx, FL_SOCK_GETSOCKOPT) == DENY)
		return DENY;
	return fl_untouched(ctx);
}
