// SPDX-License-Identifier: GPL-2.0-only
/* syscallLatency: system calls of pods take longer. One program a place serves all faults of the node. How a program waits is
 * page_delay.bpf.h; where, one of:
 *
 *   fl_call_work   fentry on the call; a function of ours waits when the task leaves the kernel
 *   fl_call_mark   fentry on the call, which marks the task, and
 *   fl_exit        fexit.s on it, which waits. Of a tracing program only one runs at a time on a CPU, also while it sleeps, so user
 *                  space attaches several; who finds none of them free goes on at once, and
 *   fl_unserved    which runs behind them, counts it as an error
 *   fl_call_spin   fentry on the call, which holds the CPU
 *   fl_<hook>      a security hook, which by fl_way does what the first or the last does, or waits there: LSM programs have no such
 *                  bound. The kernel may hold a lock there for which others would wait, too: user space takes only hooks where it
 *                  holds none (SecurityHook::held), and fl_open_holds_lock() tells the opens that are made under one
 *
 * The kernel does not run a tracing program where another task of this CPU was interrupted in it. Therefore fl_late_work and
 * fl_late_mark, by fexit, do for those calls what the program at the beginning did not.
 *
 * All faults on a task are asked. With FL_WAY_SLEEP at a hook their delays add up, else the longest counts. */
#include "syscall.bpf.h"
#include "task_slots.bpf.h"
#include "syscall_latency_abi.h"

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 fl_way; /* of the programs on security hooks, FL_WAY_* */

FL_SLOT_ARRAY(struct fl_call_fault);

#include "latency_slots.bpf.h"

__u64 fl_newest_ticket; /* .bss, mmapped: of the newest fault */

/* ---- on the call ----------------------------------------------------------------------------------------------------- */

#define FL_MARKED 8u /* faults that a call can be marked for at once; a power of two */

struct fl_marked {
	__u64 ticket; /* the slot may be another fault's when the call ends */
	__u64 since;
	__u16 slot;
	__u8 index;
	__u8 _pad[5];
};

struct fl_mark {
	__u64 ticket; /* newest one when a call of this task last ended */
	__u32 seen;   /* the program at the call's beginning ran */
	__u32 count;  /* of hits[] that are to be waited for at the call's end */
	struct fl_marked hits[FL_MARKED];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fl_mark);
} fl_marks SEC(".maps");

/* What the faults of a task are asked, one after the other. */
struct fl_question {
	const struct fl_task_slots *slots;
	struct pt_regs *regs;           /* on the call */
	const struct fl_object *object; /* at a hook */
	struct fl_mark *mark;           /* on the call; NULL: there is no memory for it */
	__u64 number;
	__u32 hook;
	__u32 late;
	__u32 page; /* the answer of FL_WAY_WORK: first page to wait at; FL_WAIT_PAGES: none */
	__u32 _pad;
};

/* Of a call whose beginning no program saw: did it begin when the fault was there already? */
static __always_inline bool fl_began_with(const struct fl_latency_slot *latency, const struct fl_mark *mark)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();

	return mark->ticket >= latency->ticket || BPF_CORE_READ(task, start_time) > latency->since_ns;
}

static __always_inline void fl_mark_hit(struct fl_mark *mark, const struct fl_hit *hit)
{
	struct fl_marked *marked;

	if (!mark || mark->count >= FL_MARKED) {
		fl_error(hit->fault);
		return;
	}
	marked = &mark->hits[fl_bounded(mark->count, FL_MARKED)];
	marked->ticket = fl_latency_of(hit->slot)->ticket;
	marked->since = hit->since;
	marked->slot = hit->slot;
	marked->index = hit->index;
	mark->count++;
}

static __always_inline void fl_ask_slot_on_call(__u32 slot, struct fl_question *question, __u32 way)
{
	struct fl_call_fault *fault = fl_fault_on_task(slot, way);
	struct fl_mark *mark = question->mark;
	struct fl_hit hit = { .fault = fault, .slot = slot };

	if (!fault)
		return;
	hit.index = fl_index_of(fault, question->number);
	if (hit.index >= FL_CALLS || !(fault->config.on_call >> hit.index & 1))
		return;
	if (question->late && (!mark || !fl_began_with(fl_latency_of(slot), mark)))
		return;
	if (!fl_registers_hit(fault, question->regs, hit.index, &hit.since))
		return;
	if (way == FL_WAY_WORK)
		fl_wait_later(&hit, &question->page);
	else if (way == FL_WAY_SPIN)
		fl_spin(&hit);
	else
		fl_mark_hit(mark, &hit);
}

/* One for each way, so that a program has no function that it never calls: copies of it could not be loaded (program_copy.cpp). */
#define FL_ASK_ON_CALL(name, way)                                          \
	static int name(__u32 n, struct fl_question *question)             \
	{                                                                  \
		__u32 slot = fl_slot_number(question->slots, n);           \
		fl_enter(slot);                                            \
		fl_ask_slot_on_call(slot, question, way);                  \
		fl_leave(slot);                                            \
		return 0;                                                  \
	}
FL_ASK_ON_CALL(fl_ask_work, FL_WAY_WORK)
FL_ASK_ON_CALL(fl_ask_mark, FL_WAY_SLEEP)
FL_ASK_ON_CALL(fl_ask_spin, FL_WAY_SPIN)

/* Each call is looked at once: at its beginning, or late. For a task that has faults. */
static __always_inline void fl_look(const struct fl_task_slots *slots, struct pt_regs *regs, bool late, __u32 way)
{
	struct fl_question question = {
		.slots = slots, .regs = regs, .number = fl_number(regs), .late = late, .page = FL_WAIT_PAGES,
	};
	struct fl_mark *mark;
	bool seen = false;

	mark = bpf_task_storage_get(&fl_marks, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	question.mark = mark;
	if (mark) {
		seen = late && mark->seen;
		mark->seen = !late;
		if (!late)
			mark->count = 0;
	}
	if (!seen && way == FL_WAY_WORK) {
		bpf_loop(slots->count, fl_ask_work, &question, 0);
		fl_schedule_waits(question.page);
	} else if (!seen) {
		bpf_loop(slots->count, fl_ask_mark, &question, 0);
	}
	if (mark && late)
		mark->ticket = fl_newest_ticket;
}

#define FL_ON_CALL(name, section, late, way, ...)                                       \
	SEC(section) int BPF_PROG(name, struct pt_regs *regs, ##__VA_ARGS__)            \
	{                                                                               \
		const struct fl_task_slots *slots = fl_slots_of_task();                 \
		if (slots)                                                              \
			fl_look(slots, regs, late, way);                                \
		return 0;                                                               \
	}
FL_ON_CALL(fl_call_work, "fentry", false, FL_WAY_WORK)
FL_ON_CALL(fl_late_work, "fexit", true, FL_WAY_WORK, long ret)
FL_ON_CALL(fl_call_mark, "fentry", false, FL_WAY_SLEEP)
FL_ON_CALL(fl_late_mark, "fexit", true, FL_WAY_SLEEP, long ret)

static __always_inline void fl_look_spinning(const struct fl_task_slots *slots, struct pt_regs *regs)
{
	struct fl_question question = { .slots = slots, .regs = regs, .number = fl_number(regs) };

	bpf_loop(slots->count, fl_ask_spin, &question, 0);
}

SEC("fentry")
int BPF_PROG(fl_call_spin, struct pt_regs *regs)
{
	const struct fl_task_slots *slots = fl_slots_of_task();

	if (slots)
		fl_look_spinning(slots, regs);
	return 0;
}

/* ---- at the end of the call ------------------------------------------------------------------------------------------ */

/* Of a slot that was entered: is it still the fault that hit? */
static __always_inline bool fl_is_fault_of(const struct fl_marked *marked, struct fl_hit *hit)
{
	__u32 slot = hit->slot;

	hit->fault = bpf_map_lookup_elem(&fl_slots, &slot);
	return hit->fault && *(volatile __u64 *)&fl_latency_of(slot)->ticket == marked->ticket;
}

/* What this call was marked for, once: it is taken from the mark. NULL: nothing. */
static __always_inline struct fl_mark *fl_mark_taken(__u32 *count)
{
	struct fl_mark *mark = bpf_task_storage_get(&fl_marks, bpf_get_current_task_btf(), 0, 0);

	if (!mark || !mark->count)
		return NULL;
	*count = mark->count;
	mark->count = 0;
	return mark;
}

/* A program at the end of a call, and `act`, what it does about a hit that the call was marked for. As above, none has a function
 * that it never calls. */
#define FL_AT_END(name, section, each, act)                                                                   \
	static int each(__u32 n, struct fl_mark **mark)                                                       \
	{                                                                                                     \
		struct fl_marked *marked = &(*mark)->hits[fl_bounded(n, FL_MARKED)];                          \
		struct fl_hit hit = { .since = marked->since, .slot = marked->slot, .index = marked->index }; \
		fl_enter(hit.slot);                                                                           \
		if (fl_is_fault_of(marked, &hit))                                                             \
			act;                                                                                  \
		fl_leave(hit.slot);                                                                           \
		return 0;                                                                                     \
	}                                                                                                     \
	SEC(section) int BPF_PROG(name, struct pt_regs *regs, long ret)                                       \
	{                                                                                                     \
		__u32 count = 0;                                                                              \
		struct fl_mark *mark = fl_mark_taken(&count);                                                 \
		if (mark)                                                                                     \
			bpf_loop(count, each, &mark, 0);                                                      \
		return 0;                                                                                     \
	}
FL_AT_END(fl_exit, "fexit.s", fl_serve, fl_wait_now(&hit))
FL_AT_END(fl_unserved, "fexit", fl_count_unserved, fl_error(hit.fault))

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

static __always_inline void fl_ask_slot_at_hook(__u32 slot, struct fl_question *question)
{
	struct fl_call_fault *fault = fl_fault_on_task(slot, fl_way);
	const struct fl_object *object = question->object;
	struct fl_hit hit = { .fault = fault, .slot = slot };

	if (!fault)
		return;
	hit.index = fl_call_at(fault, question->hook, question->number, object);
	if (hit.index >= FL_CALLS || fl_is_kernels_own(object) || !fl_call_hit(fault, hit.index, object, &hit.since))
		return;
	if (fl_way == FL_WAY_WORK) {
		/* A worker of io_uring never leaves the kernel. */
		if (((struct task_struct *)bpf_get_current_task_btf())->flags & PF_IO_WORKER)
			fl_error(fault);
		else
			fl_wait_later(&hit, &question->page);
		return;
	}
	if (question->hook == FL_HOOK_FILE_OPEN && fl_open_holds_lock(object->file))
		fl_error(fault);
	else if (fl_way == FL_WAY_SPIN)
		fl_spin(&hit);
	else
		fl_wait_now(&hit);
}

static int fl_ask_at_hook(__u32 n, struct fl_question *question)
{
	__u32 slot = fl_slot_number(question->slots, n);

	fl_enter(slot);
	fl_ask_slot_at_hook(slot, question);
	fl_leave(slot);
	return 0;
}

/* For a task that has faults. Programs that do not sleep leave the slots where they are: on the stack the verifier would tell
 * apart what each of them holds. */
static __always_inline void fl_ask_all_at_hook(const struct fl_task_slots *slots, __u32 hook, const struct fl_object *object)
{
	struct fl_question question = {
		.slots = slots, .object = object, .number = fl_number_of_task(), .hook = hook, .page = FL_WAIT_PAGES,
	};
	struct fl_task_slots own;

	if (fl_way == FL_WAY_SLEEP) {
		own = *slots; /* while this sleeps the memory may become another cgroup's */
		question.slots = &own;
		bpf_loop(own.count, fl_ask_at_hook, &question, 0);
		return;
	}
	bpf_loop(slots->count, fl_ask_at_hook, &question, 0);
	if (fl_way == FL_WAY_WORK)
		fl_schedule_waits(question.page);
}

static __always_inline int fl_hook(__u32 hook, const struct fl_object *object)
{
	const struct fl_task_slots *slots = fl_slots_of_task();

	if (slots)
		fl_ask_all_at_hook(slots, hook, object);
	return 0;
}

/* User space sets BPF_F_SLEEPABLE where they are to sleep. */
#define FL_LSM "lsm/"
#include "syscall_hooks.bpf.h"
