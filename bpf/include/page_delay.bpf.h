/* SPDX-License-Identifier: GPL-2.0-only */
/* Waiting in a sleepable program without holding the CPU: reads a page of our helper process, whose content a file system of
 * our own (agent/faults/page_delay/) answers, with an error, when the time is over. How long it takes is decided there.
 *
 * Needs Linux 6.2: bpf_task_from_pid(). Include in one file of an object only: it defines fl_waits. */
#ifndef FAULTLINE_PAGE_DELAY_BPF_H
#define FAULTLINE_PAGE_DELAY_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "hist.bpf.h"
#include "page_delay_abi.h"

struct fl_waits fl_waits;

struct task_struct;
extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

#define FL_WAIT_TRIES 32     /* pages that are tried */
#define FL_WAIT_FEWEST 64ull /* pages that are used */

static __always_inline void fl_wait_error(void)
{
	__sync_fetch_and_add(&fl_waits.errors, 1);
}

/* Takes a page that nobody waits at: two at one page would wait one after the other. Few waiters use few pages over and over,
 * since each that was used stays in the page cache of whose program waited. now: bpf_ktime_get_ns(), from which the delay is
 * counted. Who gets one calls fl_wait_at() or fl_wait_release(). FL_WAIT_PAGES: none was free, which is counted. */
static __always_inline __u32 fl_wait_page(__u64 now)
{
	__u64 used = FL_WAIT_FEWEST;
	__s64 waiting = *(volatile __s64 *)&fl_waits.waiting;
	__u32 i, page;

	for (i = 0; i < 7; i++) /* to 8192 */
		if (used < FL_WAIT_PAGES && (__s64)used < 4 * waiting)
			used *= 2;
	for (i = 0; i < FL_WAIT_TRIES; i++) {
		page = __sync_fetch_and_add(&fl_waits.next, 1) & (used - 1) & (FL_WAIT_PAGES - 1);
		if (__sync_val_compare_and_swap(&fl_waits.page[page], FL_WAIT_FREE, now) == FL_WAIT_FREE) {
			__sync_fetch_and_add(&fl_waits.waiting, 1);
			return page;
		}
	}
	fl_wait_error();
	return FL_WAIT_PAGES;
}

/* What became of it, FL_WAIT_*. */
static __always_inline __u64 fl_wait_release(__u32 page)
{
	__sync_fetch_and_add(&fl_waits.waiting, -1);
	return __sync_lock_test_and_set(&fl_waits.page[page & (FL_WAIT_PAGES - 1)], FL_WAIT_FREE);
}

/* Waits at a page that fl_wait_page(since) gave, and gives it back. 1: it waited, or was freed early; 0: went on at once, which
 * is counted. */
static __always_inline int fl_wait_at(__u32 page, __u64 since)
{
	struct task_struct *helper = bpf_task_from_pid(*(volatile __u32 *)&fl_waits.helper);
	__u64 outcome;
	char byte;

	page &= FL_WAIT_PAGES - 1;
	if (helper) {
		/* Fails always: the answer is an error, so that the page never has content and can be waited at again. */
		bpf_copy_from_user_task(&byte, 1, (void *)(fl_waits.base + (__u64)page * fl_waits.page_size), helper, 0);
		bpf_task_release(helper);
	}
	outcome = fl_wait_release(page);
	if (outcome == FL_WAIT_SERVED)
		fl_hist_add_shared(&fl_waits.served, bpf_ktime_get_ns() - since);
	else if (outcome == FL_WAIT_CUT)
		__sync_fetch_and_add(&fl_waits.cut, 1);
	else
		fl_wait_error();
	return outcome == FL_WAIT_SERVED || outcome == FL_WAIT_CUT;
}

#endif
