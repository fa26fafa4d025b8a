// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who runs before whom.
 *
 * A quiet task polls its slot for orders, and so, on one CPU, could keep everyone else from running. The agent runs
 * before every task, so that no task can delay an answer to the host. Among the tasks, a quiet one is SCHED_IDLE
 * while it waits, and SCHED_NORMAL while it executes an order.
 */

#include <linux/sched.h>
#include <linux/time.h>
#include <linux/time_types.h>
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

#ifdef ARCH_LOSES_TIMERS
/*
 * Have each processor's timer interrupt again. The kernel programs it anew only for a timer that expires before the
 * one that it waits for, and that may be one whose interrupt was lost. Nothing expires before the first nanosecond.
 */
void resume_timers(void)
{
	struct __kernel_timespec first = { .tv_nsec = 1 };
	unsigned long one, all = -1;
	int cpu;

	for (cpu = 0; cpu < (int)(8 * sizeof(one)); cpu++) {
		one = 1UL << cpu;
		if (sys3(__NR_sched_setaffinity, 0, sizeof(one), &one))
			break;
		sys4(NR_CLOCK_NANOSLEEP, CLOCK_MONOTONIC, TIMER_ABSTIME, &first, NULL);
	}
	sys3(__NR_sched_setaffinity, 0, sizeof(all), &all);
}
#endif
