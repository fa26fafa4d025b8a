// SPDX-License-Identifier: GPL-2.0-or-later
/* A task that executes a plan by itself: to cause load, or to act faster than the host can ask. */

#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "sys.h"
#include "task.h"

static void __attribute__((noreturn)) end_child(struct slot *slot)
{
	int thread = !!(slot->spawn.clone_flags & CLONE_THREAD);

	for (;;)
		sys1(thread ? __NR_exit : __NR_exit_group, 0);
}

static void child_main(void *argument)
{
	struct slot *slot = argument;

	run_plan(slot);
	end_child(slot);
}

static long start_child(struct slot *child, unsigned long flags)
{
	child->spawn = (struct wire_spawn_request){ .clone_flags = flags };
	child->loop.round = child->loop.step = 0;
	child->loop.running = child->loop.is_child = 1;
	if (!(flags & CLONE_THREAD))
		flags |= SIGCHLD;
	/* The parent writes the child's number before a join can look for it. The child itself might be too late. */
	flags |= CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	return arch_clone(flags, slot_stack(child), &child->tid, &child->tid, child_main, child);
}

static long join(struct slot *child)
{
	__s32 tid;

	while ((tid = __atomic_load_n(&child->tid, __ATOMIC_ACQUIRE)))
		sys4(NR_FUTEX, &child->tid, FUTEX_WAIT, tid, NULL);
	return 0;
}

static long take_step(struct slot *slot, const struct wire_loop_step *step)
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
	return -EINVAL;
}

static void count_result(struct loop *loop, long value)
{
	struct wire_count *count = loop->counts[loop->step], *last = count + LOOP_ERRORS - 1;
	__u32 error = value < 0 && value >= -MAX_ERRNO ? -value : 0;

	loop->value[loop->step] = value;
	while (count < last && count->count && count->error != error)
		count++;
	count->error = error;
	count->count++;
}

void run_plan(struct slot *slot)
{
	struct loop *loop = &slot->loop;

	for (; loop->round < loop->rounds; loop->round++) {
		for (; loop->step < loop->steps; loop->step++)
			count_result(loop, take_step(slot, &loop->plan[loop->step]));
		loop->step = 0;
	}
	loop->running = 0;
}

/* The step was an execve, which has succeeded if the program runs again. */
void resume_plan(void *argument)
{
	struct slot *slot = argument;

	count_result(&slot->loop, 0);
	slot->loop.step++;
	run_plan(slot);
	if (slot->loop.is_child)
		end_child(slot);
	slot->value = 0;
	report_done(slot);
	task_main(slot);
}
