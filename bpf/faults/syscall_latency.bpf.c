// SPDX-License-Identifier: GPL-2.0-only
/* syscallLatency: system calls of a pod take longer. How a program waits is page_delay.bpf.h; where, one of:
 *
 *   fl_call_work   fentry on the call; a function of ours waits when the task leaves the kernel
 *   fl_call_mark   fentry on the call, which marks the task, and
 *   fl_call_exit   fexit on it, which waits. Of a tracing program only one runs at a time on a CPU, also while it sleeps, so user
 *                  space attaches several; who finds none of them free goes on at once and is counted as an error
 *   fl_<hook>      a security hook, which does what the first does, or waits there: LSM programs have no such bound. The kernel
 *                  may hold a lock there for which others would wait, too: user space takes only hooks where it holds none
 *                  (SecurityHook::held), and fl_open_holds_lock() tells the opens that are made under one
 *   fl_call_spin   fentry on the call, which holds the CPU
 *
 * The kernel does not run a tracing program where another task of this CPU was interrupted in it. Therefore fl_late_work and
 * fl_late_mark, by fexit, do for those calls what the program at the beginning did not.
 *
 * User space loads one more of each for each call. */
#include "syscall.bpf.h"
#include "in_pod.bpf.h"
#include "page_delay.bpf.h"
#include "syscall_latency_abi.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct fl_latency_config fl_latency;

/* One: each fault loads programs of its own. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct fl_call_fault);
} fl_faults SEC(".maps");

/* NULL cannot happen for a one-entry array; the verifier wants it checked. */
static __always_inline struct fl_call_fault *fl_fault(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fl_faults, &zero);
}

struct fl_mark {
	__u64 since; /* fl_call_mark: 0: nobody is to wait */
	__u32 index;
	__u32 seen;  /* the program at the call's beginning ran */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fl_mark);
} fl_marks SEC(".maps");

/* ---- is it one? ------------------------------------------------------------------------------------------------------ */

/* Each call is looked at once: at its beginning, or late. NULL: this is not one. */
static __always_inline struct fl_mark *fl_first_look(struct pt_regs *regs, bool late, __u64 *now)
{
	struct fl_call_fault *fault = fl_fault();
	struct fl_mark *mark;
	__u32 index;

	if (!fault || !fl_in_pod())
		return NULL;
	index = fl_index_of(fault, fl_number(regs));
	if (index >= FL_CALLS)
		return NULL;
	mark = bpf_task_storage_get(&fl_marks, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!mark) {
		fl_wait_error();
		return NULL;
	}
	if (late && mark->seen) {
		mark->seen = 0;
		return NULL;
	}
	mark->seen = !late;
	if (!fl_registers_hit(fault, regs, index, now))
		return NULL;
	mark->index = index;
	return mark;
}

/* ---- when the task leaves the kernel --------------------------------------------------------------------------------- */

struct bpf_map { __u32 id; } __attribute__((preserve_access_index));
struct bpf_task_work { __u64 opaque; } __attribute__((aligned(8))); /* the kernel knows it by its name */

struct fl_after {
	struct bpf_task_work work;
	__u64 since;
	__u32 index;
	__u32 _pad;
};

/* By page. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FL_WAIT_PAGES);
	__type(key, __u32);
	__type(value, struct fl_after);
} fl_afters SEC(".maps");

static int (*const fl_schedule)(struct task_struct *task, struct bpf_task_work *work, void *map,
				int (*then)(struct bpf_map *map, void *key, void *value), void *program) = (void *)FL_CALL_SCHEDULE;

static int fl_after_call(struct bpf_map *map, void *key, void *value)
{
	struct fl_call_fault *fault = fl_fault();
	struct fl_after *after = value;
	__u32 page = *(__u32 *)key;

	if (fl_wait_at(page, after->since) && fault)
		fl_call_done(fault, after->index, after->since);
	return 0;
}

/* Has the task wait, when it leaves the kernel, for a call that was hit at `now`. */
static __always_inline void fl_wait_after(__u32 index, __u64 now)
{
	struct fl_after *after;
	__u32 page = fl_wait_page(now);

	after = bpf_map_lookup_elem(&fl_afters, &page);
	if (!after) /* there was no page */
		return;
	after->since = now;
	after->index = index;
	if (fl_schedule(bpf_get_current_task_btf(), &after->work, &fl_afters, fl_after_call, NULL)) {
		fl_wait_release(page);
		fl_wait_error();
	}
}

static __always_inline void fl_wait_by_work(struct pt_regs *regs, bool late)
{
	struct fl_mark *mark;
	__u64 now;

	mark = fl_first_look(regs, late, &now);
	if (mark)
		fl_wait_after(mark->index, now);
}

SEC("fentry")
int BPF_PROG(fl_call_work, struct pt_regs *regs)
{
	fl_wait_by_work(regs, false);
	return 0;
}

SEC("fexit")
int BPF_PROG(fl_late_work, struct pt_regs *regs, long ret)
{
	fl_wait_by_work(regs, true);
	return 0;
}

/* ---- at the end of the call ------------------------------------------------------------------------------------------ */

static __always_inline void fl_wait_by_mark(struct pt_regs *regs, bool late)
{
	struct fl_mark *mark;
	__u64 now;

	mark = fl_first_look(regs, late, &now);
	if (!mark)
		return;
	if (mark->since) /* none was free for the call before this one */
		fl_wait_error();
	mark->since = now;
}

SEC("fentry")
int BPF_PROG(fl_call_mark, struct pt_regs *regs)
{
	fl_wait_by_mark(regs, false);
	return 0;
}

SEC("fexit")
int BPF_PROG(fl_late_mark, struct pt_regs *regs, long ret)
{
	fl_wait_by_mark(regs, true);
	return 0;
}

static __always_inline bool fl_in_pod_asleep(void)
{
	return bpf_get_current_ancestor_cgroup_id(fl_latency.level) == fl_latency.pod;
}

SEC("fexit.s")
int BPF_PROG(fl_call_exit, struct pt_regs *regs, long ret)
{
	struct fl_call_fault *fault = fl_fault();
	struct fl_mark *mark;
	__u32 index, page;
	__u64 since;

	if (!fault || !fl_in_pod_asleep())
		return 0;
	mark = bpf_task_storage_get(&fl_marks, bpf_get_current_task_btf(), 0, 0);
	if (!mark || !mark->since)
		return 0;
	since = mark->since;
	index = mark->index;
	mark->since = 0;
	page = fl_wait_page(since);
	if (page < FL_WAIT_PAGES && fl_wait_at(page, since))
		fl_call_done(fault, index, since);
	return 0;
}

/* ---- now, with the CPU ----------------------------------------------------------------------------------------------- */

#define FL_SPIN_STEPS (1 << 22) /* more than 1 ms anywhere */

struct fl_spin {
	__u64 until;
};

static int fl_spin_step(__u32 i, struct fl_spin *spin)
{
	return bpf_ktime_get_ns() >= spin->until;
}

static __always_inline void fl_spin(struct fl_call_fault *fault, __u32 index, __u64 now)
{
	__u64 n = __sync_fetch_and_add(&fl_waits.next, 1);
	struct fl_spin spin = { .until = now + fl_latency.spin_ns[n & (FL_SPINS - 1)] };

	bpf_loop(FL_SPIN_STEPS, fl_spin_step, &spin, 0);
	fl_hist_add_shared(&fl_waits.served, bpf_ktime_get_ns() - now);
	fl_call_done(fault, index, now);
}

SEC("fentry")
int BPF_PROG(fl_call_spin, struct pt_regs *regs)
{
	struct fl_call_fault *fault = fl_fault();
	__u32 index;
	__u64 now;

	if (!fault || !fl_in_pod())
		return 0;
	index = fl_index_of(fault, fl_number(regs));
	if (fl_registers_hit(fault, regs, index, &now))
		fl_spin(fault, index, now);
	return 0;
}

/* ---- at a security hook ---------------------------------------------------------------------------------------------- */

#define O_TRUNC 01000 /* include/uapi/asm-generic/fcntl.h */
#define O_TMPFILE_ONLY 020000000 /* __O_TMPFILE there */

/* Kernel types, by CO-RE: only what is read. */
struct inode_operations { void *atomic_open; } __attribute__((preserve_access_index));
struct rw_semaphore { struct { long counter; } count; } __attribute__((preserve_access_index));
struct inode___directory {
	const struct inode_operations *i_op;
	struct rw_semaphore i_rwsem;
} __attribute__((preserve_access_index));

/* Is a file opened under a lock for which others would wait? The kernel holds none at file_open but
 *   - protection against freezing, where it truncates a file or makes one without a name: who freezes the file system waits, and
 *     behind him everybody who writes to it, and
 *   - the lock of the directory, where the file system makes a file and opens it in one step (NFS, FUSE). It may be another's
 *     lock that is seen then: the open counts as not delayed without need. */
static __always_inline bool fl_open_holds_lock(struct file *file)
{
	__u32 flags = BPF_CORE_READ(file, f_flags), type = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;
	struct inode___directory *directory;

	if (flags & O_TMPFILE_ONLY || (flags & O_TRUNC && type == S_IFREG))
		return true;
	directory = (void *)BPF_CORE_READ(file, f_path.dentry, d_parent, d_inode);
	if (!directory || !BPF_CORE_READ(directory, i_op, atomic_open))
		return false;
	if (!bpf_core_field_exists(directory->i_rwsem.count)) /* a kernel with other locks, PREEMPT_RT */
		return true;
	return BPF_CORE_READ(directory, i_rwsem.count.counter) != 0;
}

static __always_inline int fl_hook(__u32 hook, const struct fl_object *object)
{
	struct fl_call_fault *fault = fl_fault();
	__u32 index, page;
	__u64 now;

	if (!fault || !fl_in_pod_asleep())
		return 0;
	index = fl_call_at(fault, hook, fl_number_of_task(), object);
	if (index >= FL_CALLS || fl_is_kernels_own(object) || !fl_call_hit(fault, index, object, &now))
		return 0;
	if (fl_latency.at_hook == FL_AT_HOOK_WORK) {
		/* A worker of io_uring never leaves the kernel. */
		if (((struct task_struct *)bpf_get_current_task_btf())->flags & PF_IO_WORKER)
			fl_wait_error();
		else
			fl_wait_after(index, now);
		return 0;
	}
	if (hook == FL_HOOK_FILE_OPEN && fl_open_holds_lock(object->file)) {
		fl_wait_error();
		return 0;
	}
	if (fl_latency.at_hook == FL_AT_HOOK_SPIN) {
		fl_spin(fault, index, now);
		return 0;
	}
	page = fl_wait_page(now);
	if (page < FL_WAIT_PAGES && fl_wait_at(page, now))
		fl_call_done(fault, index, now);
	return 0;
}

/* User space sets BPF_F_SLEEPABLE where they are to sleep. */
#define FL_LSM "lsm/"
#include "syscall_hooks.bpf.h"
