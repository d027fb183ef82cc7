/* SPDX-License-Identifier: GPL-2.0-only */
/* What the registers of a system call say: its number and its arguments. The one place that knows the architecture. */
#ifndef FAULTLINE_SYSCALL_REGS_BPF_H
#define FAULTLINE_SYSCALL_REGS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* By CO-RE: only what is read. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs { unsigned long di, si, dx, r10, r8, r9, orig_ax; } __attribute__((preserve_access_index));
#else
struct pt_regs { __u64 regs[31]; __u64 orig_x0; __s32 syscallno; } __attribute__((preserve_access_index));
#endif

static __always_inline __u64 fl_argument(struct pt_regs *regs, int n)
{
#if defined(__TARGET_ARCH_x86)
	switch (n) {
	case 0: return BPF_CORE_READ(regs, di);
	case 1: return BPF_CORE_READ(regs, si);
	case 2: return BPF_CORE_READ(regs, dx);
	}
#else
	switch (n) {
	case 0: return BPF_CORE_READ(regs, orig_x0);
	case 1: return BPF_CORE_READ(regs, regs[1]);
	case 2: return BPF_CORE_READ(regs, regs[2]);
	}
#endif
	return 0;
}

static __always_inline __u64 fl_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(regs, orig_ax);
#else
	return (__u32)BPF_CORE_READ(regs, syscallno);
#endif
}

#endif
