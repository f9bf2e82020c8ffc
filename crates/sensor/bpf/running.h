/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Which processes of pods run already.
 *
 * Here: the way through all processes of the machine, when user space asks for it (a test run of the
 * program, which is attached to nothing). Not here: what is told of one (ancestry.h).
 * The kernel holds RCU's read lock and does not preempt a test run. So no task that is reached goes
 * away meanwhile, and one that was taken out of the list still leads on to the rest of it. What is
 * forked meanwhile comes last, and is remembered by its fork. Every run has an end: RUNNING_LIMIT
 * processes, RUNNING_TOLD records; what was told is not told again, so that the next run goes on.
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

/* Whether nothing was told of a process of a pod that has to be. What a runtime runs in the cgroups of
 * a pod with the root directory of the machine is not the pod's, unless a process of the pod began it. */
static __always_inline bool has_to_be_told(struct task_struct *task, u64 machine_root)
{
	u64 cgroup = cgroup_of((u64)task);

	if (!(flags_of_cgroup((u64)task, cgroup) & CGROUP_OF_POD))
		return false;
	if (is_of_others(number_of_cgroup((u64)task, cgroup)) || is_told_of_pod(task))
		return false;
	if (is_tracked_of_pod(task) || is_tracked_of_pod(BPF_CORE_READ(task, real_parent)))
		return true;
	return root_of(task) != machine_root && !is_about_to_begin(task, machine_root);
}

/* Looks at one process; 1: it was the last one. */
static long look_at_process(u32 index, void *nothing)
{
	struct search *search = search_of_this_cpu();
	struct task_struct *leader, *thread;
	struct list_head *next;

	if (!search)
		return 1;
	leader = (void *)search->next;
	next = BPF_CORE_READ(leader, tasks.next);
	/* The idle process, at which the list begins and ends. */
	if (!BPF_CORE_READ(leader, tgid)) {
		search->ended = 0;
		return 1;
	}
	if (!next)
		return 1;
	search->next = (u64)next - bpf_core_field_offset(struct task_struct, tasks);
	thread = thread_with_memory(leader);
	if (!thread || !has_to_be_told(thread, search->machine_root))
		return 0;
	if (search->told >= RUNNING_TOLD) {
		search->ended = RUNNING_MORE;
		return 1;
	}
	tell_found((u64)thread, search->machine_root);
	if (!is_told_of_pod(thread)) {
		search->ended = RUNNING_RING_FULL;
		return 1;
	}
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
	search->ended = RUNNING_CUT;
	bpf_loop(RUNNING_LIMIT, look_at_process, 0, 0);
	return search->told | search->ended;
}

#endif
