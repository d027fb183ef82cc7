/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What page_delay.bpf.h and agent/faults/page_delay/ share: .bss fl_waits. As fault_abi.h: explicit padding, sizes asserted in
 * both compilers. */
#ifndef FAULTLINE_PAGE_DELAY_ABI_H
#define FAULTLINE_PAGE_DELAY_ABI_H

#include "fault_abi.h"

#define FL_WAIT_PAGES 8192u /* that can be waited at; a power of two */

/* fl_waits.page[]: a page is free, was just answered, or somebody waits at it since that ktime. */
#define FL_WAIT_FREE 0ull
#define FL_WAIT_SERVED 1ull /* its delay is over */
#define FL_WAIT_CUT 2ull    /* answered early: killed, lease over, fault ended */
#define FL_WAIT_SINCE 16ull /* from here on it is a time */

struct fl_waits {
	__u64 base;      /* of the pages, in the helper's memory */
	__u32 helper;    /* its process id in the first pid namespace; 0: nobody waits */
	__u32 page_size;
	__u64 next;      /* page that the next one tries first */
	__s64 waiting;   /* now */
	__u64 cut;       /* waits that ended early */
	__u64 errors;    /* nobody answered, or no page was free: went on at once */
	__u64 _pad;
	struct fl_hist served; /* how long those lasted that did not end early */
	__u64 page[FL_WAIT_PAGES];
};

FL_STATIC_ASSERT((FL_WAIT_PAGES & (FL_WAIT_PAGES - 1)) == 0, "FL_WAIT_PAGES");
FL_STATIC_ASSERT(offsetof(struct fl_waits, next) == 16, "fl_waits.next");
FL_STATIC_ASSERT(offsetof(struct fl_waits, served) == 56, "fl_waits.served");
FL_STATIC_ASSERT(offsetof(struct fl_waits, page) == 56 + sizeof(struct fl_hist), "fl_waits.page");
FL_STATIC_ASSERT(sizeof(struct fl_hist) % 8 == 0, "fl_hist before fl_waits.page");

#endif
