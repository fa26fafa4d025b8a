// SPDX-License-Identifier: GPL-2.0-or-later
/* New tasks, from the host's request to the first order. task_start.c is the new task's side. */

#include <linux/futex.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "sys.h"

void make_spare_children(void)
{
	struct __kernel_timespec pause = { 0, 100000 };
	int pids[SPARE_CHILDREN + 1];

	for (unsigned int i = 1; i <= SPARE_CHILDREN; i++) {
		long child = task_spare(slot_at(i));

		if (child < 0)
			end("no spare child", child);
		pids[i] = child;
	}
	/* Only now: each fork write-protects the pages of this table until they are written to again. */
	for (unsigned int i = 1; i <= SPARE_CHILDREN; i++) {
		tracked[i].pidfd = sys2(__NR_pidfd_open, pids[i], 0);
		if (tracked[i].pidfd < 0)
			end("no descriptor of a spare child", tracked[i].pidfd);
	}
	for (unsigned int i = 1; i <= SPARE_CHILDREN; i++)
		while (!__atomic_load_n(&slot_at(i)->value, __ATOMIC_ACQUIRE))
			sys4(NR_CLOCK_NANOSLEEP, CLOCK_MONOTONIC, 0, &pause, NULL);
}

static int has_ended(int pidfd)
{
	struct pollfd process = { .fd = pidfd, .events = POLLIN };
	struct __kernel_timespec at_once = { 0, 0 };

	return sys5(NR_PPOLL, &process, 1, &at_once, NULL, sizeof(__u64)) > 0;
}

/* Have a spare child become what the request says. */
static void wake_spare_child(unsigned int index, const struct wire_spawn_request *request)
{
	struct slot *slot = slot_at(index);

	slot->spawn = *request;
	__atomic_store_n(&slot->ordered, slot->done + 1, __ATOMIC_RELEASE);
	sys3(NR_FUTEX, &slot->ordered, FUTEX_WAKE, 1);
}

static void send_spawn_error(__u16 slot, __u32 sequence, int error)
{
	struct wire_spawn_reply told = { .error = error };

	send_frame(OP_SPAWN, slot, sequence, &told, sizeof(told));
}

void refuse_spawn(const struct wire_header *to, int error)
{
	send_spawn_error(to->slot, to->sequence, -error);
}

void fail_spawn(unsigned int index, long error)
{
	tracked[index].state = TASK_NONE;
	send_spawn_error(index, tracked[index].sequence, error);
}

void clone_returned(unsigned int child, long value)
{
	struct tracked *task = &tracked[child];

	/* With CLONE_VFORK the child may have been ready before, and its request answered. */
	if (task->state != TASK_STARTING)
		return;
	if (value < 0) {
		fail_spawn(child, value);
	} else if (!task->is_thread && !tracked[task->parent].nested) {
		task->pid = value;
		task->pidfd = sys2(__NR_pidfd_open, value, 0);
	}
}

void answer_spawn(const struct wire_header *header, const struct wire_spawn_request *request)
{
	struct tracked *child;
	int pidfd;

	if (!request->child || request->child >= SLOT_COUNT || tracked[request->child].state != TASK_NONE ||
	    (request->child <= SPARE_CHILDREN && (header->slot || request->clone_flags))) {
		refuse_spawn(header, EINVAL);
		return;
	}
	child = &tracked[request->child];
	pidfd = child->pidfd;
	if (request->child > highest)
		highest = request->child;
	*child = (struct tracked){
		.state = TASK_STARTING,
		.pidfd = pidfd,
		.is_thread = !!(request->clone_flags & CLONE_THREAD),
		.parent = header->slot,
		.sequence = header->sequence,
	};
	/* Set it here: a parent that waits in vfork() can't, and a quiet child makes no call to say so. */
	slot_at(request->child)->quiet = !!(request->options & SPAWN_QUIET);
	if (header->slot) {
		tracked[header->slot].child = request->child;
		slot_at(header->slot)->spawn = *request;
		begin_order(header, ORDER_SPAWN);
		return;
	}
	if (pidfd >= 0 && !has_ended(pidfd)) {
		wake_spare_child(request->child, request);
		return;
	}
	if (pidfd >= 0)
		sys1(__NR_close, pidfd);
	child->pidfd = -1;
	clone_returned(request->child, task_spawn(request, 1));
}

void finish_spawn(unsigned int index)
{
	struct tracked *task = &tracked[index], *parent = &tracked[task->parent];
	struct slot *slot = slot_at(index);
	struct wire_spawn_reply told = { .error = slot->ready_error, .own_pid = slot->tid };

	if (told.error) {
		/* It could not become what was asked for, and has ended (child_main()). */
		if (task->pidfd >= 0)
			sys1(__NR_close, task->pidfd);
		task->pidfd = -1;
		fail_spawn(index, told.error);
		return;
	}
	task->tid = slot->parent_view;
	task->nested = parent->nested || slot->tid != slot->parent_view;
	if (parent->nested)
		task->pid = find_nested(parent, slot->spawn.clone_flags, slot->tid, &task->tid);
	else
		task->pid = task->is_thread ? parent->pid : task->tid;
	if (!task->is_thread && task->pidfd < 0)
		task->pidfd = sys2(__NR_pidfd_open, task->pid, 0);
	if (!task->is_thread && task->pidfd < 0)
		told.error = task->pidfd;
	task->state = TASK_ALIVE;
	if (slot->quiet)
		set_policy(task, SCHED_IDLE);
	told.pid = task->tid;
	send_frame(OP_SPAWN, index, task->sequence, &told, sizeof(told));
}

void orphan(unsigned int index)
{
	const struct slot *slot = slot_at(index);

	if (tracked[index].state != TASK_STARTING)
		return;
	if (slot->parent_view && !tracked[index].is_thread)
		clone_returned(index, slot->parent_view);
	else
		fail_spawn(index, -ESRCH);
}
