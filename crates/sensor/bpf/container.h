/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Which container a process is of, and where its files come from.
 *
 * Here: what is remembered of each container that was made since the programs run, by the number of its
 * cgroup: the file system and the mount namespace that the runtime gave it, and its first process. Not here:
 * when its cgroup is made and removed (cgroup_events.h), what a process descends from (ancestry.h). Only the
 * runtime writes here: an entry is made with the cgroup, filled by the first exec that the runtime starts
 * there, and ends with the cgroup. A full map takes no further container and drops none: of one that has no
 * entry, nothing is proven, and no file is the image's.
 */
#ifndef BAILIFF_CONTAINER_H
#define BAILIFF_CONTAINER_H

#include "text.h"

#define OVERLAYFS_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994

struct container {
	/* The superblock of the root directory that its first process had; 0: none was started yet. It is
	 * never used for another one meanwhile, as the runtime has it mounted until the container is gone. */
	u64 superblock;
	/* A number that no other mount namespace has: that of its first process. */
	u64 mount_namespace;
	/* The session of its first process. */
	u64 session;
	/* When that process was started. */
	u64 started;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct container);
} containers SEC(".maps");

/* The number of the container's cgroup that a cgroup is, or is below; 0: there is none. What is pushed out is
 * found again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, u64);
	__type(value, u64);
} container_numbers SEC(".maps");

/* Whether a part of a path, which ends before `next`, is a class of pods: "burstable", "besteffort" or
 * "guaranteed", or with systemd's driver "kubepods-burstable.slice". Told from a pod's by a few bytes: that
 * begins with "pod", or ends in hexadecimal digits. */
static __always_inline bool is_class(const struct scratch *scratch, u32 next)
{
	const u8 *end = &scratch->data[(next - sizeof("able.slice")) & DATA_MASK];
	const u8 *part = scratch->data;

	if (next == sizeof("burstable") || next == sizeof("besteffort"))
		return part[0] == 'b' || part[0] == 'g';
	if (next <= sizeof("able.slice") || end[4] != '.')
		return false;
	return (end[0] == 'a' && end[1] == 'b' && end[2] == 'l' && end[3] == 'e') ||
	       (end[0] == 'f' && end[1] == 'o' && end[2] == 'r' && end[3] == 't');
}

/* The cgroup of the container that a cgroup is, or is below: the one below the pod's. As for the pod, the
 * outermost part counts that begins one. 0: there is none. */
__noinline u64 container_cgroup_of(u64 node_address)
{
	struct kernfs_node *node = (void *)outermost_cgroup(node_address);
	struct scratch *scratch = scratch_of_this_cpu(SCRATCH_FOUND);
	/* What is one, two and three parts below. */
	u64 child = 0, second = 0, third = 0, container = 0;
	bool child_is_class = false;

	if (!scratch)
		return 0;
	for (int part = 0; part < CGROUP_PARTS; part++) {
		struct kernfs_node *parent;
		u32 next;

		if (!node)
			break;
		parent = parent_of(node);
		if (!parent)
			break;
		next = append(scratch, 0, BPF_CORE_READ(node, name), 256);
		if (is_kubepods(scratch, 0, next))
			container = child_is_class ? third : second;
		child_is_class = is_class(scratch, next);
		third = second;
		second = child;
		child = (u64)node;
		node = parent;
	}
	return container;
}

/* The number of the cgroup of the container that a task's cgroup is, or is below; 0: there is none. */
__noinline u64 container_number(u64 task_address, u64 node_address)
{
	u64 number = number_of_cgroup(task_address, node_address);
	u64 container, found = 0, *cached;

	if (bpf_map_lookup_elem(&containers, &number))
		return number;
	cached = bpf_map_lookup_elem(&container_numbers, &number);
	if (cached)
		return *cached;
	container = container_cgroup_of(node_address);
	if (container) {
		struct kernfs_node *node = (void *)container;

		found = (BPF_CORE_READ(node, id) & ~CGROUP_OF_V1) | (number & CGROUP_OF_V1);
	}
	bpf_map_update_elem(&container_numbers, &number, &found, 0);
	return found;
}

/* The number of the container's cgroup by that of a cgroup that was seen before; 0: it is not remembered. */
static __always_inline u64 container_of_number(u64 number)
{
	u64 *cached;

	if (bpf_map_lookup_elem(&containers, &number))
		return number;
	cached = bpf_map_lookup_elem(&container_numbers, &number);
	return cached ? *cached : 0;
}

/* A task's session, as the address that the kernel has it at. */
static __always_inline u64 session_of(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	u64 session = 0;

	bpf_probe_read_kernel(&session, sizeof(session),
			      (void *)signal + bpf_core_field_offset(struct signal_struct, pids) +
				  bpf_core_enum_value(enum pid_type, PIDTYPE_SID) * sizeof(void *));
	return session;
}

/*
 * What is known of a process and the container that its cgroup names, as flags. `home` is the container that
 * the process is remembered to be of, if any; `by_runtime`: the runtime brought it in by this exec.
 *
 * A container's first process is the one that was started first of all that the runtime brings in: the
 * runtime makes it before the container runs, and a hook's only then. A hook's can still execute something
 * before it.
 */
__noinline u32 flags_of_container(u64 task_address, u64 number, u64 home, u32 by_runtime)
{
	struct task_struct *task = (void *)task_address;
	struct container *container = bpf_map_lookup_elem(&containers, &number);
	u64 session, started, namespace;
	u32 flags = FLAG_CONTAINER_SEEN;

	if (!container)
		return 0;
	session = session_of(task);
	namespace = unique_id_of(BPF_CORE_READ(task, nsproxy, mnt_ns));
	if (by_runtime) {
		started = BPF_CORE_READ(task, group_leader, start_boottime);
		if (!container->superblock) {
			container->mount_namespace = namespace;
			container->session = session;
			container->started = started;
			container->superblock = (u64)BPF_CORE_READ(task, fs, root.mnt, mnt_sb);
		} else if (started < container->started) {
			container->session = session;
			container->started = started;
		}
	}
	if (!container->superblock)
		return flags;
	flags |= FLAG_CONTAINER_STARTED;
	if (by_runtime || home == number || (namespace && namespace == container->mount_namespace))
		flags |= FLAG_CONTAINER_PROVEN;
	if (session && session == container->session)
		flags |= FLAG_INIT_SESSION;
	else if (by_runtime)
		flags |= FLAG_JOINED_CONTAINER;
	return flags;
}

/* The cgroup that a process is remembered by which was not remembered before: none where another's was
 * claimed. */
static __always_inline u64 proven_cgroup(u32 flags, u64 number)
{
	return flags & FLAG_CONTAINER_SEEN && !(flags & FLAG_CONTAINER_PROVEN) ? 0 : number;
}

/* The container that the process is of which is executed; 0: it is not known. Not on the stack, of which all
 * functions that call each other have 512 bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} executed_in SEC(".maps");

/* Where a file is that is executed; a number of enum source. */
__noinline u32 source_of(u64 mnt_address, u64 dentry_address, u64 task_address)
{
	struct container *container = 0;
	struct vfsmount *mnt = (void *)mnt_address;
	struct dentry *dentry = (void *)dentry_address;
	struct task_struct *task = (void *)task_address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct super_block *superblock = BPF_CORE_READ(inode, i_sb);
	unsigned long magic = BPF_CORE_READ(superblock, s_magic);
	struct mount *mount = mount_of(mnt);
	u64 namespace, *number;
	u32 zero = 0;

	/* The kernel's own mounts have no namespace, or an error in its place: no path leads there. */
	namespace = (u64)BPF_CORE_READ(mount, mnt_ns);
	if (magic == TMPFS_MAGIC && (!namespace || namespace >= (u64)-4095))
		return SOURCE_MEMORY;
	number = bpf_map_lookup_elem(&executed_in, &zero);
	if (number)
		container = bpf_map_lookup_elem(&containers, number);
	/* Whatever root directory the process has: one that it mounted itself is not the image. */
	if (!container || !container->superblock)
		return SOURCE_UNKNOWN;
	if ((u64)superblock != container->superblock)
		return SOURCE_VOLUME;
	if (magic == OVERLAYFS_MAGIC)
		return overlay_source(inode);
	/* Image and volumes can be in one file system then. */
	return BPF_CORE_READ(task, fs, root.mnt) == mnt ? SOURCE_UNKNOWN : SOURCE_VOLUME;
}

#endif
