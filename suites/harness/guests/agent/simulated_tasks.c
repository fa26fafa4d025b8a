// SPDX-License-Identifier: GPL-2.0-or-later
/* Tasks of the simulated kernel: they start, execute their orders and die at random, when the agent waits. */

#include <linux/poll.h>

#include "agent.h"
#include "simulation.h"

static void start(unsigned int index)
{
	struct slot *slot = slot_at(index);

	if (!slot->parent_view)
		slot->parent_view = next_pid++;
	slot->tid = slot->parent_view;
	if (!chance(6))
		slot->tid = 1 + chance(3);
	slot->ready_error = chance(8) ? 0 : -1 - (int)chance(MAX_ERRNO);
	slot->ready = 1;
}

/* A task does what its slot says, or has not begun yet. */
static void run_task(unsigned int index)
{
	struct slot *slot = slot_at(index);

	if (tracked[index].state == TASK_STARTING && !slot->ready && chance(2))
		start(index);
	if (slot->ordered == slot->done || chance(3) == 0)
		return;
	if (slot->kind == ORDER_PLAN && slot->run.running) {
		if (slot->run.rounds > 3)
			slot->run.rounds = 3;
		in_task = 1;
		run_plan(slot);
		in_task = 0;
	}
	slot->value = any_result();
	if (slot->kind == ORDER_SPAWN && chance(4)) {
		slot->value = next_pid;
		slot_at(tracked[index].child)->parent_view = next_pid++;
	}
	if (slot->kind == ORDER_SPAWN && !chance(8))
		slot->spawn.child = chance(~0U);
	slot->done = slot->ordered;
	if (!chance(8))
		slot->tid = 0;
	if (!chance(4))
		slot->caught += 1 + chance(20);
	if (!chance(30)) {
		__u8 *bytes = (__u8 *)slot;

		for (int i = 0; i < 64; i++)
			bytes[chance(offsetof(struct slot, run))] = (__u8)chance(256);
	}
}

long wait_for(struct pollfd *fds, unsigned int n)
{
	long ready = 0;

	for (unsigned int i = 1; i < SLOT_COUNT; i++)
		if (tracked[i].state != TASK_NONE)
			run_task(i);
	for (unsigned int i = 0; i < n; i++) {
		fds[i].revents = 0;
		if (fds[i].fd == channel_in || fds[i].fd == FD_BELL)
			fds[i].revents = POLLIN;
		else if (fds[i].fd >= FIRST_PIDFD && !chance(80))
			fds[i].revents = POLLIN;
		ready += !!fds[i].revents;
	}
	return ready;
}
