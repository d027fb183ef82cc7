/* SPDX-License-Identifier: GPL-2.0-only */
/* Waiting in a sleepable program without holding the CPU: reads a page of our helper process, whose content a file system of
 * our own (agent/faults/page_delay/) answers, with an error, when the time is over. How long it takes is decided there, by the
 * slot of the fault that is written beside the page.
 *
 * Needs Linux 6.2: bpf_task_from_pid(). Include in one file of an object only: it defines fl_waits. */
#ifndef FAULTLINE_PAGE_DELAY_BPF_H
#define FAULTLINE_PAGE_DELAY_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "bounded.bpf.h"
#include "page_delay_abi.h"

struct fl_waits fl_waits;

struct task_struct;
extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

#define FL_WAIT_TRIES 32     /* pages that are tried */
#define FL_WAIT_FEWEST 64ull /* pages that are used */

static __always_inline struct fl_wait_page *fl_wait_page_at(__u32 page)
{
	return &fl_waits.page[fl_bounded(page, FL_WAIT_PAGES)];
}

/* Takes a page that nobody waits at, for a call (its index) that the fault in this slot hit at `now`, from which the delay is
 * counted: two at one page would wait one after the other. Few waiters use few pages over and over, since each that was used
 * stays in the page cache of whose program waited. Who gets one gives it back with fl_wait_release(). FL_WAIT_PAGES: none was
 * free. */
static __always_inline __u32 fl_wait_take(__u32 slot, __u32 index, __u64 now)
{
	__s64 waiting = *(volatile __s64 *)&fl_waits.waiting;
	__u64 used = FL_WAIT_FEWEST;
	__u32 i, page;

	for (i = 0; i < 9; i++) /* to 32768 */
		if (used < FL_WAIT_PAGES && (__s64)used < 4 * waiting)
			used *= 2;
	for (i = 0; i < FL_WAIT_TRIES; i++) {
		page = __sync_fetch_and_add(&fl_waits.next, 1) & (used - 1) & (FL_WAIT_PAGES - 1);
		if (__sync_val_compare_and_swap(&fl_waits.page[page].state, FL_WAIT_FREE, now) != FL_WAIT_FREE)
			continue;
		__sync_fetch_and_add(&fl_waits.waiting, 1);
		/* User space looks at it when it is asked for the page, which comes later. */
		fl_waits.page[page].slot = slot;
		fl_waits.page[page].index = index;
		return page;
	}
	return FL_WAIT_PAGES;
}

static __always_inline void fl_wait_release(__u32 page)
{
	__sync_fetch_and_add(&fl_waits.waiting, -1);
	__sync_lock_test_and_set(&fl_wait_page_at(page)->state, FL_WAIT_FREE);
}

/* Waits at a page that fl_wait_take() gave; it is still to be given back. Returns FL_WAIT_SERVED or FL_WAIT_CUT, else nobody
 * answered and it went on at once. */
static __always_inline __u64 fl_wait_at(__u32 page)
{
	struct task_struct *helper = bpf_task_from_pid(*(volatile __u32 *)&fl_waits.helper);
	char byte;

	if (helper) {
		/* Fails always: the answer is an error, so that the page never has content and can be waited at again. */
		bpf_copy_from_user_task(&byte, 1, (void *)(fl_waits.base + (__u64)page * fl_waits.page_size), helper, 0);
		bpf_task_release(helper);
	}
	return *(volatile __u64 *)&fl_wait_page_at(page)->state;
}

#endif
