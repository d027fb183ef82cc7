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

#define FL_WAIT_TRIES 32    /* pages that are tried */
#define FL_WAIT_FEWEST 64ull /* pages that are used */

/* Takes a page that nobody waits at: two at one page would wait one after the other. Few waiters use few pages over and over,
 * since each that was used stays in the page cache of whose program waited. FL_WAIT_PAGES: none was free. */
static __always_inline __u32 fl_wait_page(__u64 now)
{
	__u64 used = FL_WAIT_FEWEST, waiting = *(volatile __s64 *)&fl_waits.waiting;
	__u32 i, page;

	for (i = 0; i < 7; i++) /* to 8192 */
		if (used < FL_WAIT_PAGES && used < 4 * waiting)
			used *= 2;
	for (i = 0; i < FL_WAIT_TRIES; i++) {
		page = __sync_fetch_and_add(&fl_waits.next, 1) & (used - 1) & (FL_WAIT_PAGES - 1);
		if (__sync_val_compare_and_swap(&fl_waits.page[page], FL_WAIT_FREE, now) == FL_WAIT_FREE)
			return page;
	}
	return FL_WAIT_PAGES;
}

/* Waits. now: bpf_ktime_get_ns(), from which the delay is counted. 1: it did, or was freed early; 0: went on at once, and was
 * counted as an error. */
static __always_inline int fl_wait(__u64 now)
{
	struct task_struct *helper;
	__u32 page = FL_WAIT_PAGES;
	__u64 outcome;
	char byte;

	helper = bpf_task_from_pid(*(volatile __u32 *)&fl_waits.helper);
	if (!helper)
		goto error;
	page = fl_wait_page(now);
	if (page >= FL_WAIT_PAGES) {
		bpf_task_release(helper);
		goto error;
	}
	__sync_fetch_and_add(&fl_waits.waiting, 1);
	/* Fails always: the answer is an error, so that the page never has content and can be waited at again. */
	bpf_copy_from_user_task(&byte, 1, (void *)(fl_waits.base + (__u64)page * fl_waits.page_size), helper, 0);
	__sync_fetch_and_add(&fl_waits.waiting, -1);
	bpf_task_release(helper);
	outcome = __sync_lock_test_and_set(&fl_waits.page[page & (FL_WAIT_PAGES - 1)], FL_WAIT_FREE);
	if (outcome == FL_WAIT_SERVED)
		fl_hist_add_shared(&fl_waits.served, bpf_ktime_get_ns() - now);
	else if (outcome == FL_WAIT_CUT)
		__sync_fetch_and_add(&fl_waits.cut, 1);
	else
		goto error;
	return 1;
error:
	__sync_fetch_and_add(&fl_waits.errors, 1);
	return 0;
}

#endif
