// SPDX-License-Identifier: GPL-2.0-only
/* syscallError: system calls of pods fail with an errno. One program a hook serves all faults of the node:
 *
 *   fl_call      fmod_ret on the system call itself; user space loads one more of it for each call
 *   fl_<hook>    a security hook, as LSM program or as fmod_ret on security_<hook>; user space loads those it needs
 *
 * The faults on a task are asked in the order in which they were armed. The first that hits gives the call its errno, and those
 * behind it do not see the call. A call that another program or module has refused already keeps its own errno and is not counted. */
#include "syscall.bpf.h"
#include "call_faults.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* What the faults of a task are asked, one after the other. */
struct fl_question {
	const struct fl_task_faults *faults;
	struct pt_regs *regs;           /* on the call */
	const struct fl_object *object; /* at a hook */
	__u64 number;
	__u32 hook;
	__s64 retval; /* the answer: what the call returns; 0: none hits it */
};

/* Both return 1 when no further fault is to be asked. */
static int fl_ask_on_call(__u32 n, struct fl_question *question)
{
	struct fl_call_fault *fault = fl_fault_on_task(question->faults, n);
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
	struct fl_call_fault *fault = fl_fault_on_task(question->faults, n);
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

/* The verifier wants to see that a hook returns an errno or 0. */
static __always_inline __s64 fl_errno_of(const struct fl_question *question)
{
	__s64 retval = *(volatile __s64 *)&question->retval;

	return retval >= -4095 && retval < 0 ? retval : 0;
}

/* Both are for a task that has faults: what they make ready costs the others nothing. */
static __always_inline __s64 fl_answer_on_call(const struct fl_task_faults *faults, struct pt_regs *regs)
{
	struct fl_question question = { .faults = faults, .regs = regs, .number = fl_number(regs) };

	bpf_loop(faults->count, fl_ask_on_call, &question, 0);
	return fl_errno_of(&question);
}

static __always_inline __s64 fl_answer_at_hook(const struct fl_task_faults *faults, __u32 hook, const struct fl_object *object)
{
	struct fl_question question = { .faults = faults, .object = object, .number = fl_number_of_task(), .hook = hook };

	bpf_loop(faults->count, fl_ask_at_hook, &question, 0);
	return fl_errno_of(&question);
}

/* long, as the calls are: the upper half of the register counts. */
SEC("fmod_ret")
long BPF_PROG(fl_call, struct pt_regs *regs, int ret)
{
	const struct fl_task_faults *faults;

	if (ret)
		return ret;
	faults = fl_faults_of_task();
	return faults ? fl_answer_on_call(faults, regs) : 0;
}

static __always_inline int fl_hook(__u32 hook, const struct fl_object *object)
{
	const struct fl_task_faults *faults = fl_faults_of_task();

	return faults ? fl_answer_at_hook(faults, hook, object) : 0;
}

#define FL_LSM "lsm/"
#include "syscall_hooks.bpf.h"
