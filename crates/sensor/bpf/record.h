/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * What the kernel side tells user space, byte for byte.
 *
 * Here: the layout that exec.bpf.c writes and src/kernel/record.rs reads, and the numbers of kinds,
 * flags, sources and counters. This is their one definition: build.rs makes the constants of Rust of
 * it, and assertions of each offset for both sides. A record is a header and, for an exec and a found
 * process, eight texts: cgroup, path, filename, interpreter, working directory, script, the beginning
 * of the arguments, their end. All numbers are in the machine's byte order.
 */
#ifndef BAILIFF_RECORD_H
#define BAILIFF_RECORD_H

enum kind {
	KIND_EXEC = 1,
	/* A process that user space was told of ended, with its last thread, and no process is left that
	 * was forked from it and executed nothing since. */
	KIND_EXIT = 3,
	/* A process of a pod of which nothing was told before, by an exec below it or by a run over all that
	 * run (running.h). Its filename is the name that the task has; interpreter, directory, script and
	 * arguments are empty, descriptors and source mean nothing. Its own parents come first. */
	KIND_FOUND = 4,
};

/* Bits of `flags`. */
enum flag {
	/* Arguments were longer than ARGS_HEAD and ARGS_TAIL together: what is between the two is missing. */
	FLAG_ARGS_CUT = 1 << 0,
	/* The beginning of the executable's path is not known: it had more parts than are walked, or lies
	 * in no place that the process's mount namespace has. */
	FLAG_PATH_CUT = 1 << 1,
	/* The root directory is another than the node's: that of the first process in the PID namespace of
	 * the container runtime, or where no runtime was found, of the machine's first process. */
	FLAG_OWN_ROOT = 1 << 2,
	/* The session is that of the container's first process. No process can join a session, and the
	 * runtime begins one for that process, and one for each that it brings in later. */
	FLAG_INIT_SESSION = 1 << 3,
	/* The parent is none of the pod's: the runtime brought the process in. */
	FLAG_PARENT_OUTSIDE_CGROUP = 1 << 4,
	/* The first process of the PID namespace is in the same container. */
	FLAG_OWN_PID_NAMESPACE = 1 << 5,
	/* The cgroup is none of a pod; the process descends from one that was. */
	FLAG_LEFT_POD_CGROUP = 1 << 6,
	/* One of these processes was found, so that FLAG_OWN_ROOT means something. */
	FLAG_ROOT_KNOWN = 1 << 7,
	/* Arguments could not be read. */
	FLAG_ARGS_UNREADABLE = 1 << 8,
	/* As FLAG_PATH_CUT, of the working directory. */
	FLAG_DIRECTORY_CUT = 1 << 9,
	/* The kernel mapped no dynamic loader beside the program: it is static, or a loader itself. */
	FLAG_WITHOUT_LOADER = 1 << 10,
	/* The path of the cgroup is in the record. Without it, it was in an earlier one. */
	FLAG_CGROUP_PATH = 1 << 30,
	/* The path asked for is longer than NAME_MAX_BYTES: its end is missing. */
	FLAG_FILENAME_CUT = 1 << 11,
	/* The process has more rights by this exec than before, as AT_SECURE tells the program. */
	FLAG_SECURE_EXEC = 1 << 12,
	/* The executable has no name any more in the directory that it was in. */
	FLAG_EXECUTABLE_DELETED = 1 << 13,
	/* The file of the script was seen when the kernel opened it: its path and source are there. */
	FLAG_SCRIPT_SEEN = 1 << 14,
	/* As FLAG_PATH_CUT, of the script's path. */
	FLAG_SCRIPT_CUT = 1 << 15,
	/* It is remembered from before this exec that the process is one of a pod, or a parent is one: it is
	 * none of the container runtime, whatever root and cgroup it has. `home` tells the pod. */
	FLAG_OF_POD = 1 << 16,
	/* A process of a pod could not be remembered since the programs were loaded. Without FLAG_OF_POD this
	 * one may be that, or descend from it. */
	FLAG_NOT_ALL_TRACKED = 1 << 17,
	/* The container that the cgroup names was made since the programs were attached. */
	FLAG_CONTAINER_SEEN = 1 << 29,
	/* With FLAG_CONTAINER_SEEN: its first process was seen. */
	FLAG_CONTAINER_STARTED = 1 << 26,
	/* With FLAG_CONTAINER_STARTED: the process is of that container. The runtime brought it in, it has
	 * the mount namespace of the container's first process, or it descends from a process of the
	 * container. */
	FLAG_CONTAINER_PROVEN = 1 << 28,
	/* With FLAG_CONTAINER_STARTED: the runtime brought the process in after the container's first one. */
	FLAG_JOINED_CONTAINER = 1 << 27,
};

/* Where an executable or a script is; the numbers of `source`. */
enum source {
	SOURCE_UNKNOWN = 0,
	SOURCE_IMAGE = 1,
	SOURCE_IMAGE_MODIFIED = 2,
	SOURCE_WRITABLE_LAYER = 3,
	SOURCE_VOLUME = 4,
	SOURCE_MEMORY = 5,
};

/* What one run over the running processes came to: how many were told of, and these bits. */
enum running {
	/* The first process of the machine is not above the one that asked: nothing was looked at. */
	RUNNING_WITHOUT_FIRST = 1 << 30,
	/* It ended with RUNNING_TOLD processes, and there may be more. */
	RUNNING_MORE = 1 << 29,
	/* The record of a process found no room in the ring. */
	RUNNING_RING_FULL = 1 << 28,
	/* It ended with RUNNING_LIMIT processes, or the list of processes could not be read to its end. */
	RUNNING_CUT = 1 << 27,
	/* It came to the end. Of some processes nothing was told, or will be again, as there is no room to
	 * remember them. */
	RUNNING_NO_ROOM = 1 << 26,
};

/* Most processes that one run tells of, so that user space can keep up. */
#define RUNNING_TOLD 256
/* Most processes that one run looks at. */
#define RUNNING_LIMIT 65536

/* Most bytes of the beginning of the arguments, and of their end. */
#define ARGS_HEAD 4096
#define ARGS_TAIL 1024
/* Descriptors that are told of: standard input, output and error. */
#define DESCRIPTORS 3
/* Most bytes of the path asked for, and of the interpreter. */
#define NAME_MAX_BYTES 512
/* Most parts of a path, and most mounts that are crossed, together. */
#define PATH_PARTS 40
/* A path that is longer gets no further part; as the kernel's PATH_MAX. */
#define PATH_BYTES 4096
/* Nor does one that ends here or later, so that what comes after it has room. */
#define PATHS_END 9984
/* Most parts of a cgroup's path that are told: the outermost ones. */
#define CGROUP_PARTS 16
/* Most parts of a cgroup's path that are walked to find them. */
#define CGROUP_DEPTH 512
/* Most processes of pods that are remembered at a time. */
#define TRACKED_MOST 131072

/* A process: its number in the first PID namespace, and when it started, in ns since boot. */
struct process_key {
	unsigned int pid;
	unsigned int pad;
	unsigned long long start;
};

/* Values of `mode` that are no file's, which has 16 bits. */
#define DESCRIPTOR_CLOSED (1 << 16)
#define DESCRIPTOR_UNREADABLE (1 << 17)

/* What an open file is. */
struct descriptor {
	/* The kind and the permissions of its inode (`i_mode`), or one of the values above. */
	unsigned int mode;
	/* The number of a device (`i_rdev`): 12 bits of its driver, 20 of the device. */
	unsigned int device;
};

struct header {
	unsigned int kind;
	unsigned int flags;
	/* When it happened, in ns since boot, suspend included. */
	unsigned long long time;
	struct process_key process;
	/* The process that this one, or the one that it was forked from, was forked from, and that user
	 * space was told of; where it is not remembered, the parent that the kernel has. */
	struct process_key parent;
	/* When it was forked from `parent`, as its start; 0: `parent` is the one that the kernel has. */
	unsigned long long forked;
	/* A number that no other cgroup has or had since boot; 0 for an exit. */
	unsigned long long cgroup;
};

struct exec_header {
	struct header header;
	unsigned long long capabilities;
	/* A number that no other mount namespace has or had since boot; 0: not known. */
	unsigned long long mount_namespace;
	/* The same for the network, IPC and UTS namespaces of a process whose parent is outside of the
	 * pod; 0 where it is that of the parent: the node's. */
	unsigned long long pod_namespaces[3];
	/* With FLAG_OF_POD, the cgroup that the process was in when it was told of first, or that of the
	 * process that it descends from; as `cgroup`. 0 without. */
	unsigned long long home;
	/* The cgroup whose share of the ring the record takes; by the number that `shares` has. 0: it is of
	 * no pod. */
	unsigned long long share;
	unsigned int uid;
	unsigned int gid;
	unsigned int source;
	/* Parts of the executable's path from last to first, each with a NUL. */
	unsigned int path_len;
	/* Outermost parts of the cgroup's path from last to first, each with a NUL. */
	unsigned int cgroup_len;
	/* bprm->filename with its NUL: the path as asked for. */
	unsigned int filename_len;
	/* bprm->interp with its NUL: the interpreter, else the same. */
	unsigned int interp_len;
	/* The beginning of the arguments, each with a NUL as far as they were not cut. */
	unsigned int args_len;
	/* Parts of the working directory's path, as of the executable's. */
	unsigned int directory_len;
	/* Parts of the script's path, as of the executable's. */
	unsigned int script_len;
	/* The end of the arguments, with FLAG_ARGS_CUT. */
	unsigned int args_tail_len;
	/* Where the script is. */
	unsigned int script_source;
	struct descriptor descriptors[DESCRIPTORS];
};

/* Parts in which the ring is looked at; a power of two. */
#define EIGHTHS 8

/* What a pod, or a container, takes of what all have together. */
struct share {
	/* How many of its processes are remembered. */
	unsigned long long processes;
	/* Execs of it that found no room in the ring. */
	unsigned long long execs_lost;
	/* The eighth of the ring in which its last record is, by all bytes that were ever written to the
	 * ring; and how many bytes are its in that one and the seven before, each at its number modulo 8. */
	unsigned long long eighth;
	unsigned long long bytes[EIGHTHS];
};

/* Counters, one for each CPU, added up by user space. */
enum counter {
	/* Execs that found no room in the ring. */
	COUNTER_EXECS_LOST = 0,
	/* Execs in pods, whether they were reported, lost or of another kubelet. */
	COUNTER_EXECS = 1,
	/* Processes that could not be remembered, so that what they fork is not known as theirs. */
	COUNTER_TRACK_FAILED = 2,
	/* Exits and found processes that found no room in the ring. */
	COUNTER_PROCESS_EVENTS_LOST = 3,
	/* Execs in cgroups so deep that the pod can't be told, if there is one. */
	COUNTER_CGROUP_TOO_DEEP = 4,
	/* Execs in pods of another kubelet, which are told to nobody. */
	COUNTER_EXECS_OF_OTHERS = 5,
	COUNTERS = 6,
};

#endif
