/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers and results in a form that the verifier follows. No state. */
#ifndef FAULTLINE_BOUNDED_BPF_H
#define FAULTLINE_BOUNDED_BPF_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

/* Returns `value`, which is below `bound`, a power of two, in a way that the verifier follows. It does not everywhere remember what
 * a number was compared with, and the compiler drops a mask that it knows to change nothing. */
static __always_inline __u64 fl_bounded(__u64 value, __u64 bound)
{
	asm volatile("" : "+r"(value));
	return value & (bound - 1);
}

/* The value of a function that has none but is not inlined. The verifier takes what is left in the register of the result for one, and
 * refuses an address of the stack there; the compiler drops a result that it can tell, or that nobody uses. */
static __always_inline int fl_done(void)
{
	int done = 0;

	asm volatile("" : "+r"(done));
	return done;
}

static __always_inline void fl_did(int done)
{
	asm volatile("" : : "r"(done));
}

/* Returns the errno, -4095..-1, that a program's answer holds, or 0: the verifier wants to see that a hook returns nothing else. */
static __always_inline __s64 fl_errno_of(const __s64 *answer)
{
	__s64 retval = *(const volatile __s64 *)answer;

	return retval >= -4095 && retval < 0 ? retval : 0;
}

#endif
