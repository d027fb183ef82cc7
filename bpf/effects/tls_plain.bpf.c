// SPDX-License-Identifier: GPL-2.0-only
/* tls_plain: the plain bytes that the processes of one pod read from and write to OpenSSL, and the turns of requests and answers in
 * them. Only ever counts.
 *
 *   fl_plain_enter   a call begins: remembers what it was given
 *   fl_plain_return  it returns: follows the bytes that it carried
 *   fl_plain_begin   a connection begins, as a client or as a server
 *   fl_plain_end     a connection ends, or its bytes go by another way
 *   fl_plain_sweep   run by user space once a window: what came to an end because nothing more came
 *
 * The probes are on the file of a library, so the processes of others pay for the trap and for the first look here. */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "cut.bpf.h"
#include "tls_plain_http1.bpf.h"
#include "tls_plain_http2.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#if defined(__TARGET_ARCH_x86)
#define FL_PLAIN_RETURN_TAKES 8 /* bytes of the stack: the address to return to */
#else
#define FL_PLAIN_RETURN_TAKES 0
#endif

const volatile struct fl_plain_config fl_plain_config;

struct fl_plain_counts fl_plain_counts[FL_BANKS]; /* .bss, mmapped */
__u32 fl_plain_window; /* number of the window */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_PLAIN_CALLS);
	__type(key, struct fl_plain_frame);
	__type(value, struct fl_plain_call);
} fl_plain_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FL_PLAIN_CONNECTIONS);
	__type(key, struct fl_plain_key);
	__type(value, struct fl_plain_connection);
} fl_plain_conns SEC(".maps");

static __always_inline struct fl_plain_counts *fl_plain_counts_now(void)
{
	return &fl_plain_counts[fl_bank() & 1];
}

static __always_inline int fl_plain_is_of_pod(void)
{
	return bpf_get_current_ancestor_cgroup_id(fl_plain_config.level) == fl_plain_config.cgroup;
}

static __always_inline __u32 fl_plain_process(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

SEC("uprobe")
int fl_plain_enter(struct pt_regs *ctx)
{
	struct fl_plain_frame frame = {};
	struct fl_plain_call call = {};

	if (!fl_plain_is_of_pod())
		return 0;
	frame.sp = PT_REGS_SP(ctx) + FL_PLAIN_RETURN_TAKES;
	frame.tgid = fl_plain_process();
	call.ssl = PT_REGS_PARM1(ctx);
	call.buffer = PT_REGS_PARM2(ctx);
	call.bytes_at = PT_REGS_PARM4(ctx);
	call.what = bpf_get_attach_cookie(ctx);
	call.entered_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&fl_plain_calls, &frame, &call, BPF_ANY))
		fl_plain_count(&fl_plain_counts_now()->no_room);
	return 0;
}

/* How many bytes the call carried. */
static __always_inline __u64 fl_plain_carried(struct pt_regs *ctx, const struct fl_plain_call *call)
{
	__s32 result = PT_REGS_RC(ctx);
	__u64 bytes = 0;

	if (!(call->what & 1))
		return result > 0 ? result : 0;
	if (result != 1 || bpf_probe_read_user(&bytes, sizeof(bytes), (const void *)call->bytes_at))
		return 0;
	return bytes;
}

/* The connection of the piece; one that was not seen to begin is entered as such. */
static __always_inline struct fl_plain_connection *fl_plain_connection_of(struct fl_plain_piece *p, struct fl_plain_counts *counts)
{
	struct fl_plain_connection *conn = bpf_map_lookup_elem(&fl_plain_conns, &p->key);

	if (!conn) {
		struct fl_plain_connection fresh = {.side = FL_PLAIN_NO_SIDE};

		if (bpf_map_update_elem(&fl_plain_conns, &p->key, &fresh, BPF_ANY))
			fl_plain_count(&counts->no_room);
		conn = bpf_map_lookup_elem(&fl_plain_conns, &p->key);
	}
	return conn;
}

/* A piece of a connection whose beginning was not seen: whose it is shows where a request or an answer of HTTP/1 begins. 1: it is
 * to be followed. */
static __always_inline int fl_plain_recognise_old(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	__u64 first = p->bytes >= 8 ? fl_plain_bytes(p, 0, 8) : 0;

	if (fl_plain_is_request(first)) {
		conn->side = p->written ? FL_PLAIN_CLIENT : FL_PLAIN_SERVER;
		conn->kind = FL_PLAIN_HTTP1;
		return 1;
	}
	if (first == 0x505249202a204854ull) { /* "PRI * HT": it is older, but its plain bytes begin here */
		conn->side = p->written ? FL_PLAIN_CLIENT : FL_PLAIN_SERVER;
		conn->kind = FL_PLAIN_HTTP2;
		fl_plain_http2_begins(p, 0);
		return 1;
	}
	if (fl_plain_status(p)) {
		conn->side = p->written ? FL_PLAIN_SERVER : FL_PLAIN_CLIENT;
		conn->kind = FL_PLAIN_HTTP1;
		fl_plain_gap(counts, FL_PLAIN_GAP_ASKED);
		return 0;
	}
	if (!(conn->flags & FL_PLAIN_OLD)) {
		conn->flags |= FL_PLAIN_OLD;
		fl_plain_gap(counts, FL_PLAIN_GAP_OLD);
	}
	return 0;
}

/* The first bytes of a connection that was seen to begin. 1: its kind is known, and the piece is to be followed. */
static __always_inline int fl_plain_recognise(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts, int asks)
{
	__u32 n = p->bytes, had = conn->have, word;

	if (!asks) { /* the server speaks first, or answers less than a word */
		conn->kind = FL_PLAIN_TURNS;
		if (!had && n > 8 && fl_plain_is_settings(fl_plain_bytes(p, 0, 8))) {
			conn->kind = FL_PLAIN_HTTP2;
			fl_plain_http2_begins(p, 0);
		}
		return 1;
	}
	if (n > 4 - (had & 3))
		n = 4 - (had & 3);
	word = (__u32)(had ? conn->text : 0) << ((8 * n) & 31) | (fl_plain_bytes(p, 0, n) >> ((64 - 8 * n) & 63));
	if (n == 4)
		word = fl_plain_bytes(p, 0, 4) >> 32;
	conn->text = word;
	conn->have = had + n;
	if (conn->have < 4) {
		if (!conn->pending_ns)
			conn->asked_ns = p->first_ns;
		conn->pending_ns = p->last_ns;
		return 0;
	}
	conn->have = 0;
	if (word == 0x50524920) { /* "PRI " */
		conn->kind = FL_PLAIN_HTTP2;
		conn->pending_ns = 0;
		fl_plain_http2_begins(p, had & 3);
		return 1;
	}
	conn->kind = fl_http1_is_method(word) ? FL_PLAIN_HTTP1 : FL_PLAIN_TURNS;
	if (!had)
		return 1;
	conn->pending_ns = p->last_ns;
	return 0;
}

static __noinline int fl_plain_follow(struct fl_plain_piece *p, struct fl_plain_connection *conn, struct fl_plain_counts *counts)
{
	int asks;

	if (conn->kind == FL_PLAIN_NEW && conn->side == FL_PLAIN_NO_SIDE && !fl_plain_recognise_old(p, conn, counts))
		return fl_done();
	asks = (conn->side == FL_PLAIN_CLIENT) == p->written;
	if (conn->kind == FL_PLAIN_NEW && !fl_plain_recognise(p, conn, counts, asks))
		return fl_done();
	switch (conn->kind) {
	case FL_PLAIN_HTTP1:
		if (asks)
			fl_plain_http1_request(p, conn, counts);
		else
			fl_plain_http1_answer(p, conn, counts);
		break;
	case FL_PLAIN_HTTP2:
		fl_plain_http2_piece(p, conn, counts);
		break;
	default:
		if (asks)
			fl_plain_turn_request(p, conn, counts);
		else
			fl_plain_turn_answer(p, conn, counts);
		break;
	}
	return fl_done();
}

SEC("uretprobe")
int fl_plain_return(struct pt_regs *ctx)
{
	struct fl_plain_piece p = {.key = {.tgid = fl_plain_process()}};
	struct fl_plain_counts *counts = fl_plain_counts_now();
	struct fl_plain_connection *conn;
	struct fl_plain_frame frame = {.sp = PT_REGS_SP(ctx), .tgid = p.key.tgid};
	struct fl_plain_call *call = bpf_map_lookup_elem(&fl_plain_calls, &frame);
	__u64 bytes;
	__u32 window;

	if (!call) {
		if (fl_plain_is_of_pod())
			fl_plain_count(&counts->no_call);
		return 0;
	}
	bytes = fl_plain_carried(ctx, call);
	p.bytes = bytes < 0x7fffffff ? bytes : 0x7fffffff;
	p.key.ssl = call->ssl;
	p.buffer = call->buffer;
	p.written = (call->what & FL_PLAIN_WRITE) != 0;
	p.last_ns = bpf_ktime_get_ns();
	p.first_ns = p.written ? call->entered_ns : p.last_ns;
	bpf_map_delete_elem(&fl_plain_calls, &frame);
	if (!p.bytes)
		return 0;
	conn = fl_plain_connection_of(&p, counts);
	if (!conn)
		return 0;
	window = *(volatile __u32 *)&fl_plain_window;
	if (conn->window != window) {
		conn->window = window;
		conn->flags &= ~FL_PLAIN_OLD; /* what is not known of it is missing in each window */
		fl_plain_count(&counts->active);
		if (conn->gap)
			fl_plain_gap(counts, conn->gap);
	}
	if (conn->gap)
		return 0;
	fl_plain_follow(&p, conn, counts);
	if (p.unreadable && !conn->gap)
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_UNREADABLE);
	return 0;
}

SEC("uprobe")
int fl_plain_begin(struct pt_regs *ctx)
{
	struct fl_plain_key key = {.ssl = PT_REGS_PARM1(ctx), .tgid = fl_plain_process()};
	__u64 what = bpf_get_attach_cookie(ctx);
	struct fl_plain_connection fresh = {.side = what & 1 ? FL_PLAIN_CLIENT : FL_PLAIN_SERVER};
	struct fl_plain_counts *counts = fl_plain_counts_now();
	struct fl_plain_connection *old;

	if (!fl_plain_is_of_pod())
		return 0;
	old = bpf_map_lookup_elem(&fl_plain_conns, &key);
	if (old) {
		/* A handshake that goes on is called again and again; an object that is told anew what it is begins anew. */
		if (what < FL_PLAIN_SET_ACCEPT)
			return 0;
		fl_plain_ends(old, counts);
		if (old->kind == FL_PLAIN_HTTP2)
			fl_plain_http2_ends(&key, old, counts);
	}
	if (bpf_map_update_elem(&fl_plain_conns, &key, &fresh, BPF_ANY))
		fl_plain_count(&counts->no_room);
	else
		fl_plain_count(&counts->began);
	return 0;
}

SEC("uprobe")
int fl_plain_end(struct pt_regs *ctx)
{
	struct fl_plain_key key = {.ssl = PT_REGS_PARM1(ctx), .tgid = fl_plain_process()};
	struct fl_plain_counts *counts = fl_plain_counts_now();
	struct fl_plain_connection *conn;

	if (!fl_plain_is_of_pod())
		return 0;
	conn = bpf_map_lookup_elem(&fl_plain_conns, &key);
	if (!conn)
		return 0;
	if (bpf_get_attach_cookie(ctx) == FL_PLAIN_FREE) {
		fl_plain_ends(conn, counts);
		if (conn->kind == FL_PLAIN_HTTP2)
			fl_plain_http2_ends(&key, conn, counts);
		bpf_map_delete_elem(&fl_plain_conns, &key);
	} else if (!conn->gap) {
		fl_plain_unmeasured(conn, counts, FL_PLAIN_GAP_PAST);
	}
	return 0;
}

__u64 fl_plain_longest_wait_ns; /* of the requests that had no answer at the last sweep */

struct fl_plain_sweep {
	struct fl_plain_counts *counts;
	__u64 now;
	__u64 longest_wait_ns;
};

static long fl_plain_sweep_one(void *map, const struct fl_plain_key *key, struct fl_plain_connection *conn, struct fl_plain_sweep *sweep)
{
	struct fl_plain_key copy = *key;
	__u64 answer = conn->answer_ns, pending = conn->pending_ns;

	if (conn->gap || conn->side == FL_PLAIN_NO_SIDE)
		return 0;
	if (answer && sweep->now > answer + FL_PLAIN_IDLE_NS) {
		fl_plain_finish(conn, sweep->counts);
		conn->flags |= FL_PLAIN_OVER;
	}
	if (pending && sweep->now > pending + sweep->longest_wait_ns)
		sweep->longest_wait_ns = sweep->now - pending;
	if (pending && sweep->now > pending + FL_PLAIN_UNANSWERED_NS) {
		fl_plain_ends(conn, sweep->counts);
		bpf_map_delete_elem(&fl_plain_conns, &copy);
	}
	return 0;
}

/* A request that nobody answers, or of a connection that is no more. */
static long fl_plain_sweep_stream(void *map, const struct fl_plain_key *key, struct fl_plain_stream *stream, struct fl_plain_sweep *sweep)
{
	struct fl_plain_key copy = *key, connection = *key;
	struct fl_plain_connection *conn;
	struct fl_plain_http2 *h2;
	struct fl_plain_side *side;

	connection.stream = 0;
	h2 = bpf_map_lookup_elem(&fl_plain_http2s, &connection);
	conn = bpf_map_lookup_elem(&fl_plain_conns, &connection);
	if (h2 && conn && !conn->gap && h2->epoch == stream->epoch) {
		if (!stream->waits || !stream->pending_ns || sweep->now < stream->pending_ns + FL_PLAIN_UNANSWERED_NS)
			return 0;
		__sync_fetch_and_add(&h2->waiting, -1);
		side = fl_plain_side_of(sweep->counts, conn);
		fl_plain_count(&side->unanswered);
		if (conn->side == FL_PLAIN_CLIENT) {
			fl_plain_count(&side->failed);
			fl_plain_count(&side->failed_unanswered);
		}
	}
	bpf_map_delete_elem(&fl_plain_streams, &copy);
	return 0;
}

SEC("tc")
int fl_plain_sweep(struct __sk_buff *skb)
{
	struct fl_plain_sweep sweep = {.counts = fl_plain_counts_now(), .now = bpf_ktime_get_ns()};

	bpf_for_each_map_elem(&fl_plain_conns, fl_plain_sweep_one, &sweep, 0);
	fl_plain_longest_wait_ns = sweep.longest_wait_ns;
	bpf_for_each_map_elem(&fl_plain_streams, fl_plain_sweep_stream, &sweep, 0);
	return 0;
}
