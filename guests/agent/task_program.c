// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program for 32-bit tasks: what a task runs if it executes this instead of the agent. It goes on obeying its slot,
 * and its children are such tasks as well.
 *
 *   agent32 task SLOT
 */

#include <linux/types.h>
#include <linux/unistd.h>

#include "sys.h"
#include "task.h"

/* Called by _start with the stack that the kernel prepared: argc, argv, environment, auxiliary vector. */
void __attribute__((noreturn)) start(const unsigned long *stack)
{
	unsigned long argc = stack[0];
	const unsigned long *argv = stack + 1, *auxv = argv + argc + 1;

	while (*auxv++)
		;
	arch_read_auxv(auxv);
	if (argc > 2)
		become_task((const char *)argv[2]);
	for (;;)
		sys1(__NR_exit_group, 127);
}
