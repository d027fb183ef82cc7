// SPDX-License-Identifier: GPL-2.0-only
/* syscallError: system calls of pods fail with an errno. One program a hook serves all faults of the node:
 *
 *   fl_call      fmod_ret on the system call itself; user space loads one more of it for each call
 *   fl_<hook>    a security hook, as LSM program or as fmod_ret on security_<hook>; user space loads those it needs
 *
 * The faults on a task are asked in the order in which they were armed. The first that hits gives the call its errno, and those
 * behind it do not see the call. A call that another program or module has refused already keeps its own errno and is not counted. */
#include "syscall.bpf.h"
#include "task_slots.bpf.h"

char LICENSE[] SEC("license") = "GPL";

FL_SLOT_ARRAY(struct fl_call_fault);

/* What the faults of a task are asked, one after the other. */
struct fl_question {
	const struct fl_task_slots *slots;
	struct pt_regs *regs;           /* on the call */
	const struct fl_object *object; /* at a hook */
	__u64 number;
	__u32 hook;
	__s64 retval; /* the answer: what the call returns; 0: none hits it */
};

/* Both return 1 when no further fault is to be asked. */
static int fl_ask_on_call(__u32 n, struct fl_question *question)
{
	struct fl_call_fault *fault = fl_slot_on_task(&fl_slots, question->slots, n);
	__u32 index;
	__u64 now;

	if (!fault)
		return 0;
	index = fl_index_of(fault, question->number);
	if (index >= FL_CALLS || !(fault->config.on_call >> index & 1))
		return 0;
	if (!fl_registers_hit(fault, question->regs, index, &now))
		return 0;
	fl_call_done(fault, index, now);
	question->retval = fault->config.retval;
	return 1;
}

static int fl_ask_at_hook(__u32 n, struct fl_question *question)
{
	struct fl_call_fault *fault = fl_slot_on_task(&fl_slots, question->slots, n);
	const struct fl_object *object = question->object;
	__u32 index;
	__u64 now;

	if (!fault)
		return 0;
	index = fl_call_at(fault, question->hook, question->number, object);
	if (index >= FL_CALLS || fl_is_kernels_own(object) || !fl_call_hit(fault, index, object, &now))
		return 0;
	fl_call_done(fault, index, now);
	question->retval = fault->config.retval;
	return 1;
}

/* Both are for a task that has faults: what they make ready costs the others nothing. */
static __always_inline __s64 fl_answer_on_call(const struct fl_task_slots *slots, struct pt_regs *regs)
{
	struct fl_question question = { .slots = slots, .regs = regs, .number = fl_number(regs) };

	bpf_loop(slots->count, fl_ask_on_call, &question, 0);
	return fl_errno_of(&question.retval);
}

static __always_inline __s64 fl_answer_at_hook(const struct fl_task_slots *slots, __u32 hook, const struct fl_object *object)
{
	struct fl_question question = { .slots = slots, .object = object, .number = fl_number_of_task(), .hook = hook };

	bpf_loop(slots->count, fl_ask_at_hook, &question, 0);
	return fl_errno_of(&question.retval);
}

/* long, as the calls are: the upper half of the register counts. */
SEC("fmod_ret")
long BPF_PROG(fl_call, struct pt_regs *regs, int ret)
{
	const struct fl_task_slots *slots;

	if (ret)
		return ret;
	slots = fl_slots_of_task();
	return slots ? fl_answer_on_call(slots, regs) : 0;
}

static __always_inline int fl_hook(__u32 hook, const struct fl_object *object)
{
	const struct fl_task_slots *slots = fl_slots_of_task();

	return slots ? fl_answer_at_hook(slots, hook, object) : 0;
}

#define FL_LSM "lsm/"
#include "syscall_hooks.bpf.h"
