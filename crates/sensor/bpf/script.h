/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Which file a script is, whatever path led to it.
 *
 * Here: the file as the kernel opens it, kept until the interpreter is in place. Not here: its path
 * and source (exec.bpf.c), and what user space makes of a script that was not seen.
 * What is kept is in the memory of the task itself: however many others there are, they push nothing
 * out. It is used only by the exec that it is of.
 */
#ifndef BAILIFF_SCRIPT_H
#define BAILIFF_SCRIPT_H

#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* The file of a script. */
struct script {
	/* The address of what the kernel has of the exec; 0: none. */
	u64 exec;
	u64 mnt;
	u64 dentry;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct script);
} scripts SEC(".maps");

/* Whether the kernel has not gone on to an interpreter yet: it has one pointer for both names then. */
static __always_inline bool is_first_file(struct linux_binprm *bprm)
{
	return BPF_CORE_READ(bprm, interp) == BPF_CORE_READ(bprm, filename);
}

/*
 * Before the kernel looks what kind of file it is that it was asked to execute, and again for each
 * interpreter. The beginning of the file is read by then. Without memory it is as if the script had
 * not been seen.
 */
SEC("fentry/security_bprm_check")
int BPF_PROG(script_opened, struct linux_binprm *bprm)
{
	char begin[2] = {};
	struct script *script;
	bool is_script;

	if (!is_first_file(bprm))
		return 0;
	bpf_core_read(begin, sizeof(begin), &bprm->buf);
	is_script = begin[0] == '#' && begin[1] == '!';
	/* Of others only what an earlier exec left is taken away. */
	script = bpf_task_storage_get(&scripts, bpf_get_current_task_btf(), 0,
				      is_script ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (!script)
		return 0;
	script->exec = is_script ? (u64)bprm : 0;
	script->mnt = (u64)BPF_CORE_READ(bprm, file, f_path.mnt);
	script->dentry = (u64)BPF_CORE_READ(bprm, file, f_path.dentry);
	return 0;
}

/*
 * Takes the script of an exec whose interpreter is in place; whether there is one. The kernel lets go of
 * its file only when the process returns from the system call (`fput` leaves it to `task_work`), so
 * that mount and dentry are still there.
 */
static __always_inline bool take_script(struct linux_binprm *bprm, struct script *script)
{
	struct script *found;

	if (is_first_file(bprm))
		return false;
	found = bpf_task_storage_get(&scripts, bpf_get_current_task_btf(), 0, 0);
	if (!found || found->exec != (u64)bprm)
		return false;
	*script = *found;
	found->exec = 0;
	return true;
}

#endif
