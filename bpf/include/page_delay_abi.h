/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What page_delay.bpf.h and agent/faults/page_delay/ share: .bss fl_waits. As fault_abi.h: explicit padding, sizes asserted in
 * both compilers. */
#ifndef FAULTLINE_PAGE_DELAY_ABI_H
#define FAULTLINE_PAGE_DELAY_ABI_H

#include "fault_abi.h"

#define FL_WAIT_PAGES 32768u /* that can be waited at on a node; a power of two */

/* fl_wait_page.state: the page is free, was just answered, or is taken for a call that was hit at that ktime. */
#define FL_WAIT_FREE 0ull
#define FL_WAIT_SERVED 1ull /* its delay is over */
#define FL_WAIT_CUT 2ull    /* answered early: killed, lease over, fault ended */
#define FL_WAIT_SINCE 16ull /* from here on it is a time */

struct fl_wait_page {
	__u64 state; /* FL_WAIT_*; programs take a page and give it back, user space writes only the answer */
	__u16 slot;  /* of the fault that delays who waits here; it decides how long */
	__u8 index;  /* of the call, in that fault */
	__u8 _pad;
	__u32 next;  /* page for the same call, of the programs only; FL_WAIT_PAGES: none */
};

struct fl_waits {
	__u64 base;      /* of the pages, in the helper's memory */
	__u32 helper;    /* its process id in the first pid namespace; 0: nobody waits */
	__u32 page_size;
	__u64 next;      /* page that the next one tries first */
	__s64 waiting;   /* pages that are taken now */
	struct fl_wait_page page[FL_WAIT_PAGES];
};

FL_STATIC_ASSERT((FL_WAIT_PAGES & (FL_WAIT_PAGES - 1)) == 0, "FL_WAIT_PAGES");
FL_STATIC_ASSERT(sizeof(struct fl_wait_page) == 16, "fl_wait_page");
FL_STATIC_ASSERT(offsetof(struct fl_wait_page, slot) == 8 && offsetof(struct fl_wait_page, index) == 10 && offsetof(struct fl_wait_page, next) == 12, "fl_wait_page");
FL_STATIC_ASSERT(offsetof(struct fl_waits, next) == 16, "fl_waits.next");
FL_STATIC_ASSERT(offsetof(struct fl_waits, page) == 32, "fl_waits.page");

#endif
