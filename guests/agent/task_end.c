// SPDX-License-Identifier: GPL-2.0-or-later
/* What the end of a task means: for the host, for its pending order, and for the other tasks of its process. */

#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "sys.h"

/* The task ended alone: the descriptor that reports its process's end goes to another task that lives on. */
static void pass_on_pidfd(struct tracked *task)
{
	for (unsigned int i = 1; i < SLOT_COUNT; i++) {
		if (&tracked[i] == task || tracked[i].pid != task->pid || tracked[i].state != TASK_ALIVE)
			continue;
		tracked[i].pidfd = task->pidfd;
		task->pidfd = -1;
		return;
	}
}

void finish_task(unsigned int index, enum wire_state state, int status)
{
	struct tracked *task = &tracked[index];
	struct wire_death death = { .status = status, .state = state };

	if (state == STATE_GONE && task->pidfd >= 0)
		pass_on_pidfd(task);
	if (task->pidfd >= 0)
		sys1(__NR_close, task->pidfd);
	task->pidfd = -1;
	if (task->state == TASK_STARTING) {
		fail_spawn(index, -ESRCH);
		return;
	}
	task->state = TASK_DEAD;
	/* First, so that the host knows of the task's end when it learns of the call's. */
	send_frame(EVENT_DEATH, index, 0, &death, sizeof(death));
	if (task->pending && task->op == OP_SPAWN)
		orphan(task->child);
	else if (task->pending)
		answer_order(index, state, status);
	task->pending = 0;
	for (unsigned int i = 1; state == STATE_DIED && i < SLOT_COUNT; i++) {
		if (tracked[i].pid == task->pid && tracked[i].state == TASK_ALIVE)
			finish_task(i, STATE_DIED, status);
		if (tracked[tracked[i].parent].pid == task->pid && tracked[i].is_thread)
			orphan(i);
	}
}

void take_the_lead(unsigned int index)
{
	struct tracked *task = &tracked[index];

	for (unsigned int i = 1; i < SLOT_COUNT; i++)
		if (i != index && tracked[i].pid == task->pid && tracked[i].state == TASK_ALIVE)
			finish_task(i, STATE_GONE, -1);
	task->is_thread = 0;
	task->tid = task->pid;
}
