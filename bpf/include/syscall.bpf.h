/* SPDX-License-Identifier: GPL-2.0-only */
/* What every system-call fault does before it acts: which call is this, of whom, on what. Two kinds of programs use it:
 *
 *   on the system call   fl_index_of(fl_number(regs)), the arguments are in the registers
 *   on a security hook   fl_call_at(hook, object), what the task is in; a hook serves several calls, and more than system calls
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
#define MS_KERNMOUNT (1 << 22) /* include/uapi/linux/mount.h */
#define MAY_WRITE 0x2 /* include/linux/fs.h: bits of the mask of file_permission */
#define MAY_READ 0x4
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFIFO 0010000

/* Kernel types, by CO-RE: only what is read. */
struct super_block { __u32 s_dev; unsigned long s_flags; } __attribute__((preserve_access_index));
struct inode { __u16 i_mode; unsigned long i_ino; struct super_block *i_sb; } __attribute__((preserve_access_index));
struct qstr { union { struct { __u32 hash; __u32 len; }; }; const unsigned char *name; } __attribute__((preserve_access_index));
struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; struct super_block *d_sb; } __attribute__((preserve_access_index));
struct ns_common { unsigned int inum; } __attribute__((preserve_access_index));
struct mnt_namespace { struct ns_common ns; } __attribute__((preserve_access_index));
struct vfsmount { struct dentry *mnt_root; struct super_block *mnt_sb; } __attribute__((preserve_access_index));
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
} __attribute__((preserve_access_index));
struct path { struct vfsmount *mnt; struct dentry *dentry; } __attribute__((preserve_access_index));
struct file { struct path f_path; struct inode *f_inode; unsigned int f_flags; unsigned int f_mode; } __attribute__((preserve_access_index));
struct socket { struct file *file; } __attribute__((preserve_access_index));
struct linux_binprm { struct file *file; } __attribute__((preserve_access_index));
struct fdtable { unsigned int max_fds; struct file **fd; } __attribute__((preserve_access_index));
struct files_struct { struct fdtable *fdt; } __attribute__((preserve_access_index));
struct nsproxy { struct mnt_namespace *mnt_ns; } __attribute__((preserve_access_index));
struct mm_struct { struct file *exe_file; } __attribute__((preserve_access_index));
#if defined(__TARGET_ARCH_x86)
struct thread_info { __u32 status; } __attribute__((preserve_access_index));
#endif
struct task_struct {
#if defined(__TARGET_ARCH_x86)
	struct thread_info thread_info;
#endif
	unsigned int flags;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct nsproxy *nsproxy;
	struct files_struct *files;
} __attribute__((preserve_access_index));
#define FL_NR_IO_URING_ENTER 426

const volatile struct fl_call_config fl_config;
const volatile struct fl_hook_calls fl_hooks[FL_HOOKS];
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

/* What a call acts on. A program sets what its hook knows. */
struct fl_object {
	struct file *file;
	struct vfsmount *mnt;
	struct dentry *dentry; /* without a file: what the path leads to */
	int mask;              /* MAY_*: what is to be done with the file; 0: the hook is not told */
};

/* Returns the index that work without a number of a call counts as, or FL_CALL_NONE. The mask decides where the hook has one, so
 * that a write fails only where a call that writes was asked for. */
static __always_inline __u32 fl_stand_in(const volatile struct fl_hook_calls *calls, int mask)
{
	if (!mask)
		return calls->stand_in;
	if (mask & MAY_WRITE)
		return calls->writing;
	return mask & MAY_READ ? calls->reading : FL_CALL_NONE;
}

/* Returns the index of the call that the task is in if that call is hit at this hook, else FL_CALL_NONE. For what is not a native
 * system call (io_uring, a 32-bit program) it is that of the stand-in: which call it would have been cannot be told. */
static __always_inline __u32 fl_call_at(__u32 hook, const struct fl_object *object)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	const volatile struct fl_hook_calls *calls = &fl_hooks[hook];
	struct pt_regs *regs;
	__u32 index;
	__u64 number;

	if (task->flags & PF_IO_WORKER)
		return fl_stand_in(calls, object->mask);
#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & 2) /* TS_COMPAT */
		return fl_stand_in(calls, object->mask);
#endif
	regs = (struct pt_regs *)bpf_task_pt_regs((void *)task);
	number = fl_number(regs);
	if (number == FL_NR_IO_URING_ENTER)
		return fl_stand_in(calls, object->mask);
	index = fl_index_of(number);
	return index < FL_CALLS && (calls->serves >> index & 1) ? index : FL_CALL_NONE;
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

static __always_inline struct mnt_namespace *fl_mounts_of(struct vfsmount *mnt)
{
	struct mount *mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);

	return mnt ? BPF_CORE_READ(mount, mnt_ns) : NULL;
}

/* Is this a mount that a file system (an overlay) has made for the layers below it? The kernel puts an error in place of the
 * namespace of a mount that it keeps for itself. It does so for the file systems of memfd, pipes and sockets, too, whose files
 * programs do have; MS_KERNMOUNT tells those apart. */
static __always_inline bool fl_is_layer(struct vfsmount *mnt)
{
	if ((__u64)fl_mounts_of(mnt) < (__u64)-4095)
		return false;
	return !(BPF_CORE_READ(mnt, mnt_sb, s_flags) & MS_KERNMOUNT);
}

/* Is this what the kernel opens for itself below a file of an overlay? The call was seen already, with the file that the program
 * knows. Told by where the file lies, since the bit in f_mode that says so means something else on other kernels: before Linux 6.7
 * such a file has the overlay's path and an inode of the layer, later it has a path in the layer. */
static __always_inline bool fl_is_kernels_own(const struct fl_object *object)
{
	struct file *file = object->file;

	if (!file)
		return object->mnt && fl_is_layer(object->mnt);
	return BPF_CORE_READ(file, f_inode, i_sb) != BPF_CORE_READ(file, f_path.dentry, d_sb) ||
	       fl_is_layer(BPF_CORE_READ(file, f_path.mnt));
}

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

static __always_inline bool fl_is_nodes(struct mnt_namespace *mounts)
{
	return BPF_CORE_READ(mounts, ns.inum) == fl_config.node_mounts;
}

/* Is this task the container runtime's? A runtime joins the pod's cgroup, and later the container's namespaces, before it runs the
 * container's program: its own calls must not fail, or the container could not start. It is told by where it is, since a name can
 * be taken by anybody:
 *   - it is in the node's mount namespace (conmon, the first steps of runc and crun), or
 *   - it runs a program from the node's mount namespace (youki, crun, runsc in the container's namespaces), or
 *   - it runs a program that its own mount namespace does not have (runc runs a sealed copy of itself) and was started from the
 *     node's mount namespace. */
static __always_inline bool fl_is_runtime(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct mnt_namespace *own, *program;

	if (!fl_config.node_mounts)
		return false;
	own = BPF_CORE_READ(task, nsproxy, mnt_ns);
	if (fl_is_nodes(own))
		return true;
	program = fl_mounts_of(BPF_CORE_READ(task, mm, exe_file, f_path.mnt));
	if (program == own)
		return false;
	return fl_is_nodes(program) || fl_is_nodes(BPF_CORE_READ(task, real_parent, nsproxy, mnt_ns));
}

static __always_inline bool fl_process_fits(void)
{
	char comm[16] = {};
	__u32 i;

	if (fl_is_runtime())
		return false;
	if (!fl_config.comm_length)
		return true;
	if (bpf_get_current_comm(comm, sizeof(comm)))
		return false;
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
