/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Texts of a record: cgroups, paths and names, put one after the other.
 *
 * Here: the memory that a record is made in, and what is appended to it. Not here: which process a
 * record is about.
 */
#ifndef BAILIFF_TEXT_H
#define BAILIFF_TEXT_H

#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "record.h"
#include "kernel_diffs.h"

#define DATA_SIZE 16384
#define DATA_MASK (DATA_SIZE - 1)

/* What is remembered of a cgroup: no cgroup's path changes, but for the last part on v1, and then
 * the first one counts. */
struct known_cgroup {
	/* CGROUP_OF_POD or CGROUP_TOO_DEEP. */
	u32 flags;
	/* One more than the round in which a record had its path; 0: none had. */
	u32 told;
	/* Whose share processes in it take of what is bounded for each pod, as the number of another cgroup;
	 * 0: it is of no pod. */
	u64 share;
};

struct scratch {
	struct exec_header header;
	/* The longest single read may begin at the last place that the mask allows. */
	u8 data[DATA_SIZE + ARGS_HEAD];
	/* Which of the parts that append_cgroup put is the cgroup of all pods; 0 also where none is. */
	u32 pods_part;
	/* Not on the stack: what is remembered of a cgroup next. */
	struct known_cgroup known;
};

/* What can follow a part of a path at PATHS_END: that part, two names, the arguments. */
_Static_assert(PATHS_END + 256 + 2 * NAME_MAX_BYTES + ARGS_HEAD + ARGS_TAIL <= DATA_SIZE,
	       "no text wraps around");

/* Which memory: a process is found while the record of an exec is being made. */
enum scratch_use {
	SCRATCH_EXEC = 0,
	SCRATCH_FOUND = 1,
	SCRATCHES = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch_of_this_cpu(u32 use)
{
	return bpf_map_lookup_elem(&scratches, &use);
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
	return at + ((u32)length & (ARGS_HEAD - 1));
}

/* The cgroup from which the outermost parts of a path begin: they tell the pod, and a process of
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

/* Set in the answer of append_cgroup: the path is one of a pod; it was too long to tell. */
#define CGROUP_OF_POD (1u << 31)
#define CGROUP_TOO_DEEP (1u << 30)
#define CGROUP_LENGTH (DATA_SIZE - 1)

/* Puts the outermost parts of a cgroup's path at the beginning of the data; their length. */
__noinline u32 append_cgroup(u64 node_address, u32 use)
{
	struct kernfs_node *node = (void *)outermost_cgroup(node_address);
	struct scratch *scratch = scratch_of_this_cpu(use);
	bool pod = false;
	u32 end = 0;

	if (!scratch)
		return 0;
	scratch->pods_part = 0;
	if (!node)
		return CGROUP_TOO_DEEP;
	for (int part = 0; part < CGROUP_PARTS; part++) {
		struct kernfs_node *parent;
		u32 at = end & DATA_MASK;

		if (!node)
			break;
		parent = parent_of(node);
		if (!parent)
			break;
		end = append(scratch, at, BPF_CORE_READ(node, name), 256);
		if (is_kubepods(scratch, at, end)) {
			pod = true;
			scratch->pods_part = part;
		}
		node = parent;
	}
	return pod ? end | CGROUP_OF_POD : end;
}

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct known_cgroup);
} cgroups SEC(".maps");

/* User space begins a new round, in which all paths are told again, before it forgets what it was
 * told. A path is told until a record with it found room, and again when the kernel side forgot
 * that, so that no loss leaves a cgroup without one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} path_round SEC(".maps");

static __always_inline u32 round_of_now(void)
{
	u32 zero = 0;
	volatile u32 *number = bpf_map_lookup_elem(&path_round, &zero);

	return number ? *number : 0;
}

/* Cgroups of pods of other kubelets on the same kernel, as user space found by their paths. What is
 * executed there is not told. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u32);
} cgroups_of_others SEC(".maps");

static __always_inline bool is_of_others(u64 number)
{
	return bpf_map_lookup_elem(&cgroups_of_others, &number);
}

/* The kernel numbers the cgroups of each hierarchy by themselves; those of v1 have this bit here. */
#define CGROUP_OF_V1 (1ull << 63)

/* The number of a task's cgroup, as cgroup_of has it. */
static __always_inline u64 number_of_cgroup(u64 task_address, u64 node_address)
{
	struct task_struct *task = (void *)task_address;
	struct kernfs_node *node = (void *)node_address;
	u64 number = BPF_CORE_READ(node, id) & ~CGROUP_OF_V1;

	return node == BPF_CORE_READ(task, cgroups, dfl_cgrp, kn) ? number : number | CGROUP_OF_V1;
}

/* The number of the cgroup that has a share of what is bounded for each pod: the one two parts below that of
 * all pods, a pod's or, where the kubelet has no class between, a container's. Processes of a pod make none
 * so high. */
__noinline u64 cgroup_of_share(u64 node_address, u32 pods_part)
{
	struct kernfs_node___since_6_15 *now = (void *)outermost_cgroup(node_address);
	struct kernfs_node___before_6_15 *before = (void *)now;
	struct kernfs_node *node = (void *)now;

	/* Not parent_of: the compiler would move both ways to the parent out of the loop, and the verifier
	 * refuses the one of other kernels where it is not behind the question which one it is. */
	if (bpf_core_field_exists(now->__parent)) {
		for (u32 part = 0; part < CGROUP_PARTS && part + 2 < pods_part; part++)
			now = (void *)BPF_CORE_READ(now, __parent);
		node = (void *)now;
	} else {
		for (u32 part = 0; part < CGROUP_PARTS && part + 2 < pods_part; part++)
			before = (void *)BPF_CORE_READ(before, parent);
		node = (void *)before;
	}
	return BPF_CORE_READ(node, id);
}

/* Whether a task's cgroup is one of a pod, or too deep to tell. */
__noinline u32 flags_of_cgroup(u64 task_address, u64 node_address)
{
	u64 number = number_of_cgroup(task_address, node_address);
	struct known_cgroup *known = bpf_map_lookup_elem(&cgroups, &number);
	struct scratch *scratch;
	u32 flags;

	if (known)
		return known->flags;
	flags = append_cgroup(node_address, SCRATCH_FOUND) & (CGROUP_OF_POD | CGROUP_TOO_DEEP);
	scratch = scratch_of_this_cpu(SCRATCH_FOUND);
	if (!scratch)
		return flags;
	scratch->known.flags = flags;
	scratch->known.told = 0;
	scratch->known.share = flags & CGROUP_OF_POD ? cgroup_of_share(node_address, scratch->pods_part) : 0;
	bpf_map_update_elem(&cgroups, &number, &scratch->known, 0);
	return flags;
}

/* Puts the path of a cgroup at the beginning of the data, where it was not told in this round;
 * whether it did. */
static __always_inline bool append_untold_cgroup(struct exec_header *header, u64 node, u64 number, u32 round,
						 u32 use)
{
	struct known_cgroup *known = bpf_map_lookup_elem(&cgroups, &number);

	header->header.cgroup = number;
	header->cgroup_len = 0;
	if (known && known->told == round + 1)
		return false;
	header->cgroup_len = append_cgroup(node, use) & CGROUP_LENGTH;
	return true;
}

/* Whose share processes in a cgroup take, by its number; 0 also where nothing is remembered of it. */
static __always_inline u64 share_of_cgroup(u64 number)
{
	struct known_cgroup *known = bpf_map_lookup_elem(&cgroups, &number);

	return known ? known->share : 0;
}

/* A record with the path of a cgroup found room. */
static __always_inline void path_is_told(u64 number, u32 round)
{
	struct known_cgroup *known = bpf_map_lookup_elem(&cgroups, &number);

	if (known)
		known->told = round + 1;
}

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* Set in the answer of append_path when the path was cut. */
#define PATH_WAS_CUT (1u << 31)

/* Appends the parts of a path up to the root of its mounts; the new end. */
__noinline u32 append_path(u64 mnt_address, u64 dentry_address, u32 end, u32 use)
{
	struct mount *mount = mount_of((void *)mnt_address);
	struct dentry *dentry = (void *)dentry_address;
	struct scratch *scratch = scratch_of_this_cpu(use);
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

#endif
