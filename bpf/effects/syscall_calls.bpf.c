// SPDX-License-Identifier: GPL-2.0-only
/* syscall_calls: how long the system calls of pods take, and how they end. One pair of programs a call serves all pods of the node;
 * user space loads one more pair for each call that is asked for. What other programs make of the return value is seen, and what they
 * wait as far as they run between the two. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#define FL_CUT_IN_SLOTS
#include "cut.bpf.h"
#include "hist.bpf.h"
#include "syscall_calls_abi.h"
#include "syscall_regs.bpf.h"
#include "task_slots.bpf.h"

char LICENSE[] SEC("license") = "GPL";

FL_SLOT_ARRAY(struct fl_call_watch);

/* The effects of one pod, struct fl_call_effect, as many as it has calls. By their sizes: of a type that is named here only the
 * compiler would not tell libbpf. */
struct fl_effects_of_pod {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_BANKS);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct fl_call_effect));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, FL_SLOTS);
	__type(key, __u32);
	__array(values, struct fl_effects_of_pod);
} fl_call_effects SEC(".maps");

/* By thread: when its call began, ktime; 0: it has returned. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} fl_call_begun SEC(".maps");

/* Where there is no memory for it the return is one whose beginning was not seen. */
SEC("fentry")
int BPF_PROG(fl_call_in, struct pt_regs *regs)
{
	__u64 *begun;

	if (!fl_slots_of_task())
		return 0;
	begun = bpf_task_storage_get(&fl_call_begun, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (begun)
		*begun = bpf_ktime_get_ns();
	return 0;
}

/* A call that returns, for which the slots of its task are asked. */
struct fl_returned {
	const struct fl_task_slots *slots;
	__u64 number;
	__u64 began_ns; /* 0: not seen */
	__u64 now_ns;
	long value;
};

static __always_inline void fl_count_return(const struct fl_returned *call, struct fl_call_effect *effect)
{
	__u32 error;

	fl_hist_add_shared(&effect->latency, call->now_ns - call->began_ns);
	/* From 512 on (ERESTARTSYS ...) the program does not see them: the kernel makes the call again. */
	if (call->value >= 0 || call->value <= -512)
		return;
	error = -call->value < FL_CALL_ERRNOS ? (__u32)-call->value : 0;
	__sync_fetch_and_add(&effect->failed[fl_bounded(error, FL_CALL_ERRNOS)], 1);
}

/* Always 0: each slot is asked. */
static int fl_show_to_slot(__u32 n, struct fl_returned *call)
{
	struct fl_call_watch *watch = fl_slot_on_task(&fl_slots, call->slots, n);
	struct fl_call_effect *effect;
	__u32 index, slot, entry;
	void *effects;

	if (!watch || call->number >= FL_CALL_NUMBERS)
		return 0;
	index = watch->index_of[fl_bounded(call->number, FL_CALL_NUMBERS)];
	if (index >= FL_CALLS)
		return 0;
	if (call->began_ns < watch->since_ns) {
		__sync_fetch_and_add(&watch->missed, 1);
		return 0;
	}
	slot = watch->effects;
	effects = bpf_map_lookup_elem(&fl_call_effects, &slot);
	if (!effects)
		return 0;
	entry = FL_BANKS * index + fl_bank_of(&watch->cut);
	effect = bpf_map_lookup_elem(effects, &entry);
	if (effect)
		fl_count_return(call, effect);
	return 0;
}

/* For a task that has slots: what it makes ready costs the others nothing. */
static __always_inline void fl_show_return(const struct fl_task_slots *slots, struct pt_regs *regs, long value)
{
	struct fl_returned call = { .slots = slots, .number = fl_number(regs), .value = value };
	__u64 *begun;

	begun = bpf_task_storage_get(&fl_call_begun, bpf_get_current_task_btf(), 0, 0);
	if (begun) {
		call.began_ns = *begun;
		*begun = 0; /* so that no later return is taken for this one's */
	}
	call.now_ns = bpf_ktime_get_ns();
	bpf_loop(slots->count, fl_show_to_slot, &call, 0);
}

SEC("fexit")
int BPF_PROG(fl_call_out, struct pt_regs *regs, long ret)
{
	const struct fl_task_slots *slots = fl_slots_of_task();

	if (slots)
		fl_show_return(slots, regs, ret);
	return 0;
}
