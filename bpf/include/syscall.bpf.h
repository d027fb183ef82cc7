/* SPDX-License-Identifier: GPL-2.0-only */
/* What every system-call fault does before it acts: which call is this, of whom, on what. The fault is an argument: an object has
 * the settings, the lease, the dice and the counters of each in an array (struct fl_call_fault). Two kinds of programs ask:
 *
 *   on the system call   fl_index_of(fault, fl_number(regs)), the arguments are in the registers
 *   on a security hook   fl_call_at(fault, hook, fl_number_of_task(), object); a hook serves several calls, and more than system calls
 *
 * once it is known that the fault is on this task; then fl_call_hit(): lease, filters, counting, dice. No state. */
#ifndef FAULTLINE_SYSCALL_BPF_H
#define FAULTLINE_SYSCALL_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <stdbool.h>
#include "bounded.bpf.h"
#include "lease.bpf.h"
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
	__u64 start_time;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct nsproxy *nsproxy;
	struct files_struct *files;
} __attribute__((preserve_access_index));
#define FL_NR_IO_URING_ENTER 426

/* ---- which call ----------------------------------------------------------------------------------------------------- */

static __always_inline __u32 fl_index_of(const struct fl_call_fault *fault, __u64 number)
{
	if (number >= FL_CALL_NUMBERS)
		return FL_CALL_NONE;
	return fault->config.index_of[fl_bounded(number, FL_CALL_NUMBERS)];
}

struct fl_place {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

/* What a call acts on. A program sets what its hook knows. */
struct fl_object {
	struct file *file;
	struct fl_place place; /* without a file: what the path leads to */
	int mask;              /* MAY_*: what is to be done with the file; 0: the hook is not told */
};

/* Returns the index that work without a number of a call counts as, or FL_CALL_NONE. The mask decides where the hook has one, so
 * that a write fails only where a call that writes was asked for. */
static __always_inline __u32 fl_stand_in(const struct fl_hook_calls *calls, int mask)
{
	if (!mask)
		return calls->stand_in;
	if (mask & MAY_WRITE)
		return calls->writing;
	return mask & MAY_READ ? calls->reading : FL_CALL_NONE;
}

#define FL_NO_NUMBER (~0ull)

/* Returns the number of the native system call that this task is in; FL_NO_NUMBER for work that has none (io_uring, a 32-bit
 * program): which call it would have been cannot be told. */
static __always_inline __u64 fl_number_of_task(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	__u64 number;

	if (task->flags & PF_IO_WORKER)
		return FL_NO_NUMBER;
#if defined(__TARGET_ARCH_x86)
	if (task->thread_info.status & 2) /* TS_COMPAT */
		return FL_NO_NUMBER;
#endif
	number = fl_number((struct pt_regs *)bpf_task_pt_regs((void *)task));
	return number == FL_NR_IO_URING_ENTER ? FL_NO_NUMBER : number;
}

/* Returns the index of the call with that number if the fault hits it at this hook, else FL_CALL_NONE. Work without a number
 * counts as the stand-in. */
static __always_inline __u32 fl_call_at(const struct fl_call_fault *fault, __u32 hook, __u64 number, const struct fl_object *object)
{
	const struct fl_hook_calls *calls = &fault->hooks[fl_bounded(hook, FL_HOOKS)];
	__u32 index;

	if (number == FL_NO_NUMBER)
		return fl_stand_in(calls, object->mask);
	index = fl_index_of(fault, number);
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

static __always_inline bool fl_is_kind(const struct fl_call_fault *fault, struct file *file)
{
	__u32 type = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;

	switch (fault->config.fd_kind) {
	case FL_FD_REGULAR: return type == S_IFREG;
	case FL_FD_SOCKET: return type == S_IFSOCK;
	case FL_FD_PIPE: return type == S_IFIFO;
	}
	return true;
}

/* Compares names that are padded with zeros, 8 bytes at a time and to the end: the verifier sees one way through it. */
static __always_inline bool fl_same_name(const __u64 *a, const __u64 *b)
{
	__u64 differs = 0;
	__u32 i;

	for (i = 0; i < FL_NAME_MAX / 8; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

/* Are the `length` bytes at `text` this name? */
static __always_inline bool fl_has_name(const unsigned char *text, __u32 length, const char *name)
{
	__u64 found[FL_NAME_MAX / 8] = {};

	if (bpf_probe_read_kernel(found, fl_bounded(length, FL_NAME_MAX), text))
		return false;
	return fl_same_name(found, (const __u64 *)name);
}

/* Does the name of this part of a path fit? */
static __always_inline bool fl_name_fits(const struct fl_path_filter *path, struct dentry *part)
{
	__u32 length = BPF_CORE_READ(part, d_name.len), begins = path->begins_length, ends = path->ends_length;
	const unsigned char *text = BPF_CORE_READ(part, d_name.name);

	if (path->wildcard ? length < begins + ends : length != begins)
		return false;
	return fl_has_name(text, begins, path->name_begins) && fl_has_name(text + (length - ends), ends, path->name_ends);
}

/* Walks up from the object to the directory that was asked for, over mounts. By identity, so that no link, chroot or relative name
 * leads around it. 1: it is there, and the name below it fits. Not inlined, so that the verifier goes through it once a program. */
__noinline int fl_is_below(const struct fl_path_filter *path, const struct fl_place *place)
{
	struct dentry *child = NULL, *dentry, *up, *root;
	struct mount *mount, *parent;
	struct vfsmount *mnt;
	struct inode *inode;
	int i;

	if (!path || !place) /* the verifier asks */
		return 0;
	mnt = place->mnt;
	dentry = place->dentry;
	for (i = 0; i < FL_PATH_DEPTH; i++) {
		inode = BPF_CORE_READ(dentry, d_inode);
		if (inode && BPF_CORE_READ(inode, i_ino) == path->inode &&
		    BPF_CORE_READ(inode, i_sb, s_dev) == path->device) {
			if (!path->wildcard && !path->begins_length)
				return 1;
			return child && fl_name_fits(path, child);
		}
		root = mnt ? BPF_CORE_READ(mnt, mnt_root) : NULL;
		if (dentry == root) {
			mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
			parent = BPF_CORE_READ(mount, mnt_parent);
			if (parent == mount)
				return 0;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mnt = (void *)parent + bpf_core_field_offset(struct mount, mnt);
			continue; /* what is mounted keeps its child: its own name is that of the mount point */
		}
		up = BPF_CORE_READ(dentry, d_parent);
		if (up == dentry)
			return 0;
		child = dentry;
		dentry = up;
	}
	return 0;
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
		return object->place.mnt && fl_is_layer(object->place.mnt);
	return BPF_CORE_READ(file, f_inode, i_sb) != BPF_CORE_READ(file, f_path.dentry, d_sb) ||
	       fl_is_layer(BPF_CORE_READ(file, f_path.mnt));
}

static __always_inline bool fl_object_fits(const struct fl_call_fault *fault, const struct fl_object *object)
{
	const struct fl_path_filter *path = &fault->config.path;
	struct fl_place place = object->place;
	struct file *file = object->file;

	if (fault->config.fd_kind != FL_FD_ANY && (!file || !fl_is_kind(fault, file)))
		return false;
	if (!path->on)
		return true;
	if (file) {
		place.mnt = BPF_CORE_READ(file, f_path.mnt);
		place.dentry = BPF_CORE_READ(file, f_path.dentry);
	}
	return place.dentry && fl_is_below(path, &place);
}

/* ---- whose ---------------------------------------------------------------------------------------------------------- */

static __always_inline bool fl_is_nodes(const struct fl_call_fault *fault, struct mnt_namespace *mounts)
{
	return BPF_CORE_READ(mounts, ns.inum) == fault->config.node_mounts;
}

/* Is this task the container runtime's? A runtime joins the pod's cgroup, and later the container's namespaces, before it runs the
 * container's program: its own calls must not fail, or the container could not start. It is told by where it is, since a name can
 * be taken by anybody:
 *   - it is in the node's mount namespace (conmon, the first steps of runc and crun), or
 *   - it runs a program from the node's mount namespace (youki, crun, runsc in the container's namespaces), or
 *   - it runs a program that its own mount namespace does not have (runc runs a sealed copy of itself) and was started from the
 *     node's mount namespace. */
static __always_inline bool fl_is_runtime(const struct fl_call_fault *fault)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct mnt_namespace *own, *program;

	if (!fault->config.node_mounts)
		return false;
	own = BPF_CORE_READ(task, nsproxy, mnt_ns);
	if (fl_is_nodes(fault, own))
		return true;
	program = fl_mounts_of(BPF_CORE_READ(task, mm, exe_file, f_path.mnt));
	if (program == own)
		return false;
	return fl_is_nodes(fault, program) || fl_is_nodes(fault, BPF_CORE_READ(task, real_parent, nsproxy, mnt_ns));
}

static __always_inline bool fl_process_fits(const struct fl_call_fault *fault)
{
	const __u64 *asked = (const __u64 *)fault->config.comm;
	__u64 comm[2] = {}; /* the kernel pads it with zeros, too */

	if (fl_is_runtime(fault))
		return false;
	if (!fault->config.comm_length)
		return true;
	return !bpf_get_current_comm(comm, sizeof(comm)) && comm[0] == asked[0] && comm[1] == asked[1];
}

/* ---- hit? ----------------------------------------------------------------------------------------------------------- */

static __always_inline bool fl_is_due(struct fl_call_fault *fault)
{
	const struct fl_call_config *config = &fault->config;
	__u64 n = __sync_fetch_and_add(&fault->asked, 1), every = config->every;

	if (n < config->after)
		return false;
	if (every > 1 && (n - config->after) % every != every - 1)
		return false;
	if ((fl_random(fault->seed, 0, n) >> 32) >= config->probability)
		return false;
	return !config->count || __sync_fetch_and_add(&fault->hits, 1) < config->count;
}

/* true: act now. Counts what matched; what was done to it the caller counts with fl_call_done(). These programs can be preempted
 * by another of their kind on the same CPU: the counters are atomic. */
static __always_inline bool fl_call_hit(struct fl_call_fault *fault, __u32 index, const struct fl_object *object, __u64 *now)
{
	if (index >= FL_CALLS || !fl_lease_is_armed(&fault->lease, now) || !fl_process_fits(fault) || !fl_object_fits(fault, object))
		return false;
	__sync_fetch_and_add(&fault->counters.matched, 1);
	__sync_fetch_and_add(&fault->calls[fl_bounded(index, FL_CALLS)].matched, 1);
	return fl_is_due(fault);
}

static __always_inline void fl_call_done(struct fl_call_fault *fault, __u32 index, __u64 now)
{
	fl_count_injected(&fault->counters, now);
	__sync_fetch_and_add(&fault->calls[fl_bounded(index, FL_CALLS)].injected, 1);
}

/* The same of a call whose arguments are in `regs`: its descriptor, if it has one and a filter asks for it, is looked up. */
static __always_inline bool fl_registers_hit(struct fl_call_fault *fault, struct pt_regs *regs, __u32 index, __u64 *now)
{
	struct fl_object object = {};
	int arg;

	if (index >= FL_CALLS)
		return false;
	arg = fault->config.fd_arg[fl_bounded(index, FL_CALLS)];
	if (arg >= 0 && (fault->config.path.on || fault->config.fd_kind != FL_FD_ANY)) {
		object.file = fl_file_of((__u32)fl_argument(regs, arg));
		if (!object.file)
			return false;
	}
	return fl_call_hit(fault, index, &object, now);
}

#endif
