// SPDX-License-Identifier: GPL-2.0-or-later
/* A task that has executed this program, or the one for 32-bit tasks: it finds its slot, and goes on. */

#include <linux/types.h>
#include <linux/unistd.h>

#include "sys.h"
#include "task.h"
#include "text.h"

void become_task(const char *number)
{
	unsigned int index = parse_number(number);
	struct slot *slot;
	long error = map_arena();

	if (error == -EBADF)
		return;
	if (error < 0 || index >= SLOT_COUNT)
		sys1(__NR_exit_group, 127);
	slot = slot_at(index);
	slot->program = this_program();
	if (slot->run.running)
		arch_switch_stack(slot_stack(slot), resume_plan, slot);
	/* The execve that led here has succeeded, and this is how it returns. */
	slot->value = 0;
	report_done(slot);
	arch_switch_stack(slot_stack(slot), task_main, slot);
}
