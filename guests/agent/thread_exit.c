// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Did a thread end alone, or is its whole process ending?
 *
 * When a process ends, its pidfd says so. Nothing says when a thread ends; the agent has to find out, and must not
 * take the end of a process for that of a thread.
 */

#include <linux/types.h>

#include "agent.h"

#define TIMES_SEEN 4
#define SEEN_FOR_NS 8000000

/*
 * Whether another thread of the process lives on. A group exit sends a SIGKILL to every other thread before the first
 * one is gone (zap_other_threads()), so a thread that has not run since then shows it. The thread that began the exit
 * shows nothing until it runs again; ended_alone() gives it the time.
 */
static int process_goes_on(const struct tracked *task)
{
	int living = 0;

	for (unsigned int i = 1; i <= highest; i++) {
		if (&tracked[i] == task || tracked[i].pid != task->pid || tracked[i].state != TASK_ALIVE)
			continue;
		switch (task_sign(&tracked[i])) {
		case SIGN_ENDING:
			return 0;
		case SIGN_LIVING:
			living = 1;
			break;
		case SIGN_NONE:
			break;
		}
	}
	return living;
}

/*
 * A thread that executes a program kills the others and takes over its leader's number (de_thread()). If another
 * process shares the memory that it leaves, its tid is cleared as if it had ended.
 */
static int is_taking_the_lead(const struct tracked *task, const struct slot *slot)
{
	for (unsigned int i = 1; task->pending && is_execve(slot) && i <= highest; i++)
		if (tracked[i].pid == task->pid && !tracked[i].is_thread && tracked[i].state == TASK_ALIVE)
			return !__atomic_load_n(&slot_at(i)->tid, __ATOMIC_ACQUIRE);
	return 0;
}

/* The kernel clears a thread's tid when it ends. */
static int thread_gone(const struct tracked *task, const struct slot *slot)
{
	if (__atomic_load_n((volatile __s32 *)&slot->tid, __ATOMIC_ACQUIRE))
		return 0;
	return task->is_thread ? !is_taking_the_lead(task, slot) : is_zombie(task);
}

/*
 * It takes several observations, and some time between the first and the last of them. A thread that has just
 * dequeued its SIGKILL, or that ends the others, shows no sign of its own end for a moment, which is long if other
 * threads run.
 */
int ended_alone(struct tracked *task, const struct slot *slot)
{
	__u64 time;

	if (!thread_gone(task, slot) || !process_goes_on(task)) {
		task->seen_gone = 0;
		return 0;
	}
	time = now_ns();
	if (!task->seen_gone++)
		task->gone_since = time;
	return task->seen_gone >= TIMES_SEEN && time - task->gone_since >= SEEN_FOR_NS;
}
