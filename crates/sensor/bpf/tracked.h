/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Which processes user space was told of, and what descends from them.
 *
 * Here: the ring, what is counted, the processes that are remembered, and the records of what ended. Not
 * here: the way up from a process (ancestry.h), what a program is (exec.bpf.c). User space is told of a
 * process that executes something. What is forked is remembered here alone, with the process that user space
 * knows. What is remembered of a process stays until it ends: nothing makes room for others. A pod has a
 * share of the room; where that is used up, or all of it, a new process is not remembered, and that is
 * counted. So it has of the ring: when half of that is full, who has an eighth of it loses its own records
 * first.
 *
 * Not in the memory of the tasks: a process keeps its number and its start whichever of its threads executes
 * something, but not its task; parents are looked up by address; and memory of tasks has no bound.
 */
#ifndef BAILIFF_TRACKED_H
#define BAILIFF_TRACKED_H

#include "text.h"

/* Most parents of which nothing was told that one exec tells, the nearest ones; a power of two. */
#define PARENTS 16
/* Most processes that are remembered of a pod, or of a container. */
#define TRACKED_OF_POD 4096
/* What bpf_map_update_elem returns for a key that is there, with BPF_NOEXIST. */
#define EEXIST 17

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 * 1024 * 1024);
} records SEC(".maps");

/* Whether who reads the ring sleeps until it is woken: 1, else 0. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} asleep SEC(".maps");

/* How an exec is handed over. A wake-up costs several times what the record does, so there is one only for
 * who sleeps. Other records ask for none: an exec follows soon, or nothing waits for them. The choice is
 * never the kernel's own: it wakes nobody for a record that follows one which asked for no wake-up. */
static __always_inline u64 wakeup_of_exec(void)
{
	u32 zero = 0;
	volatile u32 *flag = bpf_map_lookup_elem(&asleep, &zero);

	return flag && *flag ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

struct tracked_process {
	u64 start;
	/* The process that executed what this one runs, as user space was told: itself, or the one that
	 * it was forked from, directly or not. */
	struct process_key executor;
	/* When it, or the one that it was forked from, was forked from the executor; 0: it is that. */
	u64 forked;
	/* The cgroup that it was in when it was told of first, or that of the process that it descends
	 * from: it stays that pod's wherever it goes. */
	u64 home;
	/* Whose share of the room it takes: what text.h has for the cgroup that was its home at first. */
	u64 share;
	/* Not one of the container runtime, which works in the cgroup of a container, too. */
	u32 of_pod;
	/* Something was executed since, by it or by the one that it was forked from, and the record found
	 * no room in the ring: who executes something below looks at the parents. */
	u32 untold;
};

/* Processes that user space was told of, and what was forked from them, by number. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TRACKED_MOST);
	__type(key, u32);
	__type(value, struct tracked_process);
} tracked SEC(".maps");

/* How many of the processes above have each executor. What user space knows of it is needed until
 * the last one ended or executed something: only who is counted can fork another. It never has more
 * than the map above, as each has a process of its own there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TRACKED_MOST);
	__type(key, struct process_key);
	__type(value, u64);
} executors SEC(".maps");

/* By their numbers (text.h). One that is forgotten is counted from 0 again; that takes 8,192 pods or
 * containers, which only the kubelet and the runtime make. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct share);
} shares SEC(".maps");

/* Whether a process of a pod could not be remembered since the programs were loaded: 1, else 0. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} not_all_tracked SEC(".maps");

/* What was seen on the way up. */
struct walk {
	/* The root directory of the machine's first process; 0: it was not found. */
	u64 machine_root;
	/* The first ancestor outside of the pod; 0: the way ended before. */
	u64 outside;
	/* Whether all of `parents` are of the pod, with any root. */
	u64 of_pod;
	u64 count;
	/* Ancestors of which nothing was told, nearest first. */
	u64 parents[PARENTS];
	/* Not on the stack, of which all functions that call each other have 512 bytes before 6.13: what
	 * was remembered of the process that is executed, and of the one that is found; what is
	 * remembered next; what is not any more; the record of an end. */
	struct tracked_process before[2];
	struct tracked_process after;
	struct tracked_process gone;
	struct header ended;
	/* A share of which nothing is counted yet. */
	struct share none;
	/* Rounds of telling paths, of both. */
	volatile u32 round[2];
	/* Whose share of the ring the records take, of both. */
	u64 share[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct walk);
} walks SEC(".maps");

static __always_inline struct walk *walk_of_this_cpu(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&walks, &zero);
}

static __always_inline void count(u32 counter)
{
	u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		*value += 1;
}

/* A process ends with its last thread; until then its first one keeps number and start. */
static __always_inline void key_of(struct process_key *key, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	key->pid = BPF_CORE_READ(task, tgid);
	key->pad = 0;
	key->start = BPF_CORE_READ(leader, start_boottime);
}

static __always_inline struct tracked_process *tracked_of(const struct process_key *key)
{
	struct tracked_process *found = bpf_map_lookup_elem(&tracked, &key->pid);

	return found && found->start == key->start ? found : 0;
}

static __always_inline bool is_tracked_of_pod(struct task_struct *task)
{
	struct tracked_process *found;
	struct process_key key;

	key_of(&key, task);
	found = tracked_of(&key);
	return found && found->of_pod;
}

/* Whether user space knows what a process of a pod runs. */
static __always_inline bool is_told_of_pod(struct task_struct *task)
{
	struct tracked_process *found;
	struct process_key key;

	key_of(&key, task);
	found = tracked_of(&key);
	return found && found->of_pod && !found->untold;
}

/* Whether a process is remembered, and user space was not told what it runs. */
static __always_inline bool is_untold(struct task_struct *task)
{
	struct tracked_process *found;
	struct process_key key;

	key_of(&key, task);
	found = tracked_of(&key);
	return found && found->untold;
}

/* The process that user space knows and that a process descends from, where it is remembered: its
 * parent may be gone, and another one have adopted it. */
static __noinline void parent_of_record(struct header *header, const struct tracked_process *known,
					struct task_struct *parent)
{
	struct tracked_process *of_parent;

	header->forked = 0;
	if (known && known->forked) {
		header->parent = known->executor;
		header->forked = known->forked;
		return;
	}
	key_of(&header->parent, parent);
	of_parent = tracked_of(&header->parent);
	if (of_parent && of_parent->forked) {
		header->forked = of_parent->forked;
		header->parent = of_parent->executor;
	}
}

static __always_inline bool is_all_tracked(void)
{
	u32 zero = 0;
	volatile u32 *flag = bpf_map_lookup_elem(&not_all_tracked, &zero);

	return flag && !*flag;
}

/* A process of a pod is not remembered. */
static __always_inline void not_tracked(void)
{
	u32 zero = 0;
	volatile u32 *flag = bpf_map_lookup_elem(&not_all_tracked, &zero);

	count(COUNTER_TRACK_FAILED);
	/* Only once: all CPUs read it. */
	if (flag && !*flag)
		*flag = 1;
}

/* What is counted for a share; none: there is no memory for it. */
static __always_inline struct share *share_of(const u64 *number)
{
	struct share *share = bpf_map_lookup_elem(&shares, number);
	struct walk *walk;

	if (share)
		return share;
	walk = walk_of_this_cpu();
	if (walk)
		bpf_map_update_elem(&shares, number, &walk->none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&shares, number);
}

/* Whether more than half of the ring is full, and a share has more than an eighth of it. */
__noinline u32 has_its_part(u64 number)
{
	u64 size = bpf_ringbuf_query(&records, BPF_RB_RING_SIZE);
	u64 consumed = bpf_ringbuf_query(&records, BPF_RB_CONS_POS);
	u64 eighth = size / EIGHTHS, held = 0;
	struct share *share;

	if (!eighth || bpf_ringbuf_query(&records, BPF_RB_PROD_POS) - consumed <= size / 2)
		return 0;
	share = bpf_map_lookup_elem(&shares, &number);
	if (!share)
		return 0;
	for (u64 back = 0; back < EIGHTHS; back++) {
		/* What was read begins in an eighth of which the rest still waits. */
		if (share->eighth < back || share->eighth - back < consumed / eighth)
			break;
		held += share->bytes[(share->eighth - back) & (EIGHTHS - 1)];
	}
	return held > eighth;
}

/* A record of a share is in the ring. */
__noinline u32 add_to_share(u64 number, u64 bytes)
{
	u64 eighth = bpf_ringbuf_query(&records, BPF_RB_RING_SIZE) / EIGHTHS;
	struct share *share = share_of(&number);
	u64 now;

	if (!share || !eighth)
		return 0;
	now = bpf_ringbuf_query(&records, BPF_RB_PROD_POS) / eighth;
	for (u64 back = 0; back < EIGHTHS; back++) {
		if (now < back || now - back <= share->eighth)
			break;
		share->bytes[(now - back) & (EIGHTHS - 1)] = 0;
	}
	share->eighth = now;
	__sync_fetch_and_add(&share->bytes[now & (EIGHTHS - 1)], bytes);
	return 0;
}

/* Puts a record into the ring; whether there was room. A pod that has its part of a ring that is half full
 * finds none, so that records of others are not lost for it. */
static __always_inline bool tell(u64 number, void *record, u64 size, u64 wakeup)
{
	if (has_its_part(number) || bpf_ringbuf_output(&records, record, size, wakeup))
		return false;
	add_to_share(number, size);
	return true;
}

/* An exec found no room in the ring. */
static __always_inline void exec_is_lost(u64 number)
{
	struct share *share = share_of(&number);

	count(COUNTER_EXECS_LOST);
	if (share)
		__sync_fetch_and_add(&share->execs_lost, 1);
}

/* One process less has an executor. The last one ends what user space has to know of it. Where it is not
 * known how many there are, that stays: it may have descendants. */
static __always_inline void release(struct walk *walk, const struct process_key *executor, u64 share)
{
	u64 *number = bpf_map_lookup_elem(&executors, executor);
	struct header *header = &walk->ended;

	if (!number)
		return;
	__sync_fetch_and_add(number, -1);
	/* Of two that see that none is left, one deletes it. */
	if ((s64) * (volatile u64 *)number > 0 || bpf_map_delete_elem(&executors, executor))
		return;
	__builtin_memset(header, 0, sizeof(*header));
	header->kind = KIND_EXIT;
	header->time = bpf_ktime_get_boot_ns();
	header->process = *executor;
	if (!tell(share, header, sizeof(*header), BPF_RB_NO_WAKEUP))
		count(COUNTER_PROCESS_EVENTS_LOST);
}

/* What is remembered of a number, if anything, is forgotten: that process ended. */
static __noinline void forget(struct walk *walk, u32 pid)
{
	struct tracked_process *known = bpf_map_lookup_elem(&tracked, &pid);
	struct tracked_process *gone = &walk->gone;
	struct share *share;

	if (!known)
		return;
	*gone = *known;
	/* Of two that end at the same time one deletes it. */
	if (bpf_map_delete_elem(&tracked, &pid))
		return;
	share = bpf_map_lookup_elem(&shares, &gone->share);
	if (share)
		__sync_fetch_and_add(&share->processes, -1);
	release(walk, &gone->executor, gone->share);
}

/* Whether the share that processes in a cgroup take has room. */
static __always_inline bool has_room(u64 cgroup)
{
	u64 number = share_of_cgroup(cgroup);
	struct share *share = bpf_map_lookup_elem(&shares, &number);

	return !share || (s64) * (volatile u64 *)&share->processes < TRACKED_OF_POD;
}

/* Remembers a process of which nothing is remembered yet; whether there was room. */
static __noinline bool remember(struct walk *walk, const struct process_key *key,
				const struct tracked_process *value)
{
	struct share *share = share_of(&value->share);
	long failed;

	if (!share || (s64) * (volatile u64 *)&share->processes >= TRACKED_OF_POD) {
		not_tracked();
		return false;
	}
	failed = bpf_map_update_elem(&tracked, &key->pid, value, BPF_NOEXIST);
	if (failed == -EEXIST) {
		/* Of a process that had the number before, and whose end was missed. */
		forget(walk, key->pid);
		failed = bpf_map_update_elem(&tracked, &key->pid, value, BPF_NOEXIST);
	}
	if (failed) {
		not_tracked();
		return false;
	}
	__sync_fetch_and_add(&share->processes, 1);
	return true;
}

/* User space was told of a process: it is an executor now. `before` is what was remembered of it; its
 * start is 0 if that is nothing. Whether there was room. */
static __noinline bool track(struct walk *walk, const struct process_key *key,
			     const struct tracked_process *before, u64 cgroup, bool of_pod)
{
	struct tracked_process *after = &walk->after;
	struct tracked_process *known;
	u64 one = 1;

	after->start = key->start;
	after->executor = *key;
	after->forked = 0;
	after->home = before->home;
	after->share = before->share;
	after->of_pod = of_pod;
	after->untold = 0;
	/* Also of another kubelet's that came into a pod of this one: the cgroup decides. */
	if (!before->home || is_of_others(before->home))
		after->home = cgroup;
	if (before->start) {
		known = tracked_of(key);
		if (known)
			*known = *after;
		if (!known || !before->forked)
			return true;
	} else {
		after->share = share_of_cgroup(after->home);
		if (!remember(walk, key, after))
			return false;
	}
	bpf_map_update_elem(&executors, key, &one, BPF_NOEXIST);
	if (before->start)
		release(walk, &before->executor, after->share);
	return true;
}

/* A child of a process that is remembered is remembered too. */
static __always_inline void track_fork(struct task_struct *parent, struct task_struct *child)
{
	struct walk *walk = walk_of_this_cpu();
	struct tracked_process *known, value;
	struct process_key key;
	u64 *number;

	key_of(&key, parent);
	known = tracked_of(&key);
	if (!known || !walk)
		return;
	value = *known;
	key_of(&key, child);
	value.start = key.start;
	if (!value.forked)
		value.forked = key.start;
	if (!remember(walk, &key, &value))
		return;
	number = bpf_map_lookup_elem(&executors, &value.executor);
	if (number)
		__sync_fetch_and_add(number, 1);
}

/* A process ended. */
static __always_inline void track_exit(struct task_struct *task)
{
	struct walk *walk = walk_of_this_cpu();
	struct process_key key;

	key_of(&key, task);
	if (walk && tracked_of(&key))
		forget(walk, key.pid);
}

/* The record of what a process executed found no room in the ring. One that was not remembered is
 * found by the next exec below it, too. */
static __always_inline void mark_untold(const struct process_key *key)
{
	struct tracked_process *known = tracked_of(key);

	if (known)
		known->untold = 1;
}

#endif
