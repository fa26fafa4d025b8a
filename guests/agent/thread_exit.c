// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Did a thread end alone, or is its whole process ending?
 *
 * When a process ends, its pidfd says so. Nothing says when a thread ends; the agent has to find out, and must not
 * take the end of a process for that of a thread.
 */

#include <linux/types.h>

#include "agent.h"

/* How often, and for how long, it has to look as if the process went on. */
struct certainty {
	unsigned int times;
	__u64 ns;
};

static const struct certainty impossible = { 0, 0 }, other_blocked = { 4, 8000000 }, other_runs = { 40, 400000000 };

/*
 * What makes certain that another thread of the process lives on.
 *
 * A group exit sends a SIGKILL to every other thread before the first one is gone (zap_other_threads()), so a thread
 * that has not run since then shows it. Two kinds of threads show nothing for a moment: one that has just dequeued its
 * SIGKILL, and the one that began the exit. Both are running, or would be if the agent, which goes before them, and
 * other threads let them; so if all that there is of the process is running, they are given much more time.
 */
static struct certainty process_goes_on(const struct tracked *task)
{
	struct certainty needed = impossible;

	for (unsigned int i = 1; i <= highest; i++) {
		if (&tracked[i] == task || tracked[i].pid != task->pid || tracked[i].state != TASK_ALIVE)
			continue;
		switch (task_sign(&tracked[i])) {
		case SIGN_ENDING:
			return impossible;
		case SIGN_BLOCKED:
			needed = other_blocked;
			break;
		case SIGN_RUNNING:
			if (!needed.times)
				needed = other_runs;
			break;
		case SIGN_NONE:
			break;
		}
	}
	return needed;
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

/* It takes several observations, and some time between the first and the last of them. */
int ended_alone(struct tracked *task, const struct slot *slot)
{
	struct certainty needed = thread_gone(task, slot) ? process_goes_on(task) : impossible;
	__u64 time;

	if (!needed.times) {
		task->seen_gone = 0;
		return 0;
	}
	time = now_ns();
	if (!task->seen_gone++)
		task->gone_since = time;
	return task->seen_gone >= needed.times && time - task->gone_since >= needed.ns;
}
