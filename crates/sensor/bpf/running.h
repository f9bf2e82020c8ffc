/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Which processes of pods run already.
 *
 * Here: the way through all processes of the machine, when user space asks for it (a test run of the
 * program, which is attached to nothing). Not here: what is told of one (ancestry.h).
 * The kernel holds RCU's read lock and does not preempt a test run. So no task that is reached goes
 * away meanwhile, and one that was taken out of the list still leads on to the rest of it. What is
 * forked meanwhile comes last, and is remembered by its fork. Every run has an end: RUNNING_LIMIT
 * processes, RUNNING_TOLD records; what was told is not told again, so that the next run goes on. A process
 * of a pod that has used up its room is not told: it would be again.
 */
#ifndef BAILIFF_RUNNING_H
#define BAILIFF_RUNNING_H

#include "ancestry.h"

/* Most threads of a process that are looked at for one that has not ended. */
#define RUNNING_THREADS 64

/* How far a run came. */
struct search {
	/* The first thread of the process that is looked at next. */
	u64 next;
	u64 machine_root;
	u32 told;
	/* Bits of enum running. */
	u32 ended;
	/* RUNNING_NO_ROOM, where a process was seen that there is no room to remember; else 0. */
	u32 no_room;
	/* RUNNING_RING_FULL, where a process was seen whose pod has its part of the ring; else 0. */
	u32 ring_full;
};

/* Not on the stack: verifiers before 6.7 follow a loop for one round, in which a number that begins there
 * with 0 never reaches a limit. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct search);
} searches SEC(".maps");

static __always_inline struct search *search_of_this_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&searches, &zero);
}

/* A thread that has not ended, by which the memory of its process is found; 0: none is seen. The first
 * one keeps its place in the list while others run on. */
static __always_inline struct task_struct *thread_with_memory(struct task_struct *leader)
{
	struct signal_struct *signal = BPF_CORE_READ(leader, signal);
	struct list_head *node = BPF_CORE_READ(signal, thread_head.next);
	void *head = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);

	if (BPF_CORE_READ(leader, mm))
		return leader;
	for (int i = 0; i < RUNNING_THREADS; i++) {
		struct task_struct *thread;

		if (!node || (void *)node == head)
			return 0;
		thread = (void *)node - bpf_core_field_offset(struct task_struct, thread_node);
		if (BPF_CORE_READ(thread, mm))
			return thread;
		node = BPF_CORE_READ(node, next);
	}
	return 0;
}

/*
 * Whether a process is the runtime's, which has made the container's root its own and waits to execute
 * what the container runs: nothing of the container started it, and no path of the container leads to what
 * it runs itself.
 */
static __always_inline bool is_about_to_begin(struct task_struct *task, u64 machine_root)
{
	struct vfsmount *mnt = BPF_CORE_READ(task, mm, exe_file, f_path.mnt);

	return BPF_CORE_READ(mount_of(mnt), mnt_ns) != BPF_CORE_READ(task, nsproxy, mnt_ns) &&
	       is_outside((u64)BPF_CORE_READ(task, real_parent), machine_root);
}

/* Whether nothing was told of a process in the cgroups of a pod. */
static __always_inline bool is_untold_in_pod(struct task_struct *task, u64 cgroup)
{
	if (!(flags_of_cgroup((u64)task, cgroup) & CGROUP_OF_POD))
		return false;
	return !is_of_others(number_of_cgroup((u64)task, cgroup)) && !is_told_of_pod(task);
}

/* Whether a process in the cgroups of a pod is the runtime's. What that runs with the root directory of the
 * node is not the pod's, unless a process of the pod began it. */
static __always_inline bool is_of_runtime(struct task_struct *task, u64 node_root)
{
	if (is_tracked_of_pod(task) || is_tracked_of_pod(BPF_CORE_READ(task, real_parent)))
		return false;
	return root_of(task) == node_root || is_about_to_begin(task, node_root);
}

/* Whether anything is remembered of a process. */
static __always_inline bool is_remembered(struct task_struct *task)
{
	struct process_key key;

	key_of(&key, task);
	return tracked_of(&key);
}

/* Looks at one process; 1: it was the last one. */
static long look_at_process(u32 index, void *nothing)
{
	struct search *search = search_of_this_cpu();
	struct task_struct *leader, *thread;
	struct list_head *next;
	u64 cgroup, number, node_root;
	u32 not_told;

	if (!search)
		return 1;
	leader = (void *)search->next;
	next = BPF_CORE_READ(leader, tasks.next);
	/* The idle process, at which the list begins and ends. */
	if (!BPF_CORE_READ(leader, tgid)) {
		search->ended = search->no_room | search->ring_full;
		return 1;
	}
	if (!next)
		return 1;
	search->next = (u64)next - bpf_core_field_offset(struct task_struct, tasks);
	thread = thread_with_memory(leader);
	if (!thread)
		return 0;
	cgroup = cgroup_of((u64)thread);
	if (!is_untold_in_pod(thread, cgroup))
		return 0;
	node_root = node_root_of((u64)thread);
	if (!node_root)
		node_root = search->machine_root;
	if (is_of_runtime(thread, node_root))
		return 0;
	/* Each run would tell of it, and of nothing else in the end. */
	number = number_of_cgroup((u64)thread, cgroup);
	if (!is_remembered(thread) && !has_room(number)) {
		if (!search->no_room)
			not_tracked();
		search->no_room = RUNNING_NO_ROOM;
		return 0;
	}
	/* Others are found all the same. */
	if (has_its_part(share_of_cgroup(number))) {
		search->ring_full = RUNNING_RING_FULL;
		return 0;
	}
	if (search->told >= RUNNING_TOLD) {
		search->ended = RUNNING_MORE;
		return 1;
	}
	not_told = tell_found((u64)thread, node_root);
	if (not_told == RING_IS_FULL) {
		search->ended = RUNNING_RING_FULL;
		return 1;
	}
	if (not_told == NOT_REMEMBERED)
		search->no_room = RUNNING_NO_ROOM;
	search->told++;
	return 0;
}

/*
 * Tells of the processes of pods of which nothing was told; how many, and bits of enum running. What is
 * above the one that asks leads to the first process of the machine, also from within PID namespaces.
 */
SEC("raw_tp")
int running_processes(void *context)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct search *search = search_of_this_cpu();

	if (!search)
		return RUNNING_CUT;
	for (int step = 0; step < ANCESTORS; step++) {
		if (!task || BPF_CORE_READ(task, tgid) == 1)
			break;
		task = BPF_CORE_READ(task, real_parent);
	}
	if (!task || BPF_CORE_READ(task, tgid) != 1)
		return RUNNING_WITHOUT_FIRST;
	search->machine_root = root_of(task);
	search->next = (u64)BPF_CORE_READ(task, group_leader);
	search->told = 0;
	search->no_room = 0;
	search->ring_full = 0;
	search->ended = RUNNING_CUT;
	bpf_loop(RUNNING_LIMIT, look_at_process, 0, 0);
	return search->told | search->ended;
}

#endif
