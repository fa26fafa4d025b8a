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

static void forget_values(struct plan_run *run)
{
	for (__u32 i = 0; i < run->steps; i++)
		run->value[i] = NOT_COMPLETED;
}

static long start_child(struct slot *child, unsigned long flags)
{
	long started;

	child->spawn = (struct wire_spawn_request){ .clone_flags = flags };
	child->run.round = child->run.step = 0;
	child->run.running = child->run.is_child = 1;
	child->run.acting = 0;
	forget_values(&child->run);
	if (!(flags & CLONE_THREAD))
		flags |= SIGCHLD;
	/* The parent writes the child's number before a join can look for it. The child itself might be too late. */
	flags |= CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	started = arch_clone(flags, slot_stack(child), &child->tid, &child->tid, child_main, child);
	if (started < 0)
		child->run.running = child->run.is_child = 0;
	return started;
}

static long join(struct slot *child)
{
	__s32 tid;

	while ((tid = __atomic_load_n(&child->tid, __ATOMIC_ACQUIRE)))
		sys4(NR_FUTEX, &child->tid, FUTEX_WAIT, tid, NULL);
	return 0;
}

/* Whether bytes lie within the data of one slot. */
static int is_data(__u64 address, __u64 length)
{
	__u64 offset = address - ARENA_BASE;

	return offset < (__u64)SLOT_COUNT * SLOT_SIZE && offset % SLOT_SIZE >= SLOT_DATA && length <= SLOT_DATA_SIZE &&
	       offset % SLOT_SIZE + length <= SLOT_DATA + SLOT_DATA_SIZE;
}

static long copy(__u64 to, __u64 from, __u64 length)
{
	if (!is_data(to, length) || !is_data(from, length))
		return -EFAULT;
	memmove((void *)(unsigned long)to, (const void *)(unsigned long)from, length);
	return 0;
}

static __s64 take_step(struct slot *slot, const struct wire_plan_step *step)
{
	__u64 a[CALL_ARGUMENTS];

	for (int i = 0; i < CALL_ARGUMENTS; i++)
		a[i] = step->arguments[i];
	if (step->result_of)
		a[step->argument] = slot->run.value[step->result_of - 1];
	switch (step->kind) {
	case STEP_CALL:
		return widened(sys6(step->number, a[0], a[1], a[2], a[3], a[4], a[5]));
	case STEP_CHILD:
		return start_child(slot_at(step->number), a[0]);
	case STEP_JOIN:
		return join(slot_at(step->number));
	case STEP_MEET:
	case STEP_TALLY:
	case STEP_GO:
		return meet(slot, step);
	case STEP_TAKE:
		return slot_at(step->number)->run.value[a[0] % PLAN_STEPS];
	case STEP_COPY:
		return copy(a[0], a[1], a[2]);
	}
	return -EINVAL;
}

static void count_result(struct plan_run *run, __s64 value)
{
	struct wire_count *count = run->counts[run->step], *last = count + PLAN_ERRORS - 1;
	__u32 error = value < 0 && value >= -MAX_ERRNO ? -value : 0;

	run->value[run->step] = value;
	while (count < last && count->count && count->error != error)
		count++;
	count->error = error;
	count->count++;
}

void run_plan(struct slot *slot)
{
	struct plan_run *run = &slot->run;

	for (; run->round < run->rounds; run->round++) {
		if (!run->step)
			forget_values(run);
		for (; run->step < run->steps; run->step++) {
			const struct wire_plan_step *step = &run->plan[run->step];

			count_result(run, take_step(slot, step));
			if (step->kind != STEP_GO)
				end_act(run);
		}
		run->step = 0;
	}
	run->running = 0;
}

/* The step was an execve, which has succeeded if the program runs again. */
void resume_plan(void *argument)
{
	struct slot *slot = argument;

	count_result(&slot->run, 0);
	end_act(&slot->run);
	slot->run.step++;
	run_plan(slot);
	if (slot->run.is_child)
		end_child(slot);
	slot->value = 0;
	report_done(slot);
	task_main(slot);
}
