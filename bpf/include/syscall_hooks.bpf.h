/* SPDX-License-Identifier: GPL-2.0-only */
/* The programs of a system-call fault on security hooks, fl_<hook>; user space loads those it needs. Include at the end, after
 *
 *   #define FL_LSM "lsm/"    the section's beginning
 *   int fl_hook(__u32 hook, const struct fl_object *object)    what is done there; its value is the hook's */
#ifndef FAULTLINE_SYSCALL_HOOKS_BPF_H
#define FAULTLINE_SYSCALL_HOOKS_BPF_H

/* A hook that is given a file, a path, a name in a directory, a socket, or nothing that can be filtered. */
#define FL_ON_FILE(hook, number, ...) \
SEC(FL_LSM #hook) int BPF_PROG(fl_##hook, struct file *file, ##__VA_ARGS__) \
{ \
	struct fl_object object = { .file = file }; \
	return ret ? ret : fl_hook(number, &object); \
}
#define FL_ON_PATH(hook, number, ...) \
SEC(FL_LSM #hook) int BPF_PROG(fl_##hook, const struct path *path, ##__VA_ARGS__) \
{ \
	struct fl_object object = { .place = { .mnt = path->mnt, .dentry = path->dentry } }; \
	return ret ? ret : fl_hook(number, &object); \
}
#define FL_ON_NAME(hook, number, ...) \
SEC(FL_LSM #hook) int BPF_PROG(fl_##hook, const struct path *dir, struct dentry *dentry, ##__VA_ARGS__) \
{ \
	struct fl_object object = { .place = { .mnt = dir->mnt, .dentry = dentry } }; \
	return ret ? ret : fl_hook(number, &object); \
}
#define FL_ON_SOCKET(hook, number, ...) \
SEC(FL_LSM #hook) int BPF_PROG(fl_##hook, struct socket *sock, ##__VA_ARGS__) \
{ \
	struct fl_object object = { .file = sock->file }; \
	/* The kernel's own sockets have no file. */ \
	return ret || !object.file ? ret : fl_hook(number, &object); \
}
#define FL_ON_TASK(hook, number, ...) \
SEC(FL_LSM #hook) int BPF_PROG(fl_##hook, ##__VA_ARGS__) \
{ \
	struct fl_object object = {}; \
	return ret ? ret : fl_hook(number, &object); \
}

FL_ON_FILE(file_open, FL_HOOK_FILE_OPEN, int ret)
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

SEC(FL_LSM "file_permission")
int BPF_PROG(fl_file_permission, struct file *file, int mask, int ret)
{
	struct fl_object object = { .file = file, .mask = mask };

	return ret ? ret : fl_hook(FL_HOOK_FILE_PERMISSION, &object);
}

/* Of link() the new name is the one that is made. */
SEC(FL_LSM "path_link")
int BPF_PROG(fl_path_link, struct dentry *old, const struct path *dir, struct dentry *dentry, int ret)
{
	struct fl_object object = { .place = { .mnt = dir->mnt, .dentry = dentry } };

	return ret ? ret : fl_hook(FL_HOOK_PATH_LINK, &object);
}

SEC(FL_LSM "bprm_check_security")
int BPF_PROG(fl_bprm_check_security, struct linux_binprm *bprm, int ret)
{
	struct fl_object object = { .file = bprm->file };

	return ret ? ret : fl_hook(FL_HOOK_BPRM_CHECK_SECURITY, &object);
}

FL_ON_TASK(task_alloc, FL_HOOK_TASK_ALLOC, void *task, unsigned long flags, int ret)
FL_ON_TASK(task_kill, FL_HOOK_TASK_KILL, void *task, void *info, int sig, const void *cred, int ret)

SEC(FL_LSM "socket_create")
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

#endif
