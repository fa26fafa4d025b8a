// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Did a thread end alone, or is its whole process ending?
 *
 * When a process ends, its pidfd says so. Nothing says when a thread ends; the agent has to find out, and must not
 * take the end of a process for that of a thread.
 */

#include <linux/types.h>

#include "agent.h"

/* How often the process must appear to go on, and over how much time, before the agent believes it. */
struct observations {
	unsigned int times;
	__u64 ns;
};

static const struct observations never = { 0, 0 }, if_blocked = { 4, 8000000 }, if_running = { 40, 400000000 };

/*
 * What proves that another thread of the process lives on; `never` if the process is ending, or has no other thread.
 *
 * A group exit sends SIGKILL to every other thread before the first one is gone (zap_other_threads()), so a thread
 * that has not run since then shows it. Two kinds of threads show nothing for a moment: those that have just dequeued
 * their SIGKILL, and the one that began the exit. They are running, or are kept from it by other threads or by the
 * agent, which has priority. So if all remaining threads are running, they get much more time.
 */
static struct observations observations_needed(const struct tracked *task)
{
	struct observations needed = never;

	for (unsigned int i = 1; i <= highest; i++) {
		if (&tracked[i] == task || tracked[i].pid != task->pid || tracked[i].state != TASK_ALIVE)
			continue;
		switch (task_sign(&tracked[i])) {
		case SIGN_ENDING:
			return never;
		case SIGN_BLOCKED:
			needed = if_blocked;
			break;
		case SIGN_RUNNING:
			if (!needed.times)
				needed = if_running;
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

int ended_alone(struct tracked *task, const struct slot *slot)
{
	struct observations needed = thread_gone(task, slot) ? observations_needed(task) : never;
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
