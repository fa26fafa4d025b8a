// SPDX-License-Identifier: GPL-2.0-or-later
/* Make a process quiet: from then on its tasks wait for orders without a system call. */

#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "sys.h"

#define QUIET_TAKES_NS 10000000000ULL

/* Tell a task to be quiet. Return whether it will make no further call of its own. */
static int make_quiet(const struct tracked *task, struct slot *slot)
{
	__atomic_store_n(&slot->quiet, 1, __ATOMIC_RELEASE);
	/* A task that executes an order sees it afterwards. One that has just finished may have checked before. */
	if (task->pending && __atomic_load_n(&slot->done, __ATOMIC_ACQUIRE) != slot->ordered)
		return 1;
	if (__atomic_load_n(&slot->polling, __ATOMIC_ACQUIRE)) {
		set_policy(task, SCHED_IDLE);
		return 1;
	}
	/* Every time: a task that was about to sleep, and has not seen it yet, may be asleep only now. */
	sys3(NR_FUTEX, &slot->ordered, FUTEX_WAKE, 1);
	return 0;
}

void answer_quiet(const struct wire_header *header)
{
	struct __kernel_timespec pause = { 0, 0 };
	__u64 deadline = now_ns() + QUIET_TAKES_NS;
	int waiting = 1;

	while (waiting && now_ns() < deadline) {
		waiting = 0;
		for (unsigned int i = 1; i < SLOT_COUNT; i++)
			if (tracked[i].state == TASK_ALIVE && tracked[i].pid == tracked[header->slot].pid &&
			    !make_quiet(&tracked[i], slot_at(i)))
				waiting = 1;
		pause.tv_nsec = next_wait(pause.tv_nsec);
		if (waiting)
			sys4(NR_CLOCK_NANOSLEEP, CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	if (waiting)
		refuse(header, ETIMEDOUT);
	else
		send_result(header, STATE_RETURNED, 0);
}
