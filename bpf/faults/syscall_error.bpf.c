// SPDX-License-Identifier: GPL-2.0-only
/* syscallError: system calls of a pod fail with an errno.
 *
 *   fl_call      fmod_ret on the system call itself; user space loads one more of it for each call
 *   fl_<hook>    a security hook, as LSM program or as fmod_ret on security_<hook>; user space loads those it needs
 *
 * A call that another program or module has refused already keeps its own errno and is not counted. */
#include "syscall.bpf.h"

char LICENSE[] SEC("license") = "GPL";

const volatile __u8 fl_stand_in[FL_HOOKS]; /* by hook: the first call asked for that it serves, or FL_CALL_NONE */

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
	struct file *file = object->file;
	__u32 index;
	__u64 now;

	if (!fl_in_pod())
		return 0;
	/* The file below a file of an overlay: the call was seen with the one that the program knows. */
	if (file && BPF_CORE_READ(file, f_mode) & (FMODE_BACKING | FMODE_NOACCOUNT))
		return 0;
	index = fl_call_now(fl_stand_in[hook]);
	if (index >= FL_CALLS || !fl_call_hit(index, object, &now))
		return 0;
	fl_call_done(index, now);
	return fl_config.retval;
}

/* A hook that is given a file, a path, a name in a directory, a socket, or nothing that can be filtered. */
#define FL_ON_FILE(hook, number, ...) \
SEC("lsm/" #hook) int BPF_PROG(fl_##hook, struct file *file, ##__VA_ARGS__) \
{ \
	struct fl_object object = { .file = file }; \
	return ret ? ret : fl_hook(number, &object); \
}
#define FL_ON_PATH(hook, number, ...) \
SEC("lsm/" #hook) int BPF_PROG(fl_##hook, const struct path *path, ##__VA_ARGS__) \
{ \
	struct fl_object object = { .mnt = path->mnt, .dentry = path->dentry }; \
	return ret ? ret : fl_hook(number, &object); \
}
#define FL_ON_NAME(hook, number, ...) \
SEC("lsm/" #hook) int BPF_PROG(fl_##hook, const struct path *dir, struct dentry *dentry, ##__VA_ARGS__) \
{ \
	struct fl_object object = { .mnt = dir->mnt, .dentry = dentry }; \
	return ret ? ret : fl_hook(number, &object); \
}
#define FL_ON_SOCKET(hook, number, ...) \
SEC("lsm/" #hook) int BPF_PROG(fl_##hook, struct socket *sock, ##__VA_ARGS__) \
{ \
	struct fl_object object = { .file = sock->file }; \
	return ret ? ret : fl_hook(number, &object); \
}
#define FL_ON_TASK(hook, number, ...) \
SEC("lsm/" #hook) int BPF_PROG(fl_##hook, ##__VA_ARGS__) \
{ \
	struct fl_object object = {}; \
	return ret ? ret : fl_hook(number, &object); \
}

FL_ON_FILE(file_open, FL_HOOK_FILE_OPEN, int ret)
FL_ON_FILE(file_permission, FL_HOOK_FILE_PERMISSION, int mask, int ret)
FL_ON_FILE(file_ioctl, FL_HOOK_FILE_IOCTL, unsigned int cmd, unsigned long arg, int ret)
FL_ON_FILE(file_fcntl, FL_HOOK_FILE_FCNTL, unsigned int cmd, unsigned long arg, int ret)
FL_ON_FILE(file_lock, FL_HOOK_FILE_LOCK, unsigned int cmd, int ret)
FL_ON_FILE(mmap_file, FL_HOOK_MMAP_FILE, unsigned long reqprot, unsigned long prot, unsigned long flags, int ret)
FL_ON_TASK(file_mprotect, FL_HOOK_FILE_MPROTECT, void *vma, unsigned long reqprot, unsigned long prot, int ret)

FL_ON_PATH(inode_getattr, FL_HOOK_INODE_GETATTR, int ret)
FL_ON_PATH(path_truncate, FL_HOOK_PATH_TRUNCATE, int ret)
FL_ON_PATH(path_chmod, FL_HOOK_PATH_CHMOD, __u16 mode, int ret)
FL_ON_PATH(path_chown, FL_HOOK_PATH_CHOWN, __u32 uid, __u32 gid, int ret)
FL_ON_NAME(path_mkdir, FL_HOOK_PATH_MKDIR, __u16 mode, int ret)
FL_ON_NAME(path_rmdir, FL_HOOK_PATH_RMDIR, int ret)
FL_ON_NAME(path_unlink, FL_HOOK_PATH_UNLINK, int ret)
FL_ON_NAME(path_symlink, FL_HOOK_PATH_SYMLINK, const char *old_name, int ret)
FL_ON_NAME(path_rename, FL_HOOK_PATH_RENAME, const struct path *new_dir, struct dentry *new_dentry, unsigned int flags, int ret)

/* Of link() the new name is the one that is made. */
SEC("lsm/path_link")
int BPF_PROG(fl_path_link, struct dentry *old, const struct path *dir, struct dentry *dentry, int ret)
{
	struct fl_object object = { .mnt = dir->mnt, .dentry = dentry };

	return ret ? ret : fl_hook(FL_HOOK_PATH_LINK, &object);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(fl_bprm_check_security, struct linux_binprm *bprm, int ret)
{
	struct fl_object object = { .file = bprm->file };

	return ret ? ret : fl_hook(FL_HOOK_BPRM_CHECK_SECURITY, &object);
}

FL_ON_TASK(task_alloc, FL_HOOK_TASK_ALLOC, void *task, unsigned long flags, int ret)
FL_ON_TASK(task_kill, FL_HOOK_TASK_KILL, void *task, void *info, int sig, const void *cred, int ret)

SEC("lsm/socket_create")
int BPF_PROG(fl_socket_create, int family, int type, int protocol, int kern, int ret)
{
	struct fl_object object = {};

	return ret || kern ? ret : fl_hook(FL_HOOK_SOCKET_CREATE, &object);
}

FL_ON_SOCKET(socket_bind, FL_HOOK_SOCKET_BIND, void *address, int length, int ret)
FL_ON_SOCKET(socket_connect, FL_HOOK_SOCKET_CONNECT, void *address, int length, int ret)
FL_ON_SOCKET(socket_listen, FL_HOOK_SOCKET_LISTEN, int backlog, int ret)
FL_ON_SOCKET(socket_accept, FL_HOOK_SOCKET_ACCEPT, void *accepted, int ret)
FL_ON_SOCKET(socket_sendmsg, FL_HOOK_SOCKET_SENDMSG, void *message, int size, int ret)
FL_ON_SOCKET(socket_recvmsg, FL_HOOK_SOCKET_RECVMSG, void *message, int size, int flags, int ret)
FL_ON_SOCKET(socket_getsockname, FL_HOOK_SOCKET_GETSOCKNAME, int ret)
FL_ON_SOCKET(socket_getpeername, FL_HOOK_SOCKET_GETPEERNAME, int ret)
FL_ON_SOCKET(socket_getsockopt, FL_HOOK_SOCKET_GETSOCKOPT, int level, int option, int ret)
FL_ON_SOCKET(socket_setsockopt, FL_HOOK_SOCKET_SETSOCKOPT, int level, int option, int ret)
FL_ON_SOCKET(socket_shutdown, FL_HOOK_SOCKET_SHUTDOWN, int how, int ret)
