// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who runs before whom.
 *
 * A quiet task polls its slot for orders, and so, on one CPU, could keep everyone else from running. The agent runs
 * before every task, so that no task can delay an answer to the host. Among the tasks, a quiet one is SCHED_IDLE
 * while it waits, and SCHED_NORMAL while it executes an order.
 */

#include <linux/sched.h>
#include <linux/unistd.h>

#include "agent.h"
#include "sys.h"

static void set_scheduler(int tid, int policy, int priority)
{
	sys3(__NR_sched_setscheduler, tid, policy, &priority); /* struct sched_param has one member */
}

void set_policy(const struct tracked *task, int policy)
{
	set_scheduler(task->tid, policy, 0);
}

/* The tasks themselves are not real-time: they do not inherit the policy. */
void run_before_tasks(void)
{
	set_scheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, 1);
}
