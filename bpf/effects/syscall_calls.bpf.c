// SPDX-License-Identifier: GPL-2.0-only
/* syscall_calls: how long the system calls of a pod take, and how they end. User space loads a pair of these for each call that is
 * asked for. What other programs make of the return value is seen, and what they wait as far as they run between the two. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "cut.bpf.h"
#include "hist.bpf.h"
#include "syscall_abi.h"
#include "syscall_regs.bpf.h"

char LICENSE[] SEC("license") = "GPL";

const volatile __u8 fl_index_of[FL_CALL_NUMBERS]; /* by number of the call: index, or FL_CALL_NONE */
struct fl_call_effect fl_call_effects[FL_BANKS][FL_CALLS]; /* .bss, mmapped */
__u64 fl_call_missed;                             /* returns whose beginning was not seen */
__u64 fl_call_full;                               /* calls that fl_call_begun had no room for */

/* One entry: the pod's cgroup. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} fl_pod SEC(".maps");

/* By thread: when its call began. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FL_CALL_UNDER_WAY);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
} fl_call_begun SEC(".maps");

SEC("fentry")
int BPF_PROG(fl_call_in, struct pt_regs *regs)
{
	__u32 thread;
	__u64 now;

	if (bpf_current_task_under_cgroup(&fl_pod, 0) != 1)
		return 0;
	thread = (__u32)bpf_get_current_pid_tgid();
	now = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&fl_call_begun, &thread, &now, BPF_ANY))
		__sync_fetch_and_add(&fl_call_full, 1);
	return 0;
}

SEC("fexit")
int BPF_PROG(fl_call_out, struct pt_regs *regs, long ret)
{
	struct fl_call_effect *effect;
	__u64 *begun, began;
	__u32 thread, index, error;
	__u64 number;

	if (bpf_current_task_under_cgroup(&fl_pod, 0) != 1)
		return 0;
	number = fl_number(regs);
	index = number < FL_CALL_NUMBERS ? fl_index_of[number] : FL_CALL_NONE;
	if (index >= FL_CALLS)
		return 0;
	thread = (__u32)bpf_get_current_pid_tgid();
	begun = bpf_map_lookup_elem(&fl_call_begun, &thread);
	if (!begun) {
		__sync_fetch_and_add(&fl_call_missed, 1);
		return 0;
	}
	began = *begun;
	bpf_map_delete_elem(&fl_call_begun, &thread);
	effect = &fl_call_effects[fl_bank() & 1][index];
	fl_hist_add_shared(&effect->latency, bpf_ktime_get_ns() - began);
	/* From 512 on (ERESTARTSYS ...) the program does not see them: the kernel makes the call again. */
	if (ret >= 0 || ret <= -512)
		return 0;
	error = -ret < FL_CALL_ERRNOS ? (__u32)-ret : 0;
	asm volatile("" : "+r"(error)); /* else the compiler drops the mask that the verifier of 6.1 needs */
	__sync_fetch_and_add(&effect->failed[error & (FL_CALL_ERRNOS - 1)], 1);
	return 0;
}
