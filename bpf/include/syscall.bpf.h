/* SPDX-License-Identifier: GPL-2.0-only */
/* What every system-call fault does before it acts: which call is this, of whom, on what. Two kinds of programs use it:
 *
 *   on the system call   fl_call_of_regs(regs), the arguments are in the registers
 *   on a security hook   fl_call_now(), what the task is in; a hook serves several calls, and more than system calls
 *
 * after fl_in_pod(); then fl_call_hit(): lease, filters, counting, dice. Include in one file of an object only (fault_guard.bpf.h). */
#ifndef FAULTLINE_SYSCALL_BPF_H
#define FAULTLINE_SYSCALL_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <stdbool.h>
#include "fault_guard.bpf.h"
#include "in_pod.bpf.h"
#include "syscall_abi.h"
#include "syscall_regs.bpf.h"

#define FL_PATH_DEPTH 48 /* parts of a path and mounts that are walked up */
#define PF_IO_WORKER 0x00000010
#define FMODE_BACKING 0x02000000u   /* Linux 6.7: the file below a file of an overlay */
#define FMODE_NOACCOUNT 0x20000000u /* before: the same, and others that no program has opened */
#define FMODE_EXEC 0x20u            /* f_flags: the kernel opens it to run it */
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFIFO 0010000

/* Kernel types, by CO-RE: only what is read. */
struct super_block { __u32 s_dev; } __attribute__((preserve_access_index));
struct inode { __u16 i_mode; unsigned long i_ino; struct super_block *i_sb; } __attribute__((preserve_access_index));
struct qstr { union { struct { __u32 hash; __u32 len; }; }; const unsigned char *name; } __attribute__((preserve_access_index));
struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; } __attribute__((preserve_access_index));
struct vfsmount { struct dentry *mnt_root; } __attribute__((preserve_access_index));
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; } __attribute__((preserve_access_index));
struct path { struct vfsmount *mnt; struct dentry *dentry; } __attribute__((preserve_access_index));
struct file { struct path f_path; struct inode *f_inode; unsigned int f_flags; unsigned int f_mode; } __attribute__((preserve_access_index));
struct socket { struct file *file; } __attribute__((preserve_access_index));
struct linux_binprm { struct file *file; } __attribute__((preserve_access_index));
struct fdtable { unsigned int max_fds; struct file **fd; } __attribute__((preserve_access_index));
struct files_struct { struct fdtable *fdt; } __attribute__((preserve_access_index));
#if defined(__TARGET_ARCH_x86)
struct thread_info { __u32 status; } __attribute__((preserve_access_index));
struct task_struct { struct thread_info thread_info; unsigned int flags; struct files_struct *files; } __attribute__((preserve_access_index));
#define FL_NR_IO_URING_ENTER 426
#else
struct task_struct { unsigned int flags; struct files_struct *files; } __attribute__((preserve_access_index));
#define FL_NR_IO_URING_ENTER 426
#endif

const volatile struct fl_call_config fl_config;
__u64 fl_hit_no; /* .bss: hits so far, where they are bounded */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FL_CALLS);
	__type(key, __u32);
	__type(value, struct fl_call_counters);
} fl_calls SEC(".maps");

/* ---- which call ----------------------------------------------------------------------------------------------------- */

static __always_inline __u32 fl_index_of(__u64 number)
{
	if (number >= FL_CALL_NUMBERS)
		return FL_CALL_NONE;
	return fl_config.index_of[number];
}

/* The call the task is in, as the index of one that was asked for. What is not a native system call (io_uring, a 32-bit
 * program) is taken for `stand_in`, the first call asked for that this hook serves: which one it would have been cannot be told. */
static __always_inline __u32 fl_call_now(__u32 stand_in)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct pt_regs *regs;
	__u64 number;

	if (task->flags & PF_IO_WORKER)
		return stand_in;
#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & 2) /* TS_COMPAT */
		return stand_in;
#endif
	regs = (struct pt_regs *)bpf_task_pt_regs((void *)task);
	number = fl_number(regs);
	return number == FL_NR_IO_URING_ENTER ? stand_in : fl_index_of(number);
}

/* ---- on what -------------------------------------------------------------------------------------------------------- */

/* The file of a descriptor of this task; NULL: there is none. */
static __always_inline struct file *fl_file_of(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots, *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	slots = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]);
	return file;
}

static __always_inline bool fl_is_kind(struct file *file)
{
	__u32 type = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;

	switch (fl_config.fd_kind) {
	case FL_FD_REGULAR: return type == S_IFREG;
	case FL_FD_SOCKET: return type == S_IFSOCK;
	case FL_FD_PIPE: return type == S_IFIFO;
	}
	return true;
}

/* Does the name of this part of a path fit? */
static __always_inline bool fl_name_fits(struct dentry *part)
{
	__u32 length = BPF_CORE_READ(part, d_name.len), begins = fl_config.path.begins_length, ends = fl_config.path.ends_length;
	const unsigned char *text = BPF_CORE_READ(part, d_name.name);
	char name[FL_NAME_MAX];
	__u32 i;

	if (fl_config.path.wildcard ? length < begins + ends : length != begins)
		return false;
	if (begins >= FL_NAME_MAX || ends >= FL_NAME_MAX)
		return false;
	if (begins) {
		if (bpf_probe_read_kernel(name, begins & (FL_NAME_MAX - 1), text))
			return false;
		for (i = 0; i < FL_NAME_MAX; i++)
			if (i < begins && name[i] != fl_config.path.name_begins[i])
				return false;
	}
	if (ends) {
		if (bpf_probe_read_kernel(name, ends & (FL_NAME_MAX - 1), text + (length - ends)))
			return false;
		for (i = 0; i < FL_NAME_MAX; i++)
			if (i < ends && name[i] != fl_config.path.name_ends[i])
				return false;
	}
	return true;
}

/* Walks up from the file to the directory that was asked for, over mounts. By identity, so that no link, chroot or relative
 * name leads around it. */
static __always_inline bool fl_is_below(struct vfsmount *mnt, struct dentry *dentry)
{
	struct dentry *child = NULL, *up, *root;
	struct mount *mount, *parent;
	struct inode *inode;
	int i;

	for (i = 0; i < FL_PATH_DEPTH; i++) {
		inode = BPF_CORE_READ(dentry, d_inode);
		if (inode && BPF_CORE_READ(inode, i_ino) == fl_config.path.inode &&
		    BPF_CORE_READ(inode, i_sb, s_dev) == fl_config.path.device) {
			if (!fl_config.path.wildcard && !fl_config.path.begins_length)
				return true;
			return child && fl_name_fits(child);
		}
		root = mnt ? BPF_CORE_READ(mnt, mnt_root) : NULL;
		if (dentry == root) {
			mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
			parent = BPF_CORE_READ(mount, mnt_parent);
			if (parent == mount)
				return false;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mnt = (void *)parent + bpf_core_field_offset(struct mount, mnt);
			continue; /* what is mounted keeps its child: its own name is that of the mount point */
		}
		up = BPF_CORE_READ(dentry, d_parent);
		if (up == dentry)
			return false;
		child = dentry;
		dentry = up;
	}
	return false;
}

/* What a call acts on. Set what the hook knows. */
struct fl_object {
	struct file *file;
	struct vfsmount *mnt;
	struct dentry *dentry; /* without a file: what the path leads to */
};

static __always_inline bool fl_object_fits(const struct fl_object *object)
{
	struct file *file = object->file;

	if (fl_config.fd_kind != FL_FD_ANY && (!file || !fl_is_kind(file)))
		return false;
	if (!fl_config.path.on)
		return true;
	if (file)
		return fl_is_below(BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry));
	return object->dentry && fl_is_below(object->mnt, object->dentry);
}

/* ---- whose ---------------------------------------------------------------------------------------------------------- */

/* The runtime joins the pod's cgroup before it runs the program: its own calls must not fail, or the pod could not start. */
static __always_inline bool fl_is_runtime(const char *comm)
{
	return (comm[0] == 'r' && comm[1] == 'u' && comm[2] == 'n' && comm[3] == 'c' && (!comm[4] || comm[4] == ':')) ||
	       (comm[0] == 'c' && comm[1] == 'r' && comm[2] == 'u' && comm[3] == 'n' && !comm[4]);
}

static __always_inline bool fl_process_fits(void)
{
	char comm[16] = {};
	__u32 i;

	if (bpf_get_current_comm(comm, sizeof(comm)) || fl_is_runtime(comm))
		return false;
	if (!fl_config.comm_length)
		return true;
	for (i = 0; i < sizeof(comm); i++)
		if (comm[i] != fl_config.comm[i])
			return false;
	return true;
}

/* ---- hit? ----------------------------------------------------------------------------------------------------------- */

static __always_inline bool fl_is_due(void)
{
	__u64 n = __sync_fetch_and_add(&fl_event_no[0], 1), every = fl_config.every;

	if (n < fl_config.after)
		return false;
	if (every > 1 && (n - fl_config.after) % every != every - 1)
		return false;
	if ((fl_random(fl_seed, 0, n) >> 32) >= fl_config.probability)
		return false;
	return !fl_config.count || __sync_fetch_and_add(&fl_hit_no, 1) < fl_config.count;
}

/* 1: act now. Counts what matched; what was done to it the caller counts with fl_call_done(). These programs can be preempted
 * by another of their kind on the same CPU: the counters are atomic. */
static __always_inline int fl_call_hit(__u32 index, const struct fl_object *object, __u64 *now)
{
	struct fl_call_counters *call;

	if (index >= FL_CALLS || !fl_armed(now) || !fl_process_fits() || !fl_object_fits(object))
		return 0;
	call = bpf_map_lookup_elem(&fl_calls, &index);
	if (!call || !fl_matched_shared())
		return 0;
	__sync_fetch_and_add(&call->matched, 1);
	return fl_is_due();
}

static __always_inline void fl_call_done(__u32 index, __u64 now)
{
	__u32 zero = 0;
	struct fl_counters *all = bpf_map_lookup_elem(&fl_counters, &zero);
	struct fl_call_counters *call = bpf_map_lookup_elem(&fl_calls, &index);

	if (!all || !call)
		return;
	fl_injected_shared(all, now);
	__sync_fetch_and_add(&call->injected, 1);
}

#endif
