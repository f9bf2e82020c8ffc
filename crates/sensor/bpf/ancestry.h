/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * What the parents of a process tell.
 *
 * Here: the way from a process up to where its pod ends, and the records of what was found there. Not here:
 * what is remembered of processes (tracked.h), what a program is (exec.bpf.c). A process that was not seen to
 * execute something is told by an exec below it. Every walk has an end: ANCESTORS steps to the first process
 * of the machine, PARENTS within a pod.
 */
#ifndef BAILIFF_ANCESTRY_H
#define BAILIFF_ANCESTRY_H

#include "container.h"
#include "tracked.h"

/* Most ancestors that are looked at to find the first process of the machine. */
#define ANCESTORS 32

/* The home of the nearest parent that is remembered as a process of a pod; 0: none of the nearest ones is. */
__noinline u64 home_above(u64 task_address)
{
	struct task_struct *task = (void *)task_address;

	for (u32 step = 0; step < PARENTS; step++) {
		struct tracked_process *found;
		struct process_key key;

		task = BPF_CORE_READ(task, real_parent);
		if (!task)
			break;
		key_of(&key, task);
		found = tracked_of(&key);
		if (found && found->of_pod)
			return found->home;
		if (key.pid <= 1)
			break;
	}
	return 0;
}

/* The 64 bits of effective capabilities, however the kernel divides them. */
static __always_inline u64 capabilities_of(const struct cred *cred)
{
	u64 bits = 0;

	bpf_probe_read_kernel(&bits, sizeof(bits),
			      (void *)cred + bpf_core_field_offset(struct cred, cap_effective));
	return bits;
}

static __always_inline u64 root_of(struct task_struct *task)
{
	return (u64)BPF_CORE_READ(task, fs, root.dentry);
}

/* Whether a process is none of a pod: its cgroup is none, or it is a runtime's that watches over
 * the containers from beside them, as CRI-O's does. */
__noinline u32 is_outside(u64 task_address, u64 machine_root)
{
	struct task_struct *task = (void *)task_address;

	if (!flags_of_cgroup(task_address, cgroup_of(task_address)))
		return 1;
	return machine_root && root_of(task) == machine_root && !is_tracked_of_pod(task);
}

/* The first process of a task's PID namespace. */
static __always_inline struct task_struct *reaper_of(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid upid = {};

	bpf_probe_read_kernel(&upid, sizeof(upid),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				  (level & 31) * bpf_core_type_size(struct upid));
	return BPF_CORE_READ(upid.ns, child_reaper);
}

/*
 * The root directory of the node whose runtime brought a process in: that of the first process in the PID
 * namespace of the nearest ancestor that is in no pod. Nodes that are containers themselves have roots of
 * their own. A process that left the cgroups of its pod is no ancestor of this kind: its PID namespace is the
 * pod's, or it is remembered. 0: it was not found.
 */
__noinline u64 node_root_of(u64 task_address)
{
	struct task_struct *ancestor = (void *)task_address;

	for (int step = 0; step < ANCESTORS; step++) {
		struct task_struct *reaper;

		ancestor = BPF_CORE_READ(ancestor, real_parent);
		if (!ancestor)
			break;
		if (flags_of_cgroup((u64)ancestor, cgroup_of((u64)ancestor)) || is_tracked_of_pod(ancestor))
			continue;
		reaper = reaper_of(ancestor);
		if (!reaper || flags_of_cgroup((u64)reaper, cgroup_of((u64)reaper)) ||
		    is_tracked_of_pod(reaper))
			continue;
		return root_of(reaper);
	}
	return 0;
}

/* Whether two cgroups are, or are below, that of one container: its first process can go to one of its own.
 */
static __always_inline bool is_same_container(u64 task_address, u64 cgroup, struct task_struct *other,
					      u64 others)
{
	u64 number;

	if (!(flags_of_cgroup((u64)other, others) & CGROUP_OF_POD))
		return false;
	number = container_number(task_address, cgroup);
	return number && number == container_number((u64)other, others);
}

/* FLAG_OWN_PID_NAMESPACE and FLAG_INIT_SESSION. A PID namespace that a process of a pod made proves
 * nothing: its first process has a parent in the pod. */
__noinline u32 session_flags(u64 task_address, u64 cgroup, u64 machine_root)
{
	struct task_struct *task = (void *)task_address;
	struct task_struct *reaper = reaper_of(task);
	u64 session = session_of(task);
	u64 reapers;
	u32 flags = 0;

	if (!reaper)
		return 0;
	reapers = cgroup_of((u64)reaper);
	if (reapers == cgroup || is_same_container(task_address, cgroup, reaper, reapers))
		flags |= FLAG_OWN_PID_NAMESPACE;
	if (!session || session != session_of(reaper))
		return flags;
	/* The first process of a whole machine is in no pod. */
	if (reapers != cgroup && !(flags_of_cgroup((u64)reaper, reapers) & CGROUP_OF_POD))
		return flags;
	if (is_outside((u64)BPF_CORE_READ(reaper, real_parent), machine_root))
		flags |= FLAG_INIT_SESSION;
	return flags;
}

/*
 * What ancestors tell about a process that is executed: its root, whether the runtime brought it
 * in, its session. Leaves the way up in this CPU's walk: no parents where user space knows what the
 * process descends from, or where it left the cgroups of its pod.
 */
__noinline u32 ancestry(u64 task_address, u64 cgroup, u32 tracked_of_pod, u32 untold, u32 left)
{
	struct task_struct *task = (void *)task_address;
	struct task_struct *ancestor = task;
	struct walk *walk = walk_of_this_cpu();
	u64 machine_root = 0, node_root;
	u32 flags = 0;

	if (!walk)
		return 0;
	for (int step = 0; step < ANCESTORS; step++) {
		ancestor = BPF_CORE_READ(ancestor, real_parent);
		if (!ancestor)
			break;
		if (BPF_CORE_READ(ancestor, tgid) == 1) {
			machine_root = root_of(ancestor);
			flags |= FLAG_ROOT_KNOWN;
			if (machine_root != root_of(task))
				flags |= FLAG_OWN_ROOT;
			break;
		}
	}
	walk->machine_root = machine_root;
	walk->outside = 0;
	walk->count = 0;
	walk->of_pod = tracked_of_pod || !machine_root;
	if (left)
		return flags;
	ancestor = BPF_CORE_READ(task, real_parent);
	/* Nearly all: what a process of a pod started. */
	if (tracked_of_pod && !untold && cgroup_of((u64)ancestor) == cgroup)
		return flags;
	node_root = node_root_of(task_address);
	if (node_root) {
		machine_root = node_root;
		walk->machine_root = node_root;
		walk->of_pod = tracked_of_pod;
		flags = FLAG_ROOT_KNOWN | (root_of(task) == node_root ? 0 : FLAG_OWN_ROOT);
	}
	flags |= session_flags(task_address, cgroup, machine_root);
	for (u32 step = 0; step <= PARENTS; step++) {
		if (!ancestor)
			break;
		if (step == PARENTS || is_told_of_pod(ancestor)) {
			walk->of_pod = 1;
			break;
		}
		/* The runtime can be in the container's own cgroup, where CRI-O's monitor of an exec goes
		 * with monitor_exec_cgroup = "container". Then only what has a root of its own shows where it
		 * ends. */
		if ((cgroup_of((u64)ancestor) != cgroup || flags & FLAG_OWN_ROOT) &&
		    is_outside((u64)ancestor, machine_root)) {
			walk->outside = (u64)ancestor;
			if (step == 0)
				flags |= FLAG_PARENT_OUTSIDE_CGROUP;
			break;
		}
		walk->parents[step & (PARENTS - 1)] = (u64)ancestor;
		walk->count = step + 1;
		ancestor = BPF_CORE_READ(ancestor, real_parent);
	}
	return flags;
}

/* What is known of a process that is found and its container, as flags. FLAG_PATH_CUT, as for an exec, where
 * its executable is in a mount of another namespace: no path leads there. */
__noinline u32 flags_of_found(u64 task_address, u64 cgroup)
{
	struct task_struct *task = (void *)task_address;
	struct vfsmount *mnt = BPF_CORE_READ(task, mm, exe_file, f_path.mnt);
	u64 container = container_number(task_address, cgroup);
	struct tracked_process *known;
	struct process_key key;
	u64 home = 0;
	u32 flags;

	key_of(&key, task);
	known = tracked_of(&key);
	if (known && known->of_pod)
		home = container_of_number(known->home);
	flags = flags_of_container(task_address, container, home, false);
	if (BPF_CORE_READ(mount_of(mnt), mnt_ns) != BPF_CORE_READ(task, nsproxy, mnt_ns))
		flags |= FLAG_PATH_CUT;
	return flags;
}

/* What tell_found came to, but for 0. */
enum not_told {
	/* The record found no room in the ring. */
	RING_IS_FULL = 1,
	/* The process was told of, and is not remembered. */
	NOT_REMEMBERED = 2,
};

/* Tells of one process of a pod of which nothing was told; a number of enum not_told, or 0. */
__noinline u32 tell_found(u64 task_address, u64 machine_root)
{
	struct task_struct *task = (void *)task_address;
	struct scratch *scratch = scratch_of_this_cpu(SCRATCH_FOUND);
	u64 cgroup = cgroup_of(task_address);
	struct walk *walk = walk_of_this_cpu();
	struct tracked_process *before, *known;
	struct exec_header *header;
	struct task_struct *leader;
	struct process_key key;
	u32 end, start, flags;

	if (!scratch || !walk)
		return 0;
	before = &walk->before[1];
	/* Asked first: it uses the same memory. */
	flags = session_flags(task_address, cgroup, machine_root);
	if (!(flags_of_cgroup(task_address, cgroup) & CGROUP_OF_POD))
		return 0;
	flags |= flags_of_found(task_address, cgroup);
	header = &scratch->header;
	__builtin_memset(header, 0, sizeof(*header));
	walk->round[1] = round_of_now();
	if (append_untold_cgroup(header, cgroup, number_of_cgroup(task_address, cgroup), walk->round[1],
				 SCRATCH_FOUND))
		flags |= FLAG_CGROUP_PATH;
	end = header->cgroup_len;
	header->header.kind = KIND_FOUND;
	header->header.time = bpf_ktime_get_boot_ns();
	key_of(&key, task);
	header->header.process = key;
	known = tracked_of(&key);
	if (known)
		*before = *known;
	else
		__builtin_memset(before, 0, sizeof(*before));
	parent_of_record(&header->header, before, BPF_CORE_READ(task, real_parent));
	header->mount_namespace = unique_id_of(BPF_CORE_READ(task, nsproxy, mnt_ns));
	header->capabilities = capabilities_of(BPF_CORE_READ(task, real_cred));
	header->uid = BPF_CORE_READ(task, real_cred, euid.val);
	header->gid = BPF_CORE_READ(task, real_cred, egid.val);
	start = end;
	end = append_path((u64)BPF_CORE_READ(task, mm, exe_file, f_path.mnt),
			  (u64)BPF_CORE_READ(task, mm, exe_file, f_path.dentry), end, SCRATCH_FOUND);
	if (end & PATH_WAS_CUT)
		flags |= FLAG_PATH_CUT;
	end &= ~PATH_WAS_CUT;
	header->path_len = end - start;
	start = end;
	leader = BPF_CORE_READ(task, group_leader);
	end = append(scratch, end, (void *)leader + bpf_core_field_offset(struct task_struct, comm), 16);
	header->filename_len = end - start;
	header->header.flags = flags;
	walk->share[1] = before->start ? before->share : share_of_cgroup(header->header.cgroup);
	if (!tell(walk->share[1], scratch, sizeof(*header) + (end & (2 * DATA_SIZE - 1)), BPF_RB_NO_WAKEUP)) {
		count(COUNTER_PROCESS_EVENTS_LOST);
		return RING_IS_FULL;
	}
	if (flags & FLAG_CGROUP_PATH)
		path_is_told(header->header.cgroup, walk->round[1]);
	if (!track(walk, &key, before, proven_cgroup(flags, header->header.cgroup), true))
		return NOT_REMEMBERED;
	return 0;
}

/* Tells of the parents that were found, outermost first; whether the process below them is of the
 * pod. What a runtime runs above the first process with a root of its own is not. */
__noinline u32 tell_parents(u32 of_pod)
{
	struct walk *walk = walk_of_this_cpu();
	u64 parents;

	if (!walk)
		return of_pod;
	parents = walk->count;
	for (u32 i = 0; i < PARENTS; i++) {
		struct task_struct *parent;

		if (i >= parents)
			break;
		parent = (void *)walk->parents[(parents - 1 - i) & (PARENTS - 1)];
		if (!of_pod && root_of(parent) == walk->machine_root)
			continue;
		of_pod = 1;
		tell_found((u64)parent, walk->machine_root);
	}
	return of_pod;
}

#endif
