// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Sees every program that starts in a pod, and the forks and exits of the processes that did.
 *
 * Hooks: the scheduler's tracepoints by BTF (`tp_btf`, kernel 5.5 and later), which cost nothing
 * where nothing starts, unlike programs on system calls. A process outside of pods costs a walk
 * over its cgroup's path; one in a pod some microseconds more.
 * When the ring is full a record is lost, and counted.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "record.h"
#include "kernel_diffs.h"

#define OVERLAYFS_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994
/* Most ancestors that are looked at. */
#define ANCESTORS 32

#define DATA_SIZE 16384
#define DATA_MASK (DATA_SIZE - 1)

struct scratch {
	struct exec_header header;
	/* The longest single read may begin at the last place that the mask allows. */
	u8 data[DATA_SIZE + ARGS_MAX];
};

/* What can follow a part of a path at PATHS_END: that part, two names, the arguments. */
_Static_assert(PATHS_END + 256 + 2 * NAME_MAX_BYTES + ARGS_MAX <= DATA_SIZE, "no text wraps around");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

/* Processes of pods, by number. The oldest unused one goes when it is full: then its forks are
 * not told, and what descends from it is of unknown origin. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, u64);
} tracked SEC(".maps");

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

static __always_inline void key_of(struct process_key *key, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	key->pid = BPF_CORE_READ(task, tgid);
	key->pad = 0;
	key->start = BPF_CORE_READ(leader, start_boottime);
}

static __always_inline struct scratch *scratch_of_this_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/*
 * The functions below that are not static are verified each for itself, and not once for every
 * state of their callers: the loops in them would multiply. That is why kernel pointers are
 * numbers in their arguments.
 */

/* The cgroup that tells the pod: of the one hierarchy of v2, else of pids or memory on v1. */
__noinline u64 cgroup_of(u64 task_address)
{
	struct task_struct *task = (void *)task_address;
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *node = BPF_CORE_READ(set, dfl_cgrp, kn);
	struct cgroup_subsys_state *state = 0;
	u64 at;

	if (parent_of(node))
		return (u64)node;
	/* Their numbers depend on how the kernel was configured. */
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		at = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
	else
		at = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	bpf_probe_read_kernel(&state, sizeof(state),
			      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
				  (at & 15) * sizeof(void *));
	if (!state)
		return (u64)node;
	return (u64)BPF_CORE_READ(state, cgroup, kn);
}

/*
 * Whether a path part is the outermost cgroup of all pods: it begins with "kubepods", or, with
 * systemd's driver below a cgroup root as kind's nodes have, ends in "-kubepods.slice". `next` is
 * where the part after it begins.
 */
static __always_inline bool is_kubepods(const struct scratch *scratch, u32 at, u32 next)
{
	const char prefix[] = "kubepods", suffix[] = "-kubepods.slice";
	const u8 *part = &scratch->data[at & DATA_MASK];
	const u8 *end = &scratch->data[(next - sizeof(suffix)) & DATA_MASK];
	bool begins = true, ends = next - at >= sizeof(suffix);

#pragma unroll
	for (u32 i = 0; i < sizeof(prefix) - 1; i++)
		begins = begins && part[i] == prefix[i];
#pragma unroll
	for (u32 i = 0; i < sizeof(suffix); i++)
		ends = ends && end[i] == suffix[i];
	return begins || ends;
}

/* Appends a text with its NUL; the new end. */
static __always_inline u32 append(struct scratch *scratch, u32 end, const void *text, const u32 limit)
{
	u32 at = end & DATA_MASK;
	long length;

	length = bpf_probe_read_kernel_str(&scratch->data[at], limit, text);
	if (length <= 0) {
		scratch->data[at] = 0;
		length = 1;
	}
	return at + ((u32)length & (ARGS_MAX - 1));
}

/* The cgroup from which the outermost parts of a path begin: they tell the pod, and whoever is in
 * a pod can make cgroups below its own. 0: the path has more than CGROUP_DEPTH parts. */
__noinline u64 outermost_cgroup(u64 node_address)
{
	struct kernfs_node *ahead = (void *)node_address;
	struct kernfs_node *outermost = ahead;

	for (int part = 0; part < CGROUP_DEPTH; part++) {
		if (!ahead)
			break;
		ahead = parent_of(ahead);
		if (!ahead)
			return (u64)outermost;
		if (part >= CGROUP_PARTS)
			outermost = parent_of(outermost);
	}
	return 0;
}

/* Puts the outermost parts of a cgroup's path at the beginning of the data; their length, 0 when
 * it is none of a pod. */
__noinline u32 append_cgroup(u64 node_address)
{
	struct kernfs_node *node = (void *)outermost_cgroup(node_address);
	struct scratch *scratch = scratch_of_this_cpu();
	bool pod = false;
	u32 end = 0;

	if (!scratch)
		return 0;
	if (!node) {
		count(COUNTER_CGROUP_TOO_DEEP);
		return 0;
	}
	for (int part = 0; part < CGROUP_PARTS; part++) {
		struct kernfs_node *parent;
		u32 at = end & DATA_MASK;

		if (!node)
			break;
		parent = parent_of(node);
		if (!parent)
			break;
		end = append(scratch, at, BPF_CORE_READ(node, name), 256);
		if (is_kubepods(scratch, at, end))
			pod = true;
		node = parent;
	}
	return pod ? end : 0;
}

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* Set in the answer of append_path when the path was cut. */
#define PATH_WAS_CUT (1u << 31)

/* Appends the parts of a path up to the root of its mounts; the new end. */
__noinline u32 append_path(u64 mnt_address, u64 dentry_address, u32 end)
{
	struct mount *mount = mount_of((void *)mnt_address);
	struct dentry *dentry = (void *)dentry_address;
	struct scratch *scratch = scratch_of_this_cpu();
	u32 start = end;

	if (!scratch)
		return end;
	for (int part = 0; part < PATH_PARTS; part++) {
		struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root);
		struct dentry *parent;

		if (end - start > PATH_BYTES || end > PATHS_END)
			break;
		if (dentry == root) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount)
				return end;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		parent = BPF_CORE_READ(dentry, d_parent);
		/* Else the compiler leaves the mask out, as it knows the bound; the verifier does not. */
		barrier_var(end);
		end = append(scratch, end, BPF_CORE_READ(dentry, d_name.name), 256);
		if (parent == dentry)
			/* A file without a place in the tree, as memfd makes. */
			return end;
		dentry = parent;
	}
	return end | PATH_WAS_CUT;
}

/* Where a file is; a number of enum source. */
__noinline u32 source_of(u64 mnt_address, u64 dentry_address, u64 task_address)
{
	struct vfsmount *mnt = (void *)mnt_address;
	struct dentry *dentry = (void *)dentry_address;
	struct task_struct *task = (void *)task_address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	unsigned long magic = BPF_CORE_READ(inode, i_sb, s_magic);
	struct mount *mount = mount_of(mnt);
	u64 namespace;

	/* The kernel's own mounts have no namespace, or an error in its place: no path leads there. */
	namespace = (u64)BPF_CORE_READ(mount, mnt_ns);
	if (magic == TMPFS_MAGIC && (!namespace || namespace >= (u64)-4095))
		return SOURCE_MEMORY;
	if (BPF_CORE_READ(task, fs, root.mnt) != mnt)
		return SOURCE_VOLUME;
	if (magic == OVERLAYFS_MAGIC)
		return overlay_source(inode);
	return SOURCE_UNKNOWN;
}

/* The number of a process in its own PID namespace, and that namespace. */
static __always_inline int number_of(struct task_struct *task, struct pid_namespace **ns)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid upid = {};

	bpf_probe_read_kernel(&upid, sizeof(upid),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				  (level & 31) * bpf_core_type_size(struct upid));
	*ns = upid.ns;
	return upid.nr;
}

/* What ancestors tell: whether the process joined from outside, whether it is below the first
 * process of its namespace, whether its root is its own. */
__noinline u32 ancestry(u64 task_address, u64 cgroup)
{
	struct task_struct *task = (void *)task_address;
	struct pid_namespace *ns = 0;
	struct task_struct *ancestor = task;
	struct task_struct *reaper;
	u32 flags = 0;
	bool inside = true;

	if (number_of(task, &ns) == 1)
		flags |= FLAG_NAMESPACE_INIT | FLAG_BELOW_INIT;
	reaper = BPF_CORE_READ(ns, child_reaper);
	if (reaper && cgroup_of((u64)reaper) == cgroup)
		flags |= FLAG_OWN_PID_NAMESPACE;
	for (int step = 0; step < ANCESTORS; step++) {
		ancestor = BPF_CORE_READ(ancestor, real_parent);
		if (!ancestor)
			break;
		if (inside && cgroup_of((u64)ancestor) != cgroup) {
			inside = false;
			if (step == 0)
				flags |= FLAG_PARENT_OUTSIDE_CGROUP;
		}
		if (inside && BPF_CORE_READ(ancestor, group_leader) == reaper)
			flags |= FLAG_BELOW_INIT;
		if (BPF_CORE_READ(ancestor, tgid) == 1) {
			flags |= FLAG_ROOT_KNOWN;
			if (BPF_CORE_READ(ancestor, fs, root.dentry) != BPF_CORE_READ(task, fs, root.dentry))
				flags |= FLAG_OWN_ROOT;
			break;
		}
	}
	return flags;
}

/* The 64 bits of effective capabilities, however the kernel divides them. */
static __always_inline u64 capabilities_of(const struct cred *cred)
{
	u64 bits = 0;

	bpf_probe_read_kernel(&bits, sizeof(bits),
			      (void *)cred + bpf_core_field_offset(struct cred, cap_effective));
	return bits;
}

static __always_inline u32 append_args(struct scratch *scratch, u32 end, struct task_struct *task, u32 *flags)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	unsigned long length = BPF_CORE_READ(task, mm, arg_end) - start;
	u32 at = end & DATA_MASK;

	if (length > ARGS_MAX) {
		length = ARGS_MAX;
		*flags |= FLAG_ARGS_CUT;
	}
	if (length == 0)
		return at;
	if (bpf_probe_read_user(&scratch->data[at], ((u32)(length - 1) & (ARGS_MAX - 1)) + 1,
				(void *)start)) {
		*flags |= FLAG_ARGS_UNREADABLE;
		return at;
	}
	return at + (u32)length;
}

/*
 * sched_process_exec: after the new program is in place and before its first instruction; the
 * arguments are in its memory, the credentials are the new ones.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	/* The same task as a plain number, which the functions above take. */
	u64 address = bpf_get_current_task();
	u64 cgroup = cgroup_of(address);
	struct scratch *scratch;
	struct exec_header *header;
	struct vfsmount *directory_mnt;
	struct mnt_namespace *namespace;
	u64 mnt, dentry, now;
	u32 end, start, pid, flags;

	end = append_cgroup(cgroup);
	if (!end)
		return 0;
	scratch = scratch_of_this_cpu();
	if (!scratch)
		return 0;
	count(COUNTER_EXECS);
	header = &scratch->header;
	header->cgroup_len = end;
	now = bpf_ktime_get_boot_ns();
	flags = ancestry(address, cgroup);

	header->header.kind = KIND_EXEC;
	header->header.time = now;
	key_of(&header->header.process, task);
	key_of(&header->header.parent, BPF_CORE_READ(task, real_parent));
	header->capabilities = capabilities_of(BPF_CORE_READ(task, cred));
	header->uid = BPF_CORE_READ(task, cred, euid.val);
	header->gid = BPF_CORE_READ(task, cred, egid.val);
	namespace = BPF_CORE_READ(task, nsproxy, mnt_ns);
	header->mount_namespace = unique_id_of(namespace);

	mnt = (u64)BPF_CORE_READ(bprm, file, f_path.mnt);
	dentry = (u64)BPF_CORE_READ(bprm, file, f_path.dentry);
	header->source = source_of(mnt, dentry, address);
	start = end;
	end = append_path(mnt, dentry, end);
	if (end & PATH_WAS_CUT)
		flags |= FLAG_PATH_CUT;
	end &= ~PATH_WAS_CUT;
	header->path_len = end - start;
	start = end;
	end = append(scratch, end, BPF_CORE_READ(bprm, filename), NAME_MAX_BYTES);
	header->filename_len = end - start;
	start = end;
	end = append(scratch, end, BPF_CORE_READ(bprm, interp), NAME_MAX_BYTES);
	header->interp_len = end - start;
	start = end;
	/* Where relative paths begin, in arguments too: those of a script that an interpreter is
	 * handed, say. */
	directory_mnt = BPF_CORE_READ(task, fs, pwd.mnt);
	end = append_path((u64)directory_mnt, (u64)BPF_CORE_READ(task, fs, pwd.dentry), end);
	/* By a descriptor one can stay in a mount of another namespace, or in one that was taken
	 * away: the path is there then, but from another root. */
	if (end & PATH_WAS_CUT || BPF_CORE_READ(mount_of(directory_mnt), mnt_ns) != namespace)
		flags |= FLAG_DIRECTORY_CUT;
	end &= ~PATH_WAS_CUT;
	header->directory_len = end - start;
	start = end;
	end = append_args(scratch, end, task, &flags);
	header->args_len = end - start;
	header->header.flags = flags;

	pid = header->header.process.pid;
	if (bpf_map_update_elem(&tracked, &pid, &header->header.process.start, 0))
		count(COUNTER_TRACK_FAILED);
	if (bpf_ringbuf_output(&records, scratch, sizeof(*header) + (end & (2 * DATA_SIZE - 1)), 0))
		count(COUNTER_EXECS_LOST);
	return 0;
}

/* sched_process_fork: a child of a process that is remembered is remembered too. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct header header = {};
	u32 pid = BPF_CORE_READ(parent, tgid);

	/* A thread is no process. */
	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0;
	if (!bpf_map_lookup_elem(&tracked, &pid))
		return 0;
	header.kind = KIND_FORK;
	header.time = bpf_ktime_get_boot_ns();
	key_of(&header.process, child);
	key_of(&header.parent, parent);
	if (bpf_map_update_elem(&tracked, &header.process.pid, &header.process.start, 0))
		count(COUNTER_TRACK_FAILED);
	if (bpf_ringbuf_output(&records, &header, sizeof(header), 0))
		count(COUNTER_PROCESS_EVENTS_LOST);
	return 0;
}

/* sched_process_exit: the end of the first thread, which is as good as the end of the process. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct header header = {};
	u32 pid = BPF_CORE_READ(task, tgid);

	if (BPF_CORE_READ(task, pid) != pid || !bpf_map_lookup_elem(&tracked, &pid))
		return 0;
	bpf_map_delete_elem(&tracked, &pid);
	header.kind = KIND_EXIT;
	header.time = bpf_ktime_get_boot_ns();
	key_of(&header.process, task);
	if (bpf_ringbuf_output(&records, &header, sizeof(header), 0))
		count(COUNTER_PROCESS_EVENTS_LOST);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
