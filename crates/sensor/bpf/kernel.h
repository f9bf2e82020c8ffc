/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * The kernel's structures, as far as they are read.
 *
 * Here: names and fields alone; CO-RE finds the offsets in the running kernel's BTF. Differences
 * between kernels are in kernel_diffs.h.
 */
#ifndef BAILIFF_KERNEL_H
#define BAILIFF_KERNEL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
/* The names that libbpf's headers expect. */
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;
#define bool _Bool
#define true 1
#define false 0

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

/* Flags of maps. */
enum {
	BPF_F_NO_PREALLOC = 1,
};

/* Flags of bpf_task_storage_get. */
enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

/* Flag of bpf_map_update_elem. */
enum {
	BPF_NOEXIST = 1,
};

/* Flags of bpf_ringbuf_output. */
enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

/* What bpf_ringbuf_query tells: the size, and how many bytes were ever read and written. */
enum {
	BPF_RB_RING_SIZE = 1,
	BPF_RB_CONS_POS = 2,
	BPF_RB_PROD_POS = 3,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct qstr {
	const unsigned char *name;
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	u32 i_rdev;
	struct super_block *i_sb;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};

struct mnt_namespace;

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

typedef struct {
	u32 val;
} kuid_t;

typedef struct {
	u32 val;
} kgid_t;

/* Its inside changed in 6.3 (f122a08b197d), from two words to one of the same bits. */
typedef struct {
	u64 val;
} kernel_cap_t;

struct cred {
	kuid_t euid;
	kgid_t egid;
	kernel_cap_t cap_effective;
};

struct mm_struct {
	unsigned long saved_auxv[1];
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
};

struct kernfs_node {
	const char *name;
	u64 id;
};

struct cgroup_root {
	unsigned int subsys_mask;
	int hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

enum cgroup_subsys_id {
	pids_cgrp_id = 1,
	memory_cgrp_id = 2,
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

struct task_struct;

struct pid_namespace {
	struct task_struct *child_reaper;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct net;
struct ipc_namespace;
struct uts_namespace;

struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
};

enum pid_type {
	PIDTYPE_SID = 3,
};

typedef struct {
	int counter;
} atomic_t;

struct list_head {
	struct list_head *next;
};

struct signal_struct {
	/* Threads that have not begun to end. */
	atomic_t live;
	/* Threads that the kernel has not let go of. */
	struct list_head thread_head;
	struct pid *pids[4];
};

struct task_struct {
	int pid;
	int tgid;
	u64 start_boottime;
	/* The first threads of all processes, after that of the kernel's idle process. */
	struct list_head tasks;
	/* Its place in `thread_head`. */
	struct list_head thread_node;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	/* What others may do to it: `cred` is another for as long as the kernel acts for it. */
	const struct cred *real_cred;
	const struct cred *cred;
	struct mm_struct *mm;
	struct css_set *cgroups;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct pid *thread_pid;
	struct signal_struct *signal;
	char comm[16];
};

struct linux_binprm {
	struct file *file;
	unsigned int secureexec : 1;
	const char *filename;
	const char *interp;
	char buf[256];
};

struct ovl_inode {
	unsigned long flags;
	struct inode vfs_inode;
	struct dentry *__upperdentry;
};

#pragma clang attribute pop

#endif
