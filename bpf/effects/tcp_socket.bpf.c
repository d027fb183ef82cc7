// SPDX-License-Identifier: GPL-2.0-only
/* tcp_socket: what the TCP sockets of one cgroup go through. Only ever counts.
 *
 *   fl_tcp_conn[46]  connect(): attempts, and those that a hook before ours refused
 *   fl_tcp_ops       sockops: SYN, established, round trip, retransmission, change of state
 *
 * User space moves the connect hooks behind one that was attached later: it attaches them again, then detaches them where
 * they were. In between one call may run them twice, which is told by fl_tcp_moved. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "cut.bpf.h"
#include "effect_abi_tcp.h"
#include "hist.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define ALLOW 1
#define SOCK_STREAM 1
#define IPPROTO_TCP 6

/* Kernel types, by CO-RE: only what is read. */
struct sock {
	int sk_err;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u64 tcp_mstamp;     /* us: when the packet arrived that is being worked on */
	__u64 first_tx_mstamp; /* us: when the newest segment was sent of those that were just acknowledged */
} __attribute__((preserve_access_index));

struct fl_tcp_counts fl_tcp_counts[FL_BANKS]; /* .bss, mmapped; unsent is in bank 0 */
__u32 fl_tcp_moving;                /* the connect hooks are there twice, or were for a call that goes on */
__u32 fl_tcp_starting;              /* user space is looking for connections that were there before us */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_TCP_HISTS * FL_BANKS);
	__type(key, __u32);
	__type(value, struct fl_hist);
} fl_tcp_hists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_TCP_CONNECTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct fl_tcp_connect);
} fl_tcp_connects SEC(".maps");

/* Cookies of connections that began while fl_tcp_starting. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_TCP_FRESH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u8);
} fl_tcp_fresh SEC(".maps");

/* ktime at which a connect() was counted while fl_tcp_moving, by cookie. The socket is locked while it is in connect(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_TCP_MOVED);
	__type(key, __u64);
	__type(value, __u64);
} fl_tcp_moved SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fl_tcp_round);
} fl_tcp_rounds SEC(".maps");

static __always_inline void fl_count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline void fl_count_failed(__u32 error)
{
	if (error >= FL_TCP_ERRNOS)
		error = 0;
	fl_count(&fl_tcp_counts[fl_bank() & 1].failed[error]);
}

static __always_inline void fl_record(__u32 which, __u64 ns)
{
	__u32 key = which + FL_TCP_HISTS * fl_bank();
	struct fl_hist *h = bpf_map_lookup_elem(&fl_tcp_hists, &key);

	if (!h) {
		fl_count(&fl_tcp_counts[fl_bank() & 1].hist_failed);
		return;
	}
	/* Per CPU, yet with atomics: a softirq can come between the instructions of a program in process context. */
	fl_hist_add_shared(h, ns);
}

/* ---- connect() ------------------------------------------------------------------------------------------------------ */

/* Takes back that a connect waits for its SYN; 0: none did. */
static __always_inline int fl_take_unsent(__u64 cookie)
{
	struct fl_tcp_connect *connect = bpf_map_lookup_elem(&fl_tcp_connects, &cookie);

	if (!connect || connect->syn_ns || bpf_map_delete_elem(&fl_tcp_connects, &cookie))
		return 0;
	__sync_fetch_and_add(&fl_tcp_counts[0].unsent, -1);
	return 1;
}

/* Was this very call counted by our hook in its other place? */
static __always_inline int fl_was_counted(__u64 cookie, __u64 now)
{
	__u64 *counted = bpf_map_lookup_elem(&fl_tcp_moved, &cookie);
	int same_call;

	if (!counted) {
		if (*(volatile __u32 *)&fl_tcp_moving)
			bpf_map_update_elem(&fl_tcp_moved, &cookie, &now, BPF_ANY);
		return 0;
	}
	/* Older: the hook was there once after all, and this is the socket's next connect(). */
	same_call = now - *counted < FL_TCP_SAME_CALL_NS;
	bpf_map_delete_elem(&fl_tcp_moved, &cookie);
	return same_call;
}

/* The kernel runs the hooks once a connect(), for a socket that is neither connected nor connecting. */
static __always_inline int fl_connect(struct bpf_sock_addr *ctx)
{
	struct fl_tcp_connect connect = {};
	__u64 cookie, now;
	int refused;

	if (ctx->type != SOCK_STREAM || ctx->protocol != IPPROTO_TCP)
		return ALLOW;
	refused = bpf_get_retval(); /* stays as it is: the errno that was put before us */
	cookie = bpf_get_socket_cookie(ctx);
	now = bpf_ktime_get_ns();
	if (fl_was_counted(cookie, now)) {
		if (refused < 0 && fl_take_unsent(cookie))
			fl_count_failed((__u32)-refused);
		return ALLOW;
	}
	fl_count(&fl_tcp_counts[fl_bank() & 1].attempts);
	/* The attempt before on this socket came back without a packet: the kernel refused it after our hook. */
	if (fl_take_unsent(cookie))
		fl_count_failed(0);
	if (refused < 0) {
		fl_count_failed((__u32)-refused);
		return ALLOW;
	}
	connect.asked_ns = now;
	if (bpf_map_update_elem(&fl_tcp_connects, &cookie, &connect, BPF_ANY))
		fl_count(&fl_tcp_counts[fl_bank() & 1].table_full);
	else
		__sync_fetch_and_add(&fl_tcp_counts[0].unsent, 1);
	return ALLOW;
}

SEC("cgroup/connect4")
int fl_tcp_conn4(struct bpf_sock_addr *ctx)
{
	return fl_connect(ctx);
}

SEC("cgroup/connect6")
int fl_tcp_conn6(struct bpf_sock_addr *ctx)
{
	return fl_connect(ctx);
}

/* ---- sockops -------------------------------------------------------------------------------------------------------- */

/* Of a connection that the pod opens, its end is told, too. */
#define FL_TCP_OWN_CONNECTS (BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG)

/* Others' flags stay: the flags belong to the socket, not to a program. */
static __always_inline void fl_listen_to(struct bpf_sock_ops *ctx, __u32 flags)
{
	if (bpf_sock_ops_cb_flags_set(ctx, (int)(ctx->bpf_sock_ops_cb_flags | flags)))
		fl_count(&fl_tcp_counts[fl_bank() & 1].flags_failed);
}

/* The first SYN is about to be sent. */
static __always_inline void fl_syn(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx), now = bpf_ktime_get_ns();
	struct fl_tcp_connect *known = bpf_map_lookup_elem(&fl_tcp_connects, &cookie);
	struct fl_tcp_connect connect = { .syn_ns = now };

	fl_listen_to(ctx, FL_TCP_OWN_CONNECTS);
	if (known) {
		if (!known->syn_ns)
			__sync_fetch_and_add(&fl_tcp_counts[0].unsent, -1);
		known->syn_ns = now;
	} else {
		/* The hook came after the call, or there was no room then, which is counted: there may be now. */
		bpf_map_update_elem(&fl_tcp_connects, &cookie, &connect, BPF_ANY);
	}
}

static __always_inline void fl_established(struct bpf_sock_ops *ctx, __u32 flags)
{
	__u64 cookie;
	__u8 one = 1;

	fl_listen_to(ctx, flags);
	if (!*(volatile __u32 *)&fl_tcp_starting)
		return;
	cookie = bpf_get_socket_cookie(ctx);
	if (bpf_map_update_elem(&fl_tcp_fresh, &cookie, &one, BPF_ANY))
		fl_count(&fl_tcp_counts[fl_bank() & 1].fresh_full);
}

static __always_inline int fl_was_asked(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);

	return bpf_map_lookup_elem(&fl_tcp_connects, &cookie) != 0;
}

static __always_inline void fl_opened(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx), now = bpf_ktime_get_ns();
	struct fl_tcp_connect *connect = bpf_map_lookup_elem(&fl_tcp_connects, &cookie);

	fl_count(&fl_tcp_counts[fl_bank() & 1].opened);
	if (!connect)
		return; /* the SYN was sent before we came, or the table was full, which is counted */
	if (connect->syn_ns)
		fl_record(FL_TCP_CONNECT, now - connect->syn_ns);
	bpf_map_delete_elem(&fl_tcp_connects, &cookie);
}

/* 0: the program itself ended it. The kernel puts the socket's error before it changes the state. */
static __always_inline __u32 fl_error_of(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tcp;

	if (!sk)
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	return tcp ? (__u32)((struct sock *)tcp)->sk_err : 0; /* its first member is a struct sock */
}

/* The handshake ended without a connection. */
static __always_inline void fl_not_opened(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	__u32 error = fl_error_of(ctx);

	if (error)
		fl_count_failed(error);
	else
		fl_count(&fl_tcp_counts[fl_bank() & 1].abandoned);
	bpf_map_delete_elem(&fl_tcp_connects, &cookie);
}

static __always_inline void fl_changed_state(struct bpf_sock_ops *ctx)
{
	__u32 from = ctx->args[0], to = ctx->args[1];
	struct bpf_sock *sk = ctx->sk;
	struct fl_tcp_round *round;

	if (to != BPF_TCP_CLOSE || !sk)
		return;
	if (from == BPF_TCP_SYN_SENT) {
		fl_not_opened(ctx);
		return;
	}
	/* Had its own program closed it, there would be no error. The acknowledgement of the SYN counts as a byte. */
	if (from != BPF_TCP_ESTABLISHED || ctx->bytes_received || ctx->bytes_acked > 1 || !fl_error_of(ctx))
		return;
	/* Another program may have asked for the changes of a connection to the pod. */
	round = bpf_sk_storage_get(&fl_tcp_rounds, sk, 0, 0);
	if (round && round->opened)
		fl_count(&fl_tcp_counts[fl_bank() & 1].reset_unused);
}

/* ---- round trips ---------------------------------------------------------------------------------------------------- */

/* The kernel calls when something is acknowledged that was sent after the round trip before ended, so once a round trip.
 *
 * A peer may keep its acknowledgement back until it has data to send or a timer ends (RFC 1122, 4.2.3.2). It acknowledges
 * at once what is worth two segments. So only such a round trip is the path's, and that of a handshake. It is counted from when the
 * newest of the acknowledged segments was sent: the older ones waited for it.
 *
 * Who else cannot be told from a slow path is counted in rtt_late. */
static __always_inline void fl_round_trip(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct fl_tcp_round *round;
	struct tcp_sock *tcp;
	__u32 acked, retrans;

	if (!sk || ctx->state == BPF_TCP_SYN_SENT) /* that of the SYN: see fl_shook_hands() */
		return;
	round = bpf_sk_storage_get(&fl_tcp_rounds, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!round) {
		fl_count(&fl_tcp_counts[fl_bank() & 1].rtt_no_room);
		return;
	}
	acked = ctx->snd_una - round->sent;
	retrans = ctx->total_retrans - round->retrans;
	round->sent = ctx->snd_nxt;
	round->retrans = ctx->total_retrans;
	if (acked < 2 * ctx->mss_cache || retrans) {
		fl_count(&fl_tcp_counts[fl_bank() & 1].rtt_late);
		return;
	}
	tcp = bpf_skc_to_tcp_sock(sk);
	if (tcp)
		fl_record(FL_TCP_RTT, (tcp->tcp_mstamp - tcp->first_tx_mstamp) * 1000);
}

/* A SYN and a SYN-ACK are answered at once. That was the socket's first sample, so the smoothed round trip is just that one; 0:
 * the kernel took none. */
static __always_inline void fl_shook_hands(struct bpf_sock_ops *ctx, __u32 opened)
{
	struct fl_tcp_round round = { .sent = ctx->snd_nxt, .retrans = ctx->total_retrans, .opened = opened };
	struct bpf_sock *sk = ctx->sk;

	if (ctx->srtt_us)
		fl_record(FL_TCP_RTT, (__u64)(ctx->srtt_us >> 3) * 1000);
	if (!sk || !bpf_sk_storage_get(&fl_tcp_rounds, sk, &round, BPF_SK_STORAGE_GET_F_CREATE))
		fl_count(&fl_tcp_counts[fl_bank() & 1].rtt_no_room);
}

SEC("sockops")
int fl_tcp_ops(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		fl_syn(ctx);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		fl_opened(ctx);
		fl_shook_hands(ctx, 1);
		fl_established(ctx, FL_TCP_OWN_CONNECTS);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		/* Both ends may have called connect() at once (RFC 9293, figure 7): then it is the pod's connect, too. */
		if (fl_was_asked(ctx))
			fl_opened(ctx);
		fl_shook_hands(ctx, 0);
		fl_established(ctx, BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		fl_round_trip(ctx);
		break;
	case BPF_SOCK_OPS_RETRANS_CB:
		/* args: sequence number, segments, error of sending */
		if (!ctx->args[2])
			__sync_fetch_and_add(&fl_tcp_counts[fl_bank() & 1].retransmits, ctx->args[1]);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		fl_changed_state(ctx);
		break;
	}
	return 1;
}
