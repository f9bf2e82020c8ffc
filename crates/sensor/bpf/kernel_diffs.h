/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Where kernels differ, each with the change that made it. Nothing else asks for versions.
 */
#ifndef BAILIFF_KERNEL_DIFFS_H
#define BAILIFF_KERNEL_DIFFS_H

#include "kernel.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Until 6.14; renamed in 6.15 by 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent"). */
struct kernfs_node___before_6_15 {
	struct kernfs_node *parent;
};

struct kernfs_node___since_6_15 {
	struct kernfs_node *__parent;
};

/* Since 6.5 (0af950f57fef, "ovl: move ovl_entry into ovl_inode"). */
struct ovl_entry {
	unsigned int __numlower;
};

struct ovl_inode___since_6_5 {
	struct ovl_entry *oe;
};

/* 6.4, and stable kernels that took its layout over, such as 6.1.176. */
struct ovl_path {
	struct dentry *dentry;
};

struct ovl_inode___since_6_4 {
	struct ovl_path lowerpath;
};

/* Until 6.3, but for those. */
struct ovl_inode___before_6_4 {
	struct inode *lower;
};

/* Not in the types of each kernel, as no field has it; of the same value in all since 4.19. */
enum ovl_inode_flag {
	OVL_UPPERDATA = 3,
};

/* Until 6.17; from 6.18 on every kind of namespace has such a number. */
struct mnt_namespace___before_6_18 {
	unsigned long long seq;
};

struct ns_common___since_6_18 {
	unsigned long long ns_id;
};

struct mnt_namespace___since_6_18 {
	struct ns_common___since_6_18 ns;
};

struct net___since_6_18 {
	struct ns_common___since_6_18 ns;
};

struct net___before_6_18 {
	u64 net_cookie;
};

struct ipc_namespace___since_6_18 {
	struct ns_common___since_6_18 ns;
};

struct uts_namespace___since_6_18 {
	struct ns_common___since_6_18 ns;
};

#pragma clang attribute pop

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
	struct kernfs_node___since_6_15 *now = (void *)node;
	struct kernfs_node___before_6_15 *before = (void *)node;

	if (bpf_core_field_exists(now->__parent))
		return BPF_CORE_READ(now, __parent);
	return BPF_CORE_READ(before, parent);
}

/* A number that is never used again, unlike `inum`, which the next namespace may have. */
static __always_inline u64 unique_id_of(struct mnt_namespace *namespace)
{
	struct mnt_namespace___since_6_18 *now = (void *)namespace;
	struct mnt_namespace___before_6_18 *before = (void *)namespace;

	if (bpf_core_field_exists(now->ns.ns_id))
		return BPF_CORE_READ(now, ns.ns_id);
	if (bpf_core_field_exists(before->seq))
		return BPF_CORE_READ(before, seq);
	return 0;
}

/* The same for namespaces of the network. */
static __always_inline u64 unique_id_of_net(struct net *namespace)
{
	struct net___since_6_18 *now = (void *)namespace;
	struct net___before_6_18 *before = (void *)namespace;

	if (bpf_core_field_exists(now->ns.ns_id))
		return BPF_CORE_READ(now, ns.ns_id);
	if (bpf_core_field_exists(before->net_cookie))
		return BPF_CORE_READ(before, net_cookie);
	return 0;
}

/* Until 6.17 these two have no number of their own: 0. */
static __always_inline u64 unique_id_of_ipc(struct ipc_namespace *namespace)
{
	struct ipc_namespace___since_6_18 *now = (void *)namespace;

	return bpf_core_field_exists(now->ns.ns_id) ? BPF_CORE_READ(now, ns.ns_id) : 0;
}

static __always_inline u64 unique_id_of_uts(struct uts_namespace *namespace)
{
	struct uts_namespace___since_6_18 *now = (void *)namespace;

	return bpf_core_field_exists(now->ns.ns_id) ? BPF_CORE_READ(now, ns.ns_id) : 0;
}

/* How a file of an overlay came to be. Without overlayfs in the kernel's BTF, or in that of its
 * module, it can't be told. */
static __always_inline u32 overlay_source(struct inode *inode)
{
	struct ovl_inode *overlay;
	struct ovl_inode___since_6_5 *now;
	struct ovl_inode___since_6_4 *between;
	struct ovl_inode___before_6_4 *before;
	u64 upper_data = OVL_UPPERDATA;
	bool lower;

	if (!bpf_core_type_exists(struct ovl_inode))
		return SOURCE_UNKNOWN;
	overlay = (void *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);
	if (!BPF_CORE_READ(overlay, __upperdentry))
		return SOURCE_IMAGE;
	if (bpf_core_enum_value_exists(enum ovl_inode_flag, OVL_UPPERDATA))
		upper_data = bpf_core_enum_value(enum ovl_inode_flag, OVL_UPPERDATA);
	/* Of a file of which only owner or permissions were changed, the data is still the image's. */
	if (!(BPF_CORE_READ(overlay, flags) >> (upper_data & 63) & 1))
		return SOURCE_IMAGE;
	now = (void *)overlay;
	between = (void *)overlay;
	before = (void *)overlay;
	if (bpf_core_field_exists(now->oe))
		lower = BPF_CORE_READ(now, oe, __numlower) > 0;
	else if (bpf_core_field_exists(between->lowerpath))
		lower = BPF_CORE_READ(between, lowerpath.dentry) != 0;
	else if (bpf_core_field_exists(before->lower))
		lower = BPF_CORE_READ(before, lower) != 0;
	else
		return SOURCE_UNKNOWN;
	return lower ? SOURCE_IMAGE_MODIFIED : SOURCE_WRITABLE_LAYER;
}

#endif
