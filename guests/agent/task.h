/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A task's place in the arena, the orders that pass through it, and the functions that run in a task. */
#ifndef KCONFORM_TASK_H
#define KCONFORM_TASK_H

#include "wire.h"

/* Descriptors that every task inherits. They are high, so that a test finds the lowest numbers free. */
#define FD_ARENA 1000
#define FD_BELL 1001
/* The agent's own descriptors lie below these and above the three standard ones. Init's children close them. */
#define FD_OWN_FIRST 3
#define FD_OWN_LAST 999

/*
 * A task may run the program for 32-bit tasks, whose slots are the same: so no field's place depends on the ABI. Some
 * 32-bit ABIs align a 64-bit field to 4 bytes only.
 */
typedef __s64 aligned_s64 __attribute__((aligned(8)));

/* What the host has to know of the program that a task runs. */
struct program {
	__aligned_u64 signal_handler;	/* two addresses for rt_sigaction */
	__aligned_u64 signal_restorer;
	__u32 execve;			/* two numbers, by which it executes another program */
	__u32 execveat;
};

/* How many arguments a system call has. */
#define CALL_ARGUMENTS 6

enum order_kind { ORDER_CALL = 1, ORDER_SPAWN = 2, ORDER_COPY = 3, ORDER_PLAN = 4, ORDER_SWEEP = 5 };

/* A plan, and how far its task has got. It lies in the arena, so it survives an execve that is one of its steps. */
struct plan_run {
	__u32 rounds;
	__u32 steps;
	__u32 round;
	__u32 step;
	__u32 running;
	__u32 is_child;	/* ends with its plan; only its parent knows of it */
	__u32 acting;	/* the last step was STEP_GO: 1 + the slot of the meeting */
	__u32 pad;
	struct wire_plan_step plan[PLAN_STEPS];
	aligned_s64 value[PLAN_STEPS];
	struct wire_count counts[PLAN_STEPS][PLAN_ERRORS];
};

/* A sweep's order and results as frames have them, at the beginning of the slot's data. */
struct sweep {
	struct wire_sweep order;
	__u32 left_out[SWEEP_LEFT_OUT];
	__s16 values[SWEEP_COUNT];
} WIRE_ORDER;

struct slot {
	/* The task waits until `ordered` differs from `done`. It executes the order, then makes them equal. */
	__u32 ordered;
	__u32 done;
	__u32 quiet;	/* wait by polling, without a system call: futex, read and write may all be denied */
	__u32 polling;	/* the task has seen `quiet` */
	__u32 kind;
	__u32 entry;
	__aligned_u64 number;
	__aligned_u64 arguments[6];
	aligned_s64 value;
	struct wire_copy copy;
	struct wire_spawn_request spawn;
	__s32 tid;	/* in the task's own pid namespace; the kernel clears it when a thread ends */
	__s32 parent_view;	/* its number in its parent's */
	__u32 ready;	/* 1 when a new task waits for its first order */
	__s32 ready_error;
	__u32 caught;	/* signals caught so far; the last CAUGHT_MAX of them are kept */
	__u32 set_result;	/* the handler overwrites the interrupted call's result ... */
	aligned_s64 result;	/* ... with this */
	struct program program;
	struct wire_caught records[CAUGHT_MAX];
	struct plan_run run;
};

_Static_assert(sizeof(struct slot) <= SLOT_DATA, "a slot's head must end before its data");
_Static_assert(sizeof(struct sweep) <= SLOT_DATA_SIZE, "a sweep must fit into a slot's data");
_Static_assert(sizeof(struct wire_meeting) <= SLOT_DATA_SIZE, "a meeting must fit into a slot's data");

static inline struct slot *slot_at(unsigned int index)
{
	return (struct slot *)(ARENA_BASE + (unsigned long)index * SLOT_SIZE);
}

static inline unsigned int slot_index(unsigned long address)
{
	return (address - ARENA_BASE) / SLOT_SIZE;
}

static inline __u8 *slot_data(struct slot *slot)
{
	return (__u8 *)slot + SLOT_DATA;
}

static inline struct sweep *slot_sweep(struct slot *slot)
{
	return (struct sweep *)slot_data(slot);
}

static inline struct wire_meeting *slot_meeting(struct slot *slot)
{
	return (struct wire_meeting *)slot_data(slot);
}

static inline void *slot_stack(struct slot *slot)
{
	return (char *)slot + SLOT_STACK_TOP;
}

/* A result as 64 bits: an error is sign-extended, an address in the upper half of 32 bits is not. */
static inline __s64 widened(long value)
{
	return value < 0 && value >= -MAX_ERRNO ? value : (__s64)(unsigned long)value;
}

/* task.c */

/* Make the call that the slot describes, in the calling task. */
__s64 task_call(const struct slot *slot);
/* Wait until the slot holds an order. */
void wait_for_order(struct slot *slot);
/* Mark the order as done, and wake the agent. */
void report_done(struct slot *slot);
/* Wake the agent, unless the task is quiet. */
void ring_bell(const struct slot *slot);
/* Execute orders forever. `argument` is the struct slot. */
void __attribute__((noreturn)) task_main(void *argument);

/* task_start.c */

/*
 * Where the kernel finds this program's command line, which log lines quote. Every process that is forked from it may
 * overwrite it with a name of its own. Set once, by init.
 */
extern char *title;
extern unsigned long title_size;

/* Start a task as a child (or thread) of the caller; returns clone()'s value. */
long task_spawn(const struct wire_spawn_request *request, int close_agents_files);
/*
 * Start a child of the caller that sets its slot's `value` when it is ready, waits until the slot holds an order, and
 * then becomes what the slot's `spawn` says. It is what a child forked at that time would be, unless the caller has
 * changed what its children inherit.
 */
long task_spare(struct slot *child);

/* The program that calls this. */
struct program this_program(void);

/* task_exec.c */

/*
 * Go on as the task of this slot, which has executed this program: `number` is the slot's, in digits. Return if this
 * is no task: it has not inherited the arena's descriptor.
 */
void become_task(const char *number);

/* arena.c */

/* Map the arena, whose descriptor is FD_ARENA. 0 or -errno. */
long map_arena(void);

/* task_plan.c */

/* Execute the slot's plan from where it stands. */
void run_plan(struct slot *slot);
/* Go on with a plan after a step that was an execve. */
void __attribute__((noreturn)) resume_plan(void *argument);

/* task_meeting.c */

/*
 * Arrive at a gate of a meeting, and wait until all have: STEP_MEET, STEP_TALLY or STEP_GO. 0, or -errno if the task
 * cannot wait.
 */
long meet(struct slot *slot, const struct wire_plan_step *step);
/* The plan has completed the step after STEP_GO. */
void end_act(struct plan_run *run);

/* task_signal.c */

void signal_handler(int signal, void *siginfo, void *context);

#endif
