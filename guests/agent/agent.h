/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the agent knows of its tasks; its loop (agent.c), its answers (answer.c), its eyes (proc.c). */
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
	int nested;		/* lives in a pid namespace of its own, so clone() told its parent another number */
	unsigned int parent;
	unsigned int reads;	/* pieces that the pending call's answer carries */
	int seen_gone;		/* looks that found the thread ended, without a break ... */
	__u64 gone_since;	/* ... the first of them at this time, in nanoseconds */
	int pending;		/* an order is under way, from the frame numbered ... */
	__u32 sequence;
	__u16 op;
	struct wire_piece read[16];
};

extern struct tracked tracked[SLOT_COUNT];
extern int channel_in, channel_out;

void send_all(const void *bytes, size_t n);
void give_order(struct slot *slot);
void track(unsigned int index);
__u64 next_look(__u64 last);
__u64 now_ns(void);

/* Opened once: a test may take the paths away, and to walk them again in each clone takes its time. */
void open_kernel_files(void);
void answer(const struct wire_header *header, const __u8 *body);
void finish_spawn(unsigned int index);
void finish_order(unsigned int index);
void finish_task(unsigned int index, enum wire_state state, int status);
int is_execve(const struct slot *slot);
/* What wait4 would tell of a process that has died, from /proc/PID/stat; -1 where it can't be read. */
int wait_status(const struct tracked *task);
/* What /proc shows of a task: nothing any more, that it is about to end, or neither. */
enum task_sign { SIGN_NONE, SIGN_ENDING, SIGN_LIVING };
enum task_sign task_sign(const struct tracked *task);
/* Has it ended, though its process goes on? */
int is_zombie(const struct tracked *task);
/*
 * The process and task number that the initial pid namespace gives a new task, which its parent knows by another one:
 * `own` is that of its own namespace. 0 if there is none.
 */
int find_nested(const struct tracked *parent, unsigned long flags, int own, int *tid);

#endif
