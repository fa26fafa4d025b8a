// SPDX-License-Identifier: GPL-2.0-or-later
/* A task does nothing until it is given an order, and then exactly one thing. */

#include <linux/futex.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "sys.h"
#include "task.h"

void wait_for_order(struct slot *slot)
{
	__u32 done = slot->done;

	while (__atomic_load_n(&slot->ordered, __ATOMIC_ACQUIRE) == done) {
		if (__atomic_load_n(&slot->quiet, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&slot->polling, 1, __ATOMIC_RELEASE);
			arch_relax();
		} else {
			sys4(NR_FUTEX, &slot->ordered, FUTEX_WAIT, done, NULL);
		}
	}
}

void ring_bell(const struct slot *slot)
{
	__u64 one = 1;

	if (!__atomic_load_n(&slot->quiet, __ATOMIC_ACQUIRE))
		sys3(__NR_write, FD_BELL, &one, sizeof(one));
}

void report_done(struct slot *slot)
{
	__atomic_store_n(&slot->done, slot->ordered, __ATOMIC_RELEASE);
	ring_bell(slot);
}

__s64 task_call(const struct slot *slot)
{
	const __u64 *a = slot->arguments;

	if (slot->entry == ENTRY_NATIVE)
		return widened(sys6(slot->number, a[0], a[1], a[2], a[3], a[4], a[5]));
	return widened(arch_call_by(slot->entry, slot->number, a));
}

static int is_left_out(const struct sweep *sweep, __u32 number)
{
	for (unsigned int i = 0; i < sweep->order.left_out; i++)
		if (sweep->left_out[i] == number)
			return 1;
	return 0;
}

static void sweep(struct slot *slot)
{
	struct sweep *sweep = slot_sweep(slot);

	slot->entry = sweep->order.entry;
	for (int i = 0; i < CALL_ARGUMENTS; i++)
		slot->arguments[i] = sweep->order.arguments[i];
	for (unsigned int i = 0; i < sweep->order.count; i++) {
		__s64 value = 0;

		slot->number = sweep->order.first + i;
		if (!is_left_out(sweep, slot->number))
			value = task_call(slot);
		sweep->values[i] = value < -MAX_ERRNO || value > SWEEP_LARGE ? SWEEP_LARGE : value;
	}
}

void task_main(void *argument)
{
	struct slot *slot = argument;

	for (;;) {
		wait_for_order(slot);
		switch (slot->kind) {
		case ORDER_CALL:
			slot->value = task_call(slot);
			break;
		case ORDER_SPAWN:
			slot->value = task_spawn(&slot->spawn, 0);
			break;
		case ORDER_COPY:
			memmove((void *)(unsigned long)slot->copy.to, (const void *)(unsigned long)slot->copy.from,
				slot->copy.length);
			slot->value = 0;
			break;
		case ORDER_PLAN:
			run_plan(slot);
			slot->value = 0;
			break;
		case ORDER_SWEEP:
			sweep(slot);
			slot->value = 0;
			break;
		}
		report_done(slot);
	}
}
