/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests and answers that take turns on a connection, and the figures of them. What is known of a protocol comes from the
 * callers (flow_http1.bpf.h and its neighbours): whether a segment begins a request, and whether it answers one. */
#ifndef FAULTLINE_FLOW_TURNS_BPF_H
#define FAULTLINE_FLOW_TURNS_BPF_H

#define FL_CUT_IN_SLOTS
#include "bounded.bpf.h"
#include "cut.bpf.h"
#include "flow_segment.bpf.h"
#include "hist.bpf.h"

/* One segment with new data, and the connection that it belongs to. */
struct fl_turn {
	struct __sk_buff *skb;
	struct fl_segment *s;
	struct fl_flow_connection *conn;
	struct fl_flow_pod *pod;
	struct fl_flow_counters *counters;
	void *h2_connections, *h2_streams, *h2_held; /* maps */
	__u64 now;
};

enum fl_flow_end { FL_END_FAILED, FL_END_ABANDONED, FL_END_UNANSWERED };

#define FL_BEGINS 1  /* the segment begins a request */
#define FL_GOES_ON 2 /* it goes on with one */
#define FL_UNTOLD 3  /* either */

static __always_inline struct fl_flow_service *fl_flow_service(struct fl_flow_pod *pod, const struct fl_flow_connection *conn)
{
	__u64 service = conn->service;

	if (service >= FL_FLOW_SERVICES)
		return 0;
	service += fl_bank_of(&pod->cut) * FL_FLOW_SERVICES;
	return &pod->services[fl_bounded(service, FL_BANKS * FL_FLOW_SERVICES)];
}

/* Adds a time to the latency of the service of this index, or to its duration. Not static: so the verifier looks at it once, and not on
 * every way that leads to it. */
__noinline int fl_flow_add_time(struct fl_flow_pod *pod, __u32 service, __u32 is_duration, __u64 ns)
{
	__u64 place = service;

	if (!pod || service >= FL_FLOW_SERVICES) /* the verifier asks for the first */
		return 0;
	place = fl_bounded(place + fl_bank_of(&pod->cut) * FL_FLOW_SERVICES, FL_BANKS * FL_FLOW_SERVICES);
	if (is_duration)
		fl_hist_add_shared(&pod->services[place].duration, ns);
	else
		fl_hist_add_shared(&pod->services[place].latency, ns);
	return 1;
}

/* The connection has requests in this window. */
static __always_inline void fl_flow_active(struct fl_flow_pod *pod, struct fl_flow_connection *conn, struct fl_flow_counters *c)
{
	__u64 gap = conn->gap;

	if (conn->window == pod->window)
		return;
	conn->window = pod->window;
	c->active++;
	if (gap)
		c->gaps[fl_bounded(gap, FL_FLOW_GAP_SLOTS)]++;
}

/* The connection is not measured from here on, and is a gap of this window, in which it need not have asked anything: what shows it
 * may be an answer to what it asked in the one before. */
static __always_inline void fl_flow_unmeasured(struct fl_turn *t, __u32 gap)
{
	struct fl_flow_connection *conn = t->conn;

	if (conn->gap)
		return;
	conn->gap = gap;
	conn->pending_ns = 0;
	conn->asked_ns = 0;
	conn->answer_ns = 0;
	if (conn->window != t->pod->window) {
		conn->window = t->pod->window;
		t->counters->active++;
	}
	t->counters->gaps[gap]++;
}

/* The request under way is not measured, those that follow are. */
static __always_inline void fl_flow_request_missed(struct fl_flow_connection *conn, struct fl_flow_counters *c, __u32 gap)
{
	if (__sync_lock_test_and_set(&conn->pending_ns, 0))
		c->gaps[gap]++;
	conn->asked_ns = 0;
	conn->answer_ns = 0;
	conn->held_ns = 0;
}

/* The answer is over: how long did the request take from its first byte to the answer's last? */
static __always_inline void fl_flow_finish(struct fl_flow_pod *pod, struct fl_flow_connection *conn)
{
	__u64 answer = __sync_lock_test_and_set(&conn->answer_ns, 0);

	if (answer && conn->asked_ns && answer > conn->asked_ns)
		fl_flow_add_time(pod, conn->service, 1, answer - conn->asked_ns);
}

/* The first byte of the answer has come at `when`. 1: a request waited for it. */
static __always_inline int fl_flow_answered(struct fl_turn *t, __u64 when)
{
	struct fl_flow_connection *conn = t->conn;
	__u64 pending = __sync_lock_test_and_set(&conn->pending_ns, 0);

	if (!pending || !fl_flow_add_time(t->pod, conn->service, 0, when > pending ? when - pending : 0))
		return 0;
	conn->answer_ns = when;
	return 1;
}

/* TLS 1.3: the one record after the handshake was the answer, because the client takes its next turn. */
static __always_inline void fl_flow_settle_held(struct fl_turn *t)
{
	__u64 held = t->conn->held_ns;

	if (!held)
		return;
	t->conn->held_ns = 0;
	fl_flow_answered(t, held);
}

/* New data of the client. */
static __always_inline void fl_turn_request(struct fl_turn *t, int how)
{
	struct fl_flow_connection *conn = t->conn;
	int pushed = (t->s->flags & FL_PSH) != 0;

	if (conn->gap)
		return;
	if (conn->pending_ns) {
		if (how == FL_BEGINS ||
		    (how == FL_UNTOLD && conn->pushed &&
		     (t->now - conn->pending_ns > FL_FLOW_SAME_REQUEST_NS || conn->pieces >= FL_FLOW_SHORT_PIECES))) {
			fl_flow_unmeasured(t, FL_GAP_SEVERAL);
			return;
		}
	} else {
		if (how == FL_GOES_ON) /* the rest of a request that was answered early */
			return;
		fl_flow_finish(t->pod, conn);
		conn->asked_ns = t->now;
		conn->flags &= ~(FL_FLOW_OVER | FL_FLOW_MAYBE_ALERT | FL_FLOW_EARLY);
		conn->turn = conn->answer_end;
		conn->pieces = 0;
	}
	conn->pushed = pushed;
	if (pushed && t->s->payload < 1000)
		conn->pieces++;
	conn->pending_ns = t->now;
}

/* New data of the server goes on with an answer. */
static __always_inline void fl_turn_goes_on(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;

	if (conn->answer_ns)
		conn->answer_ns = t->now;
	else if (conn->flags & FL_FLOW_OVER) {
		conn->flags &= ~FL_FLOW_OVER;
		t->counters->gaps[FL_GAP_LATE]++;
	}
}

/* A request waits. Can this segment hold the first byte of its answer? Else a segment before it is still to come. */
static __always_inline int fl_turn_is_first(const struct fl_turn *t)
{
	return !(t->conn->flags & FL_FLOW_KNOWS_ANSWER) || !fl_is_after(t->s->seq, t->conn->turn);
}

/* The server sent this before it had the whole request: it answers an older one. */
static __always_inline int fl_turn_is_older(const struct fl_turn *t)
{
	return fl_is_after(t->conn->request_end, t->s->ack);
}

/* New data of the server, in a protocol that is not known further. */
static __always_inline void fl_turn_answer(struct fl_turn *t)
{
	struct fl_flow_connection *conn = t->conn;

	if (!conn->pending_ns)
		fl_turn_goes_on(t);
	else if (fl_turn_is_older(t))
		fl_flow_unmeasured(t, FL_GAP_SEVERAL);
	else if (fl_turn_is_first(t))
		fl_flow_answered(t, t->now);
}

#endif
