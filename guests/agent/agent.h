/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the agent itself knows of its tasks, and what its files offer to one another. */
#ifndef KCONFORM_AGENT_H
#define KCONFORM_AGENT_H

#include "sys.h"
#include "task.h"

enum task_state { TASK_NONE = 0, TASK_STARTING, TASK_ALIVE, TASK_DEAD };

struct tracked {
	int state;
	int pidfd;		/* of a process; -1 for a thread */
	int pid;		/* the thread group's id in the initial pid namespace */
	int tid;
	int is_thread;
	int nested;		/* in a pid namespace of its own: clone() returned another number to its parent */
	unsigned int parent;
	unsigned int child;	/* the slot of the task that it is making; not in the arena, which tasks can write to */
	unsigned int reads;	/* pieces of the task's memory that the answer to the pending call carries */
	unsigned int seen_gone;		/* how many times in a row the thread was found to have ended ... */
	__u64 gone_since;	/* ... and when it first was, in nanoseconds */
	int pending;		/* an order is under way, for the frame with this ... */
	__u32 sequence;
	__u16 op;
	struct wire_piece read[16];
};

/* event_loop.c */

/* One for each slot; the slots above `highest` have never been used. */
extern struct tracked tracked[SLOT_COUNT];
extern unsigned int highest;
__u64 now_ns(void);
/* How long to wait before looking at the tasks again, in nanoseconds; `last` is the previous wait, 0 at first. */
__u64 next_wait(__u64 last);
void __attribute__((noreturn)) serve(void);

/* channel.c */

/* The frame that is sent next. A long answer is composed in it. */
struct reply {
	struct wire_header header;
	__u8 body[WIRE_BODY_MAX];
};

extern struct reply reply;
extern int channel_in, channel_out;

/* Where to put what follows a result. */
static inline __u8 *reply_data(void)
{
	return reply.body + sizeof(struct wire_result);
}

/* Send a frame. The body may be the reply's own. */
void send_frame(__u16 op, __u16 slot, __u32 sequence, const void *body, size_t length);
/* Send a result, and the first `length` bytes of reply_data(). */
void send_data(__u16 op, __u16 slot, __u32 sequence, enum wire_state state, __s64 value, size_t length);
/* Answer a frame with a result and nothing else. */
void send_result(const struct wire_header *to, enum wire_state state, __s64 value);
void refuse(const struct wire_header *to, int error);
/* Read what the channel has, and answer each complete frame. Return whether there was one. */
int receive(void);
/* End the agent and every task. */
void __attribute__((noreturn)) end(const char *why, long error);

/* requests.c */

extern __u32 page_size; /* of the kernel, in bytes */
void answer(const struct wire_header *header, const __u8 *body);

/* spawn.c */

/* Fork the children of init that wait to become what a test asks for. */
void make_spare_children(void);
void answer_spawn(const struct wire_header *header, const struct wire_spawn_request *request);
/* Answer a frame that asks for a new task with an error. */
void refuse_spawn(const struct wire_header *to, int error);
/* clone() returned `value` to the parent. From here on a death is seen, even before the task is ready. */
void clone_returned(unsigned int child, long value);
/* The new task waits for its first order, or has failed to become what was asked for. */
void finish_spawn(unsigned int index);
/* The task ended before it was ready. */
void fail_spawn(unsigned int index, long error);
/* The parent died in clone(). It has left a child or none; if the new task was a thread, it died as well. */
void orphan(unsigned int index);

/* orders.c */

void answer_call(const struct wire_header *header, const __u8 *body);
void answer_copy(const struct wire_header *header, const struct wire_copy *copy);
void answer_sweep(const struct wire_header *header, const struct wire_sweep *order);
void answer_plan(const struct wire_header *header, const struct wire_plan *plan);
void answer_run_plan(const struct wire_header *header);
void answer_counts(const struct wire_header *header);
/* Whether a piece lies within a slot's data. */
int piece_fits(const struct wire_piece *piece);
/* Have the task execute the order of this kind that its slot describes. finish_order() sends the answer. */
void begin_order(const struct wire_header *header, enum order_kind kind);
void finish_order(unsigned int index);
/* Answer the pending order with the result, and with what was to be read from the task's memory. */
void answer_order(unsigned int index, enum wire_state state, __s64 value);
int is_execve(const struct slot *slot);

/* quiet.c */

/* Have all tasks of a process wait for orders without a system call. */
void answer_quiet(const struct wire_header *header);

/* files.c */

/* Open the kernel's log and taint once: a test may hide the paths, and walking them in each clone takes time. */
void open_kernel_files(void);
void answer_read_file(const struct wire_header *header, const __u8 *path);
void answer_write_file(const struct wire_header *header, const __u8 *body);
void answer_kernel_log(const struct wire_header *header);
void answer_taint(const struct wire_header *header);

/* task_end.c */

/* A task has ended: report it, and what that means for its pending order and for the other tasks of its process. */
void finish_task(unsigned int index, enum wire_state state, int status);
/* A thread that executes a program becomes its process's leader, and the old leader is gone (de_thread()). */
void take_the_lead(unsigned int index);

/* thread_exit.c */

/* Whether a thread, which has no pidfd, has ended while its process goes on. Ask repeatedly. */
int ended_alone(struct tracked *task, const struct slot *slot);

/* proc.c */

/* What wait4 would return as the status of a process that has died; -1 if /proc/PID/stat can't be read. */
int wait_status(const struct tracked *task);
/* What /proc shows of a task: that there is no such task, that it is about to end, or neither; then whether it runs. */
enum task_sign { SIGN_NONE, SIGN_ENDING, SIGN_RUNNING, SIGN_BLOCKED };
enum task_sign task_sign(const struct tracked *task);
/* Whether a task has ended, although its process goes on. */
int is_zombie(const struct tracked *task);
/*
 * The process and task number, in the initial pid namespace, of a new task that its parent knows by another number:
 * `own` is its number in its own namespace. 0 if there is no such task.
 */
int find_nested(const struct tracked *parent, unsigned long flags, int own, int *tid);

/* Kill every child of this process. */
void kill_children(int parent);

/* scheduling.c */

void set_policy(const struct tracked *task, int policy);
/* Have the calling process run before every task. */
void run_before_tasks(void);
/* Have timers expire again that QEMU has lost. Only where ARCH_LOSES_TIMERS is defined. */
void resume_timers(void);

#endif
