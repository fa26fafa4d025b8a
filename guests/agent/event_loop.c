// SPDX-License-Identifier: GPL-2.0-or-later
/* The agent's loop: wait for the host and for the tasks, and see what has happened to each. */

#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "sys.h"

#define FIRST_WAIT_NS 100000
#define LONG_WAIT_NS 2000000

struct tracked tracked[SLOT_COUNT];
unsigned int highest;

__u64 now_ns(void)
{
	struct __kernel_timespec now;

	sys2(NR_CLOCK_GETTIME, CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/*
 * Whether the parent's clone() has returned, or need not: with CLONE_VFORK, it returns when the child executes a
 * program or ends.
 */
static int parent_is_free(unsigned int index)
{
	const struct tracked *parent = &tracked[tracked[index].parent];

	return !parent->pending || parent->op != OP_SPAWN || slot_at(index)->spawn.clone_flags & CLONE_VFORK;
}

/* See what has happened to one task since the last time. */
static void update(unsigned int index)
{
	struct tracked *task = &tracked[index];
	struct slot *slot = slot_at(index);

	if (task->state == TASK_STARTING && __atomic_load_n(&slot->ready, __ATOMIC_ACQUIRE) && parent_is_free(index))
		finish_spawn(index);
	if (task->state == TASK_ALIVE && task->pending &&
	    __atomic_load_n(&slot->done, __ATOMIC_ACQUIRE) == slot->ordered) {
		if (slot->quiet)
			set_policy(task, SCHED_IDLE);
		finish_order(index);
	}
	if (task->state == TASK_ALIVE && ended_alone(task, slot))
		finish_task(index, STATE_GONE, -1);
}

/*
 * Whether something may happen to a task without waking the agent. No descriptor becomes readable when a thread ends;
 * a quiet task begins and finishes without a system call; and a task that was ready before its parent returned from
 * clone() rang the bell too early.
 */
static int needs_polling(const struct tracked *task, const struct slot *slot)
{
	return (task->state == TASK_ALIVE && task->is_thread) || (task->pending && slot->quiet) ||
	       (task->state == TASK_STARTING && (slot->quiet || slot->ready));
}

/*
 * Short at first, for what takes microseconds, then longer, for what blocks. But never so short that it keeps the
 * task from doing what is waited for: the agent runs before every task.
 */
__u64 next_wait(__u64 last)
{
	return !last ? FIRST_WAIT_NS : last < LONG_WAIT_NS ? last + last / 2 : last;
}

/*
 * Wait until something may have happened, for at most `wait` nanoseconds, or forever if it is 0. Update the tasks.
 * Return whether the channel can be read.
 */
static int wait_for_events(__u64 wait)
{
	static struct pollfd fds[SLOT_COUNT + 2];
	static unsigned short owner[SLOT_COUNT + 2];
	struct __kernel_timespec timeout = { 0, wait };
	int n = 0;
	__u64 rung;

	fds[n++] = (struct pollfd){ .fd = channel_in, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = FD_BELL, .events = POLLIN };
	for (unsigned int i = 1; i <= highest; i++) {
		/* Whether a spare child has died is checked when it is needed. */
		if (tracked[i].pidfd < 0 || tracked[i].state == TASK_NONE)
			continue;
		owner[n] = i;
		fds[n++] = (struct pollfd){ .fd = tracked[i].pidfd, .events = POLLIN };
	}
	if (sys5(NR_PPOLL, fds, n, wait ? &timeout : NULL, NULL, sizeof(__u64)) < 0)
		return 0;
	if (fds[1].revents & POLLIN)
		sys3(__NR_read, FD_BELL, &rung, sizeof(rung));
	for (unsigned int i = 1; i <= highest; i++)
		update(i);
	/* Deaths come last: what a task finished before it died has been reported by now. */
	for (int i = 2; i < n; i++)
		if (fds[i].revents & (POLLIN | POLLHUP) && tracked[owner[i]].pidfd >= 0)
			finish_task(owner[i], STATE_DIED, wait_status(&tracked[owner[i]]));
	return fds[0].revents & (POLLIN | POLLHUP);
}

void serve(void)
{
	__u64 wait = 0;

	for (;;) {
		int poll = 0;

		for (unsigned int i = 1; i <= highest && !poll; i++)
			poll = needs_polling(&tracked[i], slot_at(i));
		wait = poll ? next_wait(wait) : 0;
		if (wait_for_events(wait) && receive())
			wait = 0;
	}
}
