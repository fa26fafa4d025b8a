/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host and the agent share: the frames on the channel, and the arena that tasks live in.
 * guests/protocol/wire.py is the host's side; suites/harness/guests/protocol/test_wire.py compares the two.
 *
 * A frame is little-endian on every machine: on a big-endian one, the compiler swaps the bytes of each field that is
 * read or written. So a field is copied by assignment; memcpy() is for whole structures, and for bytes. What a frame
 * carries for a task's memory is in the byte order of that task.
 *
 * No structure has implicit padding. They are packed because a request's parts follow one another without regard to
 * alignment.
 */
#ifndef KCONFORM_WIRE_H
#define KCONFORM_WIRE_H

#include <linux/types.h>

#define WIRE_VERSION 7
#define WIRE_BODY_MAX 0x40000 /* bytes after the header */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WIRE_ORDER __attribute__((scalar_storage_order("little-endian")))
#else
#define WIRE_ORDER /* a compiler other than GCC need not have that attribute */
#endif
#define WIRE_PACKED __attribute__((packed)) WIRE_ORDER

/* The arena: shared memory at the same address in every task, below 4 GiB so that an i386 call can point into it. */
#define ARENA_BASE 0x10000000
#define SLOT_SIZE 0x20000
#define SLOT_COUNT 512
#define SLOT_DATA 0x2000	/* the task's own memory for arguments and results ... */
#define SLOT_DATA_SIZE 0x16000
#define SLOT_STACK_TOP 0x20000	/* ... and its stack, which grows down towards that */

/*
 * The first slots hold children that init forks before it listens, because under emulation a fork is most of the cost
 * of a spawn. They become what spawns from slot 0 without clone flags ask for. No other task may have these slots.
 */
#define SPARE_CHILDREN 4

enum wire_op {
	/* host to agent; each is answered by a frame with the same op and sequence number */
	OP_HELLO = 1,
	OP_SPAWN = 2,
	OP_CALL = 3,
	OP_PEEK = 4,
	OP_POKE = 5,
	OP_COPY = 6,
	OP_READ_FILE = 7,
	OP_WRITE_FILE = 8,
	OP_KERNEL_LOG = 9,
	OP_QUIET = 10,
	OP_CAUGHT = 11,
	OP_PLAN = 12,
	OP_RUN_PLAN = 13,
	OP_COUNTS = 14,
	OP_SWEEP = 15,
	OP_TAINT = 16,	/* read /proc/sys/kernel/tainted */
	/* agent to host, unsolicited */
	EVENT_DEATH = 64,
};

enum wire_entry {
	ENTRY_NATIVE = 0,	/* the architecture's own instruction; an x32 call is a number with bit 30 set */
	ENTRY_INT80 = 1,	/* x86: int $0x80, i386 numbers and 32-bit arguments */
	ENTRY_VSYSCALL = 2,	/* x86: a call to the address given as number, in the vsyscall page */
	ENTRY_RDTSC = 3,	/* x86: the instruction, which strict mode forbids */
	ENTRY_VDSO = 4,		/* i386: __kernel_vsyscall, by the instruction that the kernel has chosen */
	ENTRY_SYSENTER = 5,	/* i386: two of these instructions, with the stack pointer in place of ... */
	ENTRY_SYSCALL32 = 6,	/* ... the sixth argument, which lies there; made to fail, they do not return */
};

enum wire_state {
	STATE_RETURNED = 0,
	STATE_DIED = 1,		/* value is the wait status */
	STATE_GONE = 2,		/* a thread ended alone; its status is not reported to anyone */
	STATE_REFUSED = 3,	/* the agent could not do it; value is -errno */
};

enum wire_spawn {
	SPAWN_BARE = 1,		/* the new task makes no system call of its own before it waits for orders */
	SPAWN_CREDENTIALS = 2,	/* take uid, gid and capabilities from the request instead of inheriting them */
	SPAWN_DUMPABLE = 4,	/* PR_SET_DUMPABLE 1 after the credentials have changed */
	SPAWN_QUIET = 8,	/* wait for orders by polling, without a system call */
};

/*
 * The checksums are CRC-32 as in zlib. They do not help against a kernel that lies; they keep a damaged channel from
 * looking like a kernel that fails.
 */
struct wire_header {
	__u32 length;	/* of the body */
	__u16 op;
	__u16 slot;
	__u32 sequence;
	__u32 body_check;	/* of the body */
	__u32 check;		/* of the fields before this one */
} WIRE_PACKED;

struct wire_hello {
	__u32 version;
	__u32 page_size;
	__u64 signal_handler;	/* two addresses for rt_sigaction, of the program that the slot's task runs */
	__u64 signal_restorer;
	char release[65];
	char machine[65];
	__u8 pad[6];
} WIRE_PACKED;

struct wire_spawn_request {
	__u64 clone_flags;	/* without the exit signal, which is SIGCHLD for a process */
	__u64 capabilities;
	__u32 uid;
	__u32 gid;
	__u32 options;		/* enum wire_spawn */
	__u32 child;		/* the new task's slot, chosen by the host */
	char name[16];
} WIRE_PACKED;

struct wire_spawn_reply {
	__s32 error;	/* 0 or -errno */
	__s32 pid;	/* in the initial pid namespace */
	__s32 own_pid;	/* in the task's own */
} WIRE_PACKED;

struct wire_call {
	__u64 number;
	__u64 arguments[6];
	__u16 entry;	/* enum wire_entry */
	__u16 writes;	/* pieces to write to the task's memory before the call; each: offset, length, bytes */
	__u16 reads;	/* pieces to read from it after the call; each: offset, length */
	__u16 pad;
} WIRE_PACKED;

struct wire_result {
	__s64 value;
	__u32 state;	/* enum wire_state */
	__u32 pad;
} WIRE_PACKED;

struct wire_piece {
	__u32 offset;
	__u32 length;
} WIRE_PACKED;

struct wire_copy {
	__u64 to;
	__u64 from;
	__u64 length;
} WIRE_PACKED;

/* Followed by the path, a NUL, and the bytes to write. */
struct wire_write {
	__u32 flags;	/* of openat, without O_WRONLY */
	__u32 mode;
} WIRE_PACKED;

struct wire_death {
	__s32 status;	/* as wait4 reports it, or -1 where it cannot be known */
	__u32 state;	/* STATE_DIED or STATE_GONE */
} WIRE_PACKED;

/* OP_CAUGHT asks for the signals caught so far, and may change what the handler does from now on. */
struct wire_handler {
	__s64 result;
	__u32 set_result;	/* replace the interrupted call's result with `result` */
	__u32 change;		/* whether the handler takes these over; otherwise they are ignored */
} WIRE_PACKED;

/* A signal that a task has caught. `context` is the beginning of uc_mcontext. */
struct wire_caught {
	__u8 siginfo[128];
	__u8 context[320];
} WIRE_PACKED;

#define CAUGHT_MAX 8

/*
 * OP_SWEEP has a task make one call by each of `count` numbers from `first` on, all with the same arguments. The
 * result is followed by the calls' values, 16 bits each because a serial line is slow; SWEEP_LARGE stands for any
 * larger one. The request is followed by `left_out` call numbers of 32 bits; these are not called, and come
 * back as 0.
 */
struct wire_sweep {
	__u64 arguments[6];
	__u32 first;
	__u32 count;
	__u16 entry;	/* enum wire_entry */
	__u16 left_out;
	__u32 pad;
} WIRE_PACKED;

#define SWEEP_COUNT 1024
#define SWEEP_LEFT_OUT 64
#define SWEEP_LARGE 0x7fff

/*
 * A task can make a short sequence of calls many times over without the host: OP_PLAN puts the sequence into a slot,
 * OP_RUN_PLAN has the slot's task execute it, and OP_COUNTS asks for the results of each step so far, which the
 * answer to OP_RUN_PLAN reports at the end. A plan in a slot without a task is for a child: STEP_CHILD of another
 * plan starts a child there, which ends with its plan.
 */
#define PLAN_STEPS 16
#define PLAN_ERRORS 8

enum wire_step {
	STEP_CALL = 0,
	STEP_CHILD = 1,	/* start a child in slot `number`, by clone() with flags arguments[0]; the value is its pid */
	STEP_JOIN = 2,	/* wait until the thread in slot `number` has ended */
	STEP_MEET = 3,	/* wait at gate arguments[1] of the meeting in slot `number` for arguments[0] plans in all */
	STEP_TALLY = 4,	/* the same; the last to arrive counts the outcome of the round before anyone goes on */
	STEP_TAKE = 5,	/* the value is the latest one of step arguments[0] of the plan in slot `number` */
	STEP_COPY = 6,	/* copy arguments[2] bytes to arguments[0] from arguments[1], both in the data of slots */
	STEP_GO = 7,	/* STEP_MEET, and then a moment more, at most as in arguments[2]; the next step is the plan's act */
};

struct wire_plan_step {
	__u64 number;
	__u64 arguments[6];
	__u16 kind;	/* enum wire_step */
	__u16 result_of;	/* 0, or 1 + the number of a step, whose latest value replaces ... */
	__u16 argument;	/* ... this argument */
	__u16 pad;
} WIRE_PACKED;

/* The body of OP_PLAN, followed by its steps. */
struct wire_plan {
	__u32 rounds;
	__u32 steps;
} WIRE_PACKED;

/* How often a step failed with an error number, or succeeded (0). The last pair also counts all further errors. */
struct wire_count {
	__u32 error;
	__u32 count;
} WIRE_PACKED;

/*
 * Several plans meet in a struct wire_meeting, which the host writes to the beginning of the data of a slot without a
 * task, and reads there afterwards. The outcome of a round consists of the results that the meeting watches.
 */
#define MEETING_GATES 16
#define MEETING_WATCHED 12
#define MEETING_OUTCOMES 64

enum wire_watch_kind {
	WATCH_ERROR = 0,	/* of a step's latest value: 0 if it succeeded, or -errno */
	WATCH_SIGN = 1,		/* the same; 1 if the value is above 0 */
	WATCH_VALUE = 2,	/* the value itself */
	WATCH_WORD = 3,		/* 32 bits at offset `place` of the slot's data */
};

/* A step's value until its plan has completed it in this round. */
#define NOT_COMPLETED (-0x7fffffffffffffffLL - 1)

/*
 * The parts of a meeting are in the memory of tasks, in their byte order. They are not packed, because plans access
 * them atomically and by pointers; they need no padding.
 */

struct wire_watch {
	__u32 slot;
	__u32 kind;	/* enum wire_watch_kind */
	__u32 place;	/* the number of a step, or an offset */
	__u32 pad;
};

/* Where the same plans wait for one another, once in each round. */
struct wire_gate {
	__u32 arrived;	/* plans that wait now */
	__u32 met;	/* how many times all have arrived */
	__u32 asleep;	/* plans that sleep until `met` changes */
	__u32 awake;	/* plans that have gone on from there to STEP_GO's moment, in all rounds */
};

struct wire_outcome {
	__u32 count;
	__u32 first;	/* the first round that had it, from 0 on */
	__s64 results[MEETING_WATCHED];
};

struct wire_meeting {
	__u32 acting;	/* plans in their acts */
	__u32 overlap;	/* whether several have been, in this round */
	__u32 rounds;	/* that were counted */
	__u32 overlaps;	/* rounds with an overlap */
	__u32 lost;	/* rounds for whose outcomes there was no room */
	__u32 watched;
	__u64 seed;	/* of the moments that follow STEP_GO */
	__u32 longest;	/* moment: below 2 to the power of this, in turns of a loop */
	__u32 pad;
	struct wire_gate gates[MEETING_GATES];
	struct wire_watch watch[MEETING_WATCHED];
	struct wire_outcome outcomes[MEETING_OUTCOMES];
};

#endif
