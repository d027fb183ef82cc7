// SPDX-License-Identifier: GPL-2.0-only
/* syscallError: system calls of a pod fail with an errno.
 *
 *   fl_call      fmod_ret on the system call itself; user space loads one more of it for each call
 *   fl_<hook>    a security hook, as LSM program or as fmod_ret on security_<hook>; user space loads those it needs
 *
 * A call that another program or module has refused already keeps its own errno and is not counted. */
#include "syscall.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* long, as the calls are: the upper half of the register counts. */
SEC("fmod_ret")
long BPF_PROG(fl_call, struct pt_regs *regs, int ret)
{
	struct fl_object object = {};
	__u32 index;
	__u64 now;
	int arg;

	if (ret || !fl_in_pod())
		return ret;
	index = fl_index_of(fl_number(regs));
	if (index >= FL_CALLS)
		return 0;
	arg = fl_config.fd_arg[index];
	if (arg >= 0 && (fl_config.path.on || fl_config.fd_kind != FL_FD_ANY)) {
		object.file = fl_file_of((__u32)fl_argument(regs, arg));
		if (!object.file)
			return 0;
	}
	if (!fl_call_hit(index, &object, &now))
		return 0;
	fl_call_done(index, now);
	return fl_config.retval;
}

static __always_inline int fl_hook(__u32 hook, const struct fl_object *object)
{
	__u32 index;
	__u64 now;

	if (!fl_in_pod())
		return 0;
	index = fl_call_at(hook, object);
	if (index >= FL_CALLS || fl_is_kernels_own(object) || !fl_call_hit(index, object, &now))
		return 0;
	fl_call_done(index, now);
	return fl_config.retval;
}

#define FL_LSM "lsm/"
#include "syscall_hooks.bpf.h"
