// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent: a guest's init. It keeps the tree of tasks, and passes orders and their results between the host and the
 * tasks. It never makes a test's system call in place of a task; slot 0 is init itself, for what init has to do.
 *
 *   agent                 as init: set the guest up, then talk over the channel
 *   agent pipes           on a host, for the agent's own tests: talk over standard input and output
 *   agent lent TITLE PATH[=VALUE]...
 *                         on a machine that somebody else booted: the same, from a root like a guest's. The settings
 *                         in these files of /proc/sys have the values meanwhile, and are restored afterwards.
 *   agent task SLOT       what a task becomes when it executes this program again
 */

#include <linux/auxvec.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "setup.h"
#include "sys.h"
#include "task.h"
#include "text.h"

static unsigned long page_size_from(const unsigned long *auxv)
{
	for (; auxv[0] != AT_NULL; auxv += 2) {
		if (auxv[0] == AT_PAGESZ)
			return auxv[1];
	}
	return 0;
}

/* Called by _start with the stack that the kernel prepared: argc, argv, environment, auxiliary vector. */
void __attribute__((noreturn)) start(const unsigned long *stack)
{
	unsigned long argc = stack[0];
	const char *const *argv = (const char *const *)(stack + 1);
	int lent = argc > 1 && starts_with(argv[1], "l"), on_host = lent || (argc > 1 && starts_with(argv[1], "p"));
	const unsigned long *auxv = stack + 1 + argc + 1;
	long error;

	while (*auxv++)
		;
	arch_read_auxv(auxv);
	if (argc > 2 && starts_with(argv[1], "ta"))
		become_task(argv[2]);
	page_size = page_size_from(auxv);
	/* The arguments lie one after the other, each with its NUL. */
	title = (char *)argv[0];
	title_size = argv[argc - 1] + strlen(argv[argc - 1]) - argv[0];
	if (lent)
		live_on_lent_machine((char *const *)argv + 3, argc > 3 ? argc - 3 : 0);
	if (on_host) {
		setup_host(&channel_in, &channel_out);
	} else {
		setup_mounts(1);
		setup_standard_files();
	}
	if (lent || !on_host)
		run_before_tasks();
	error = setup_arena();
	if (error < 0)
		die("no shared memory for the tasks", error);
	error = setup_bell();
	if (error < 0)
		die("no eventfd", error);
	open_kernel_files();
	for (int i = 1; i < SLOT_COUNT; i++)
		tracked[i].pidfd = -1;
	tracked[0] = (struct tracked){ .state = TASK_ALIVE, .pidfd = -1, .pid = 1, .tid = 1 };
	if (on_host)
		tracked[0].pid = tracked[0].tid = sys1(__NR_getpid, 0);
	if (!on_host) {
		error = open_channel(&channel_in, &channel_out);
		if (error < 0)
			die("no channel to the host", error);
	}
	make_spare_children();
	if (!on_host)
		say("kconform: agent: ready\n");
	serve();
}
