/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A task's place in the arena, and the orders that pass through it. */
#ifndef KCONFORM_TASK_H
#define KCONFORM_TASK_H

#include "wire.h"

/* Descriptors that every task inherits; high, so that a test sees the lowest numbers free. */
#define FD_ARENA 1000
#define FD_BELL 1001
/* The agent's own lie below these and above the three standard ones, and are closed in init's children. */
#define FD_OWN_FIRST 3
#define FD_OWN_LAST 999

enum order_kind { ORDER_CALL = 1, ORDER_SPAWN = 2, ORDER_COPY = 3, ORDER_LOOP = 4, ORDER_SWEEP = 5 };

/* A plan, and how far its task has come. It lies in the arena, so it survives an execve that is one of its steps. */
struct loop {
	__u32 rounds;
	__u32 steps;
	__u32 round;
	__u32 step;
	__u32 running;
	__u32 is_child;	/* ends with its plan, and nobody but its parent knows of it */
	struct wire_loop_step plan[LOOP_STEPS];
	__s64 value[LOOP_STEPS];
	struct wire_count counts[LOOP_STEPS][LOOP_ERRORS];
};

/* A sweep's order and results, at the beginning of the slot's data. */
struct sweep {
	struct wire_sweep order;
	__u32 left_out[SWEEP_LEFT_OUT];
	__s16 values[SWEEP_COUNT];
};

struct slot {
	/* The task waits until `ordered` differs from `done`; it executes, then makes them equal. */
	__u32 ordered;
	__u32 done;
	__u32 quiet;	/* wait by looking, without a system call: futex, read and write may all be denied */
	__u32 looking;	/* the task has seen `quiet` */
	__u32 kind;
	__u32 entry;
	__u64 number;
	__u64 arguments[6];
	__s64 value;
	struct wire_copy copy;
	struct wire_spawn_request spawn;
	__s32 tid;	/* own namespace's view; the kernel clears it when a thread ends */
	__s32 parent_view;
	__u32 ready;	/* 1 when a new task waits for its first order */
	__s32 ready_error;
	__u32 caught;	/* signals caught so far; the last CAUGHT_MAX of them are kept */
	__u32 set_result;	/* the handler overwrites the interrupted call's result ... */
	__s64 result;		/* ... with this */
	struct wire_caught records[CAUGHT_MAX];
	struct loop loop;
};

_Static_assert(sizeof(struct slot) <= SLOT_DATA, "a slot's head must end before its data");

static inline struct slot *slot_at(unsigned int index)
{
	return (struct slot *)(ARENA_BASE + (unsigned long)index * SLOT_SIZE);
}

static inline unsigned int slot_index(const struct slot *slot)
{
	return ((unsigned long)slot - ARENA_BASE) / SLOT_SIZE;
}

static inline void *slot_data(struct slot *slot)
{
	return (char *)slot + SLOT_DATA;
}

/*
 * Where the kernel finds the command line of this program, which every process that it forks may overwrite with its
 * name: log lines quote it. Set once, by init.
 */
extern char *title;
extern unsigned long title_size;

/* Make the call that the slot describes, in the calling task. */
long task_call(const struct slot *slot);
/* Start a task as a child (or thread) of the caller; clone()'s value. */
long task_spawn(const struct wire_spawn_request *request, int close_agents_files);
/*
 * Start a child of the caller that sets its slot's `value` when it is ready, waits until the slot has an order, and then
 * becomes what the slot's `spawn` says. It is what a child forked at that time would be, unless the caller has changed
 * what its children inherit.
 */
long task_spare(struct slot *child);
/* Go on with the slot's plan, after a step that came to `value` if it was under way already. */
void loop_run(struct slot *slot);
void __attribute__((noreturn)) loop_resume(void *argument);
/* Obey orders for ever. `argument` is the struct slot. */
void __attribute__((noreturn)) task_main(void *argument);
void signal_handler(int signal, void *siginfo, void *context);

#endif
