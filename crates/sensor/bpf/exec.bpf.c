// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/*
 * Sees every program that starts in a pod, or that a process of a pod starts elsewhere, and the end of
 * the processes that did. What they fork is remembered, and told by what it executes.
 *
 * Hooks: the scheduler's tracepoints by BTF (`tp_btf`, kernel 5.5 and later), which cost nothing
 * where nothing starts, unlike programs on system calls; for scripts, a function that each exec calls
 * (script.h). A process outside of pods costs a look at what is remembered of its cgroup; one in a pod
 * some microseconds, and its parents as much once, if they are older than these programs.
 * When the ring is full a record is lost, and counted.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "text.h"
#include "ancestry.h"
#include "cgroup_events.h"
#include "container.h"
#include "running.h"
/* Made of record.h. */
#include "record_offsets.h"
#include "script.h"

/* The entry of the auxiliary vector with the address of the dynamic loader (elf.h). */
#define AT_BASE 7
/* Most entries of the vector; the kernel has some 25. */
#define AUXV_ENTRIES 40

/* Whether the kernel mapped no dynamic loader beside the program. */
static __always_inline bool is_without_loader(struct task_struct *task)
{
	void *vector = (void *)BPF_CORE_READ(task, mm) + bpf_core_field_offset(struct mm_struct, saved_auxv);
	unsigned long entry[2];

	for (int i = 0; i < AUXV_ENTRIES; i++) {
		if (bpf_probe_read_kernel(entry, sizeof(entry), vector + i * sizeof(entry)) || !entry[0])
			return true;
		if (entry[0] == AT_BASE)
			return !entry[1];
	}
	return true;
}

/*
 * Appends the arguments; the new end. Of long ones the beginning and the end, so that whoever puts a
 * lot before the argument that matters hides it as little as who puts a lot after it.
 */
static __always_inline u32 append_args(struct scratch *scratch, u32 end, struct task_struct *task, u32 *flags)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	unsigned long stop = BPF_CORE_READ(task, mm, arg_end);
	unsigned long length = stop - start;
	unsigned long head = length, tail = 0;
	u32 at = end & DATA_MASK;
	bool cut = false;

	scratch->header.args_len = 0;
	scratch->header.args_tail_len = 0;
	if (length == 0)
		return at;
	if (length > ARGS_HEAD) {
		head = ARGS_HEAD;
		tail = length - ARGS_HEAD;
	}
	/* Else the compiler leaves the mask out, as it knows the bound; the verifier does not. */
	barrier_var(head);
	head = ((head - 1) & (ARGS_HEAD - 1)) + 1;
	if (bpf_probe_read_user(&scratch->data[at], head, (void *)start)) {
		*flags |= FLAG_ARGS_UNREADABLE;
		return at;
	}
	scratch->header.args_len = head;
	if (tail == 0)
		return at + (u32)head;
	at = (at + (u32)head) & DATA_MASK;
	if (tail > ARGS_TAIL) {
		*flags |= FLAG_ARGS_CUT;
		tail = ARGS_TAIL;
		cut = true;
	}
	barrier_var(tail);
	tail = ((tail - 1) & (ARGS_TAIL - 1)) + 1;
	if (bpf_probe_read_user(&scratch->data[at], tail, (void *)(stop - tail))) {
		*flags |= FLAG_ARGS_UNREADABLE;
		return at;
	}
	if (cut)
		scratch->header.args_tail_len = tail;
	else
		scratch->header.args_len = head + tail;
	return at + (u32)tail;
}

/* Tells what standard input, output and error are. A function that the verifier reads once, whatever its
 * caller knows by then. */
__noinline u32 tell_descriptors(u64 task_address)
{
	struct task_struct *task = (void *)task_address;
	struct scratch *scratch = scratch_of_this_cpu(SCRATCH_EXEC);
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	u32 most = BPF_CORE_READ(table, max_fds);

	if (!scratch)
		return 0;
#pragma unroll
	for (u32 i = 0; i < DESCRIPTORS; i++) {
		struct descriptor *descriptor = &scratch->header.descriptors[i];
		struct file *file = 0;
		struct inode *inode;
		u16 mode = 0;

		descriptor->mode = DESCRIPTOR_UNREADABLE;
		descriptor->device = 0;
		if (!files || (i < most && bpf_probe_read_kernel(&file, sizeof(file), files + i)))
			continue;
		if (!file) {
			descriptor->mode = DESCRIPTOR_CLOSED;
			continue;
		}
		inode = BPF_CORE_READ(file, f_inode);
		if (!inode || bpf_core_read(&mode, sizeof(mode), &inode->i_mode))
			continue;
		descriptor->mode = mode;
		descriptor->device = BPF_CORE_READ(inode, i_rdev);
	}
	return 0;
}

/* Whether a file has no name any more where it was, as the kernel itself has it (`d_unlinked`). One
 * that never had a name, as memfd makes, is its own parent. */
static __always_inline bool is_deleted(struct dentry *dentry)
{
	return !BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry;
}

/* The namespaces that the containers of a pod share, as far as they are not those of the process
 * that brought this one in. */
static __always_inline void append_namespaces(struct exec_header *header, struct task_struct *task,
					      struct task_struct *outside)
{
	struct net *net = BPF_CORE_READ(task, nsproxy, net_ns);
	struct ipc_namespace *ipc = BPF_CORE_READ(task, nsproxy, ipc_ns);
	struct uts_namespace *uts = BPF_CORE_READ(task, nsproxy, uts_ns);
	bool known;

	/* A runtime that detaches may be ending while its container starts, and lets go of its
	 * namespaces before it hands on its children. The process that started it has the same ones. */
	for (int step = 0; step < ANCESTORS && outside && !BPF_CORE_READ(outside, nsproxy); step++)
		outside = BPF_CORE_READ(outside, real_parent);
	known = outside && BPF_CORE_READ(outside, nsproxy);
	if (known && net != BPF_CORE_READ(outside, nsproxy, net_ns))
		header->pod_namespaces[0] = unique_id_of_net(net);
	if (known && ipc != BPF_CORE_READ(outside, nsproxy, ipc_ns))
		header->pod_namespaces[1] = unique_id_of_ipc(ipc);
	if (known && uts != BPF_CORE_READ(outside, nsproxy, uts_ns))
		header->pod_namespaces[2] = unique_id_of_uts(uts);
}

/* Whether the container runtime brought a process into the container that its cgroup names. Its parent has
 * the root directory of the node: one that left the cgroups of a pod has not. */
static __always_inline bool is_by_runtime(const struct walk *walk, const struct tracked_process *before,
					  u32 flags)
{
	struct task_struct *outside = (void *)walk->outside;

	if (before->of_pod || !(flags & FLAG_PARENT_OUTSIDE_CGROUP) || !(flags & FLAG_OWN_ROOT))
		return false;
	/* A runtime that detaches may be ending, as for its namespaces. */
	for (int step = 0; step < ANCESTORS && outside && !BPF_CORE_READ(outside, fs); step++)
		outside = BPF_CORE_READ(outside, real_parent);
	return outside && root_of(outside) == walk->machine_root;
}

/* What is known of the process that is executed and its container, as flags; the container is kept for
 * source_of. */
__noinline u32 enter_container(u64 task_address, u64 cgroup, u32 flags)
{
	u64 number = number_of_cgroup(task_address, cgroup);
	u64 container = container_number(task_address, cgroup);
	struct walk *walk = walk_of_this_cpu();
	struct tracked_process *before;
	u64 home = 0, *kept;
	bool by_runtime;
	u32 zero = 0;

	kept = bpf_map_lookup_elem(&executed_in, &zero);
	if (!walk || !kept)
		return 0;
	before = &walk->before[0];
	if (before->of_pod)
		home = before->home == number ? container : container_of_number(before->home);
	by_runtime = is_by_runtime(walk, before, flags);
	flags = flags_of_container(task_address, container, home, by_runtime);
	/* Wherever it went, its files are those of the container that it began in. */
	*kept = before->of_pod ? home : proven_cgroup(flags, container);
	/* Here it begins, whatever the runtime executed before to make the container. */
	if (by_runtime)
		before->home = number;
	return flags;
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
	u64 number = number_of_cgroup(address, cgroup);
	struct scratch *scratch;
	struct exec_header *header;
	struct vfsmount *directory_mnt;
	struct mnt_namespace *namespace;
	struct tracked_process *before, *known;
	struct process_key key;
	struct script script;
	struct walk *walk = walk_of_this_cpu();
	u64 mnt, dentry;
	u32 end, start, flags, left;
	bool of_pod, below_parent;
	char last = 0;

	if (!walk)
		return 0;
	before = &walk->before[0];
	key_of(&key, task);
	known = tracked_of(&key);
	if (known)
		*before = *known;
	else
		__builtin_memset(before, 0, sizeof(*before));
	of_pod = before->of_pod;
	flags = flags_of_cgroup(address, cgroup);
	left = !(flags & CGROUP_OF_POD);
	/* Where it may be that there was no room to remember it, a parent tells. */
	if (!of_pod && (left || is_of_others(number)) && !is_all_tracked())
		of_pod = home_above(address) != 0;
	if (left && !of_pod) {
		if (flags & CGROUP_TOO_DEEP)
			count(COUNTER_CGROUP_TOO_DEEP);
		return 0;
	}
	/* Another kubelet's sensor is told. Descent from a pod of this one counts. */
	if ((is_of_others(number) && !of_pod) ||
	    ((left || is_of_others(number)) && is_of_others(before->home))) {
		count(COUNTER_EXECS);
		count(COUNTER_EXECS_OF_OTHERS);
		return 0;
	}
	scratch = scratch_of_this_cpu(SCRATCH_EXEC);
	if (!scratch)
		return 0;
	count(COUNTER_EXECS);
	header = &scratch->header;
	header->header.time = bpf_ktime_get_boot_ns();
	walk->round[0] = round_of_now();
	flags = ancestry(address, cgroup, of_pod, before->untold, left);
	/* Its parent is on the way to the executor then, and is told of now. */
	below_parent = before->untold && is_untold(BPF_CORE_READ(task, real_parent));
	of_pod = tell_parents(walk->of_pod);
	header->home = before->of_pod ? before->home : home_above(address);
	if (header->home) {
		flags |= FLAG_OF_POD;
		before->home = header->home;
	}
	if (!is_all_tracked())
		flags |= FLAG_NOT_ALL_TRACKED;
	if (left)
		flags |= FLAG_LEFT_POD_CGROUP;
	if (append_untold_cgroup(header, cgroup, number, walk->round[0], SCRATCH_EXEC))
		flags |= FLAG_CGROUP_PATH;
	end = header->cgroup_len;
	if (flags & FLAG_ROOT_KNOWN ? flags & FLAG_OWN_ROOT : !(flags & FLAG_PARENT_OUTSIDE_CGROUP))
		of_pod = true;
	header->pod_namespaces[0] = 0;
	header->pod_namespaces[1] = 0;
	header->pod_namespaces[2] = 0;
	if (flags & FLAG_PARENT_OUTSIDE_CGROUP)
		append_namespaces(header, task, (void *)walk->outside);

	flags |= enter_container(address, cgroup, flags);

	header->header.kind = KIND_EXEC;
	header->header.process = key;
	parent_of_record(&header->header, below_parent ? 0 : before, BPF_CORE_READ(task, real_parent));
	header->capabilities = capabilities_of(BPF_CORE_READ(task, cred));
	header->uid = BPF_CORE_READ(task, cred, euid.val);
	header->gid = BPF_CORE_READ(task, cred, egid.val);
	namespace = BPF_CORE_READ(task, nsproxy, mnt_ns);
	header->mount_namespace = unique_id_of(namespace);

	mnt = (u64)BPF_CORE_READ(bprm, file, f_path.mnt);
	dentry = (u64)BPF_CORE_READ(bprm, file, f_path.dentry);
	header->source = source_of(mnt, dentry, address);
	start = end;
	end = append_path(mnt, dentry, end, SCRATCH_EXEC);
	/* By a descriptor one can stay in a mount of another namespace, or in one that was taken
	 * away: the path is there then, but from another root. */
	if (end & PATH_WAS_CUT || BPF_CORE_READ(mount_of((void *)mnt), mnt_ns) != namespace)
		flags |= FLAG_PATH_CUT;
	end &= ~PATH_WAS_CUT;
	header->path_len = end - start;
	if (is_deleted((void *)dentry))
		flags |= FLAG_EXECUTABLE_DELETED;
	if (BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec))
		flags |= FLAG_SECURE_EXEC;
	start = end;
	end = append(scratch, end, BPF_CORE_READ(bprm, filename), NAME_MAX_BYTES);
	header->filename_len = end - start;
	/* It has so many bytes with the NUL that was put in the place of its next one. */
	if (header->filename_len == NAME_MAX_BYTES &&
	    !bpf_probe_read_kernel(&last, 1, BPF_CORE_READ(bprm, filename) + NAME_MAX_BYTES - 1) && last)
		flags |= FLAG_FILENAME_CUT;
	start = end;
	end = append(scratch, end, BPF_CORE_READ(bprm, interp), NAME_MAX_BYTES);
	header->interp_len = end - start;
	start = end;
	/* Where relative paths begin, in arguments too: those of a script that an interpreter is
	 * handed, say. */
	directory_mnt = BPF_CORE_READ(task, fs, pwd.mnt);
	end = append_path((u64)directory_mnt, (u64)BPF_CORE_READ(task, fs, pwd.dentry), end, SCRATCH_EXEC);
	if (end & PATH_WAS_CUT || BPF_CORE_READ(mount_of(directory_mnt), mnt_ns) != namespace)
		flags |= FLAG_DIRECTORY_CUT;
	end &= ~PATH_WAS_CUT;
	header->directory_len = end - start;
	start = end;
	header->script_source = SOURCE_UNKNOWN;
	if (take_script(bprm, &script)) {
		flags |= FLAG_SCRIPT_SEEN;
		/* Not within BPF_CORE_READ, which would take these fields for the kernel's, too. */
		mnt = script.mnt;
		header->script_source = source_of(mnt, script.dentry, address);
		end = append_path(mnt, script.dentry, end, SCRATCH_EXEC);
		if (end & PATH_WAS_CUT || BPF_CORE_READ(mount_of((void *)mnt), mnt_ns) != namespace)
			flags |= FLAG_SCRIPT_CUT;
		end &= ~PATH_WAS_CUT;
	}
	header->script_len = end - start;
	end = append_args(scratch, end, task, &flags);
	tell_descriptors(address);
	if (is_without_loader(task))
		flags |= FLAG_WITHOUT_LOADER;
	header->header.flags = flags;
	/* Read back below: a branch on the flags themselves would have the verifier tell all their values
	 * apart, all the way up, and kernels before 6.3 would not come to an end. */
	barrier();

	walk->share[0] = before->start ? before->share : share_of_cgroup(number);
	header->share = walk->share[0];
	if (!tell(walk->share[0], scratch, sizeof(*header) + (end & (2 * DATA_SIZE - 1)), wakeup_of_exec())) {
		mark_untold(&key);
		exec_is_lost(walk->share[0]);
	} else {
		track(walk, &key, before, proven_cgroup(header->header.flags, header->header.cgroup), of_pod);
		if (header->header.flags & FLAG_CGROUP_PATH)
			path_is_told(header->header.cgroup, walk->round[0]);
	}
	return 0;
}

/* sched_process_fork: told by nothing, until the child executes something. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	/* A thread is no process. */
	if (BPF_CORE_READ(child, pid) == BPF_CORE_READ(child, tgid))
		track_fork(parent, child);
	return 0;
}

/*
 * sched_process_exit: the end of a thread. The last one is the end of the process: the first may end
 * long before, or go when another one executes a program, which then takes its number. Two that
 * end at the same time may both be the last; the process is forgotten once.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	if (BPF_CORE_READ(task, signal, live.counter) <= 0)
		track_exit(task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
