/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * When the cgroup of a container is made and removed.
 *
 * Here: what is remembered of a container begins and ends with its cgroup. Not here: what that is
 * (container.h). The runtime makes the cgroup before anything runs in it. So a container without an entry is
 * older than the programs, or found no room, and its first exec was not seen.
 */
#ifndef BAILIFF_CGROUP_EVENTS_H
#define BAILIFF_CGROUP_EVENTS_H

#include "ancestry.h"
#include "container.h"

/* The number of a cgroup, as number_of_cgroup has it for the tasks in it; 0: it is of a hierarchy that tells
 * no pod. */
static __always_inline u64 number_in_hierarchy(struct cgroup *cgroup)
{
	u64 number = BPF_CORE_READ(cgroup, kn, id) & ~CGROUP_OF_V1;
	u64 controller;

	/* That of version 2 is the first that the kernel makes. */
	if (!BPF_CORE_READ(cgroup, root, hierarchy_id))
		return number;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		controller = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
	else
		controller = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	if (BPF_CORE_READ(cgroup, root, subsys_mask) >> (controller & 31) & 1)
		return number | CGROUP_OF_V1;
	return 0;
}

/* cgroup_mkdir: before anybody can enter it. What a process of a pod makes is no container. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup)
{
	u64 node = (u64)BPF_CORE_READ(cgroup, kn);
	u64 number = number_in_hierarchy(cgroup);
	u64 address = bpf_get_current_task();
	struct container nothing = {};

	if (!number || container_cgroup_of(node) != node)
		return 0;
	if (!is_outside(address, node_root_of(address)))
		return 0;
	bpf_map_update_elem(&containers, &number, &nothing, BPF_NOEXIST);
	return 0;
}

/* cgroup_rmdir: nothing is in it any more, and nobody can enter it. */
SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_removed, struct cgroup *cgroup)
{
	u64 number = number_in_hierarchy(cgroup);

	bpf_map_delete_elem(&containers, &number);
	return 0;
}

#endif
