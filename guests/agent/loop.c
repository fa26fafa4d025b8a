// SPDX-License-Identifier: GPL-2.0-or-later
/* A task that goes through its plan by itself: for load, and for what has to happen faster than the host can ask. */

#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "sys.h"
#include "task.h"

static void __attribute__((noreturn)) loop_end(struct slot *slot)
{
	int thread = !!(slot->spawn.clone_flags & CLONE_THREAD);

	for (;;)
		sys1(thread ? __NR_exit : __NR_exit_group, 0);
}

static void child_main(void *argument)
{
	struct slot *slot = argument;

	loop_run(slot);
	loop_end(slot);
}

static long start_child(struct slot *child, unsigned long flags)
{
	child->spawn = (struct wire_spawn_request){ .clone_flags = flags };
	child->loop.round = child->loop.step = 0;
	child->loop.running = child->loop.is_child = 1;
	if (!(flags & CLONE_THREAD))
		flags |= SIGCHLD;
	/* The parent's write of the number comes before a join can look for it, unlike the child's own. */
	flags |= CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	return arch_clone(flags, (char *)child + SLOT_STACK_TOP, &child->tid, &child->tid, child_main, child);
}

static long join(struct slot *child)
{
	__s32 tid;

	while ((tid = __atomic_load_n(&child->tid, __ATOMIC_ACQUIRE)))
		sys4(__NR_futex, &child->tid, FUTEX_WAIT, tid, NULL);
	return 0;
}

static long take(struct slot *slot, const struct wire_loop_step *step)
{
	__u64 a[6];

	memcpy(a, step->arguments, sizeof(a));
	if (step->result_of)
		a[step->argument] = slot->loop.value[step->result_of - 1];
	switch (step->kind) {
	case STEP_CALL:
		return sys6(step->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	case STEP_CHILD:
		return start_child(slot_at(step->number), a[0]);
	case STEP_JOIN:
		return join(slot_at(step->number));
	}
	return -22; /* EINVAL */
}

static void note(struct loop *loop, long value)
{
	struct wire_count *count = loop->counts[loop->step], *last = count + LOOP_ERRORS - 1;
	__u32 error = value < 0 && value >= -4095 ? -value : 0;

	loop->value[loop->step] = value;
	while (count < last && count->count && count->error != error)
		count++;
	count->error = error;
	count->count++;
}

void loop_run(struct slot *slot)
{
	struct loop *loop = &slot->loop;

	for (; loop->round < loop->rounds; loop->round++) {
		for (; loop->step < loop->steps; loop->step++)
			note(loop, take(slot, &loop->plan[loop->step]));
		loop->step = 0;
	}
	loop->running = 0;
}

/* An execve was the last step, and this is how it returned. */
void loop_resume(void *argument)
{
	struct slot *slot = argument;
	__u64 one = 1;

	note(&slot->loop, 0);
	slot->loop.step++;
	loop_run(slot);
	if (slot->loop.is_child)
		loop_end(slot);
	slot->value = 0;
	__atomic_store_n(&slot->done, slot->ordered, __ATOMIC_RELEASE);
	if (!slot->quiet)
		sys3(__NR_write, FD_BELL, &one, sizeof(one));
	task_main(slot);
}
