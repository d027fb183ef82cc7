/* SPDX-License-Identifier: GPL-2.0-only */
/* syscallLatency once a call is hit: the programs are within the slot of a fault, and have the call wait or spin. Include in one file
 * of an object only, after fl_slots: it defines fl_latencies, fl_inside and fl_afters.
 *
 * Programs sleep within a slot, so user space cannot wait until they have ended. Who looks at a slot enters it first (fl_inside)
 * and then looks whether it is on this task and armed; user space first ends the lease, then looks whether anybody is inside, and
 * only if nobody is gives the slot to another fault. A page that is taken for a call keeps its fault's slot, too. */
#ifndef FAULTLINE_LATENCY_SLOTS_BPF_H
#define FAULTLINE_LATENCY_SLOTS_BPF_H

#include "hist.bpf.h"
#include "page_delay.bpf.h"
#include "syscall.bpf.h"
#include "syscall_latency_abi.h"
#include "task_slots.bpf.h"

/* .bss, mmapped */
struct fl_latency_slot fl_latencies[FL_SLOTS];
__u32 fl_inside[FL_SLOTS]; /* programs and pages that use the slot; never set by user space */

/* ---- within a slot --------------------------------------------------------------------------------------------------- */

static __always_inline struct fl_latency_slot *fl_latency_of(__u32 slot)
{
	return &fl_latencies[fl_bounded(slot, FL_SLOTS)];
}

/* Returns how many were inside before. */
static __always_inline __u32 fl_enter(__u32 slot)
{
	return __sync_fetch_and_add(&fl_inside[fl_bounded(slot, FL_SLOTS)], 1);
}

static __always_inline void fl_leave(__u32 slot)
{
	__sync_fetch_and_add(&fl_inside[fl_bounded(slot, FL_SLOTS)], -1);
}

static __always_inline void fl_error(struct fl_call_fault *fault)
{
	__sync_fetch_and_add(&fault->counters.errors, 1);
}

/* Of a slot that was entered: its fault, if it is on this task and delays in this way (FL_WAY_*). */
static __always_inline struct fl_call_fault *fl_fault_on_task(__u32 slot, __u32 way)
{
	struct fl_call_fault *fault = fl_slot_if_on_task(&fl_slots, slot);

	return fault && fl_latency_of(slot)->way == way ? fault : NULL;
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

/* A call that was hit by the fault in a slot, which the program is within. */
struct fl_hit {
	struct fl_call_fault *fault;
	__u64 since;
	__u32 slot;
	__u32 index;
};

/* Takes a page for a call (its index) that the fault in this slot hit. FL_WAIT_PAGES: there is none, which is counted. A page that is
 * taken keeps the slot until fl_give_page(). Not inlined, so that the verifier goes through it once a program. */
__noinline __u32 fl_take_page(__u32 slot, __u32 index, __u64 since)
{
	struct fl_call_fault *fault;
	__u32 page = FL_WAIT_PAGES;

	if (fl_enter(slot) < FL_WAITS_OF_FAULT)
		page = fl_wait_take(slot, index, since);
	if (page >= FL_WAIT_PAGES) {
		fault = bpf_map_lookup_elem(&fl_slots, &slot);
		if (fault)
			fl_error(fault);
		fl_leave(slot);
	}
	return page;
}

static __always_inline void fl_give_page(__u32 page, __u32 slot)
{
	fl_wait_release(page);
	fl_leave(slot);
}

/* Waits at the page and counts it; it is still to be given back. */
static __always_inline void fl_wait(const struct fl_hit *hit, __u32 page)
{
	__u64 outcome = fl_wait_at(page);

	if (outcome == FL_WAIT_SERVED)
		fl_hist_add_shared(&fl_latency_of(hit->slot)->served, bpf_ktime_get_ns() - hit->since);
	if (outcome == FL_WAIT_SERVED || outcome == FL_WAIT_CUT)
		fl_call_done(hit->fault, hit->index, hit->since);
	else
		fl_error(hit->fault);
}

static __always_inline void fl_wait_now(const struct fl_hit *hit)
{
	__u32 page = fl_take_page(hit->slot, hit->index, hit->since);

	if (page >= FL_WAIT_PAGES)
		return;
	fl_wait(hit, page);
	fl_give_page(page, hit->slot);
}

/* ---- when the task leaves the kernel --------------------------------------------------------------------------------- */

struct bpf_map { __u32 id; } __attribute__((preserve_access_index));
struct bpf_task_work { __u64 opaque; } __attribute__((aligned(8))); /* the kernel knows it by its name */

struct fl_after {
	struct bpf_task_work work;
};

/* By page. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_WAIT_PAGES);
	__type(key, __u32);
	__type(value, struct fl_after);
} fl_afters SEC(".maps");

static int (*const fl_schedule)(struct task_struct *task, struct bpf_task_work *work, void *map,
				int (*then)(struct bpf_map *map, void *key, void *value), void *program) = (void *)FL_CALL_SCHEDULE;

static int fl_after_call(struct bpf_map *map, void *key, void *value)
{
	__u32 page = *(__u32 *)key, slot;
	struct fl_wait_page *at = fl_wait_page_at(page);
	struct fl_hit hit = { .since = at->state, .slot = at->slot, .index = at->index };

	slot = hit.slot;
	hit.fault = bpf_map_lookup_elem(&fl_slots, &slot);
	/* The fault may have ended while the call went on. */
	if (hit.fault && fl_lease_may_be_armed(&hit.fault->lease))
		fl_wait(&hit, page);
	fl_give_page(page, slot);
	return 0;
}

/* Takes a page for the hit, before the one in *first, which becomes the first of the call. */
static __always_inline void fl_wait_later(const struct fl_hit *hit, __u32 *first)
{
	__u32 page = fl_take_page(hit->slot, hit->index, hit->since);

	if (page >= FL_WAIT_PAGES)
		return;
	fl_wait_page_at(page)->next = *first;
	*first = page;
}

/* Has the task wait at these pages when it leaves the kernel. To be called by a program itself: user space puts the kernel's
 * function in place of FL_CALL_SCHEDULE before libbpf has added the functions of ours that are not inlined. */
static __always_inline void fl_schedule_waits(__u32 page)
{
	struct fl_call_fault *fault;
	struct fl_after *after;
	__u32 i, next, slot;

	for (i = 0; i < FL_SLOTS_OF_TASK; i++) {
		after = bpf_map_lookup_elem(&fl_afters, &page);
		if (!after) /* there is no further page */
			return;
		next = fl_wait_page_at(page)->next;
		slot = fl_wait_page_at(page)->slot;
		if (fl_schedule(bpf_get_current_task_btf(), &after->work, &fl_afters, fl_after_call, NULL)) {
			fault = bpf_map_lookup_elem(&fl_slots, &slot);
			if (fault)
				fl_error(fault);
			fl_give_page(page, slot);
		}
		page = next;
	}
}

/* ---- now, with the CPU ----------------------------------------------------------------------------------------------- */

#define FL_SPIN_STEPS (1 << 22) /* more than 1 ms anywhere */

struct fl_spin {
	__u64 until;
};

static int fl_spin_step(__u32 i, struct fl_spin *spin)
{
	return bpf_ktime_get_ns() >= spin->until;
}

static __always_inline void fl_spin(const struct fl_hit *hit)
{
	struct fl_latency_slot *latency = fl_latency_of(hit->slot);
	__u64 n = __sync_fetch_and_add(&fl_waits.next, 1);
	struct fl_spin spin = { .until = hit->since + latency->spin_ns[n & (FL_SPINS - 1)] };

	bpf_loop(FL_SPIN_STEPS, fl_spin_step, &spin, 0);
	fl_hist_add_shared(&latency->served, bpf_ktime_get_ns() - hit->since);
	fl_call_done(hit->fault, hit->index, hit->since);
}

#endif
