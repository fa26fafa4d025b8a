// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent: a guest's init. It keeps the tree of tasks, and passes orders and their results between the host and the
 * tasks. It never makes a test's system call in place of a task; slot 0 is init itself, for what init has to do.
 *
 *   agent                 as init: set the guest up, then talk over the channel
 *   agent pipes TITLE     on a host, for the agent's own tests: talk over standard input and output
 *   agent target TITLE PATH[=VALUE]...
 *                         on a target, a machine that already runs: the same, from a root like a guest's. These
 *                         files of /proc/sys get the values, and are restored afterwards.
 *   agent task SLOT       what a task becomes when it executes this program again
 *
 * The arguments of a guest's init mean nothing: the kernel passes on every word of its command line that it does not
 * know. The last one is TITLE, which makes room for the names of tasks (task_start.c).
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

/* Whether an argument is this word, or begins with it: an interpreter gets the rest of a script's line as one. */
static int is_word(const char *argument, const char *word)
{
	size_t length = strlen(word);

	return starts_with(argument, word) && (!argument[length] || argument[length] == ' ');
}

/* Called by _start with the stack that the kernel prepared: argc, argv, environment, auxiliary vector. */
void __attribute__((noreturn)) start(const unsigned long *stack)
{
	unsigned long argc = stack[0];
	const char *const *argv = (const char *const *)(stack + 1);
	const char *mode = argc > 1 ? argv[1] : "";
	const unsigned long *auxv = stack + 1 + argc + 1;
	int is_init, on_target;
	long error;

	while (*auxv++)
		;
	arch_read_auxv(auxv);
	/* First, because a test may watch or filter the calls of a task: it makes none that it does not need. */
	if (argc > 2 && is_word(mode, "task"))
		become_task(argv[2]);
	is_init = sys1(__NR_getpid, 0) == 1;
	on_target = !is_init && is_word(mode, "target");
	if (!is_init && !on_target && !is_word(mode, "pipes"))
		die("this is not init, and its first argument is no mode", -EINVAL);
	page_size = page_size_from(auxv);
	/* The arguments lie one after the other, each with its NUL. */
	title = (char *)argv[0];
	title_size = argv[argc - 1] + strlen(argv[argc - 1]) - argv[0];
	if (on_target)
		run_on_target((char *const *)argv + 3, argc > 3 ? argc - 3 : 0);
	if (is_init) {
		setup_mounts(1);
		setup_standard_files();
	} else {
		setup_host(&channel_in, &channel_out);
	}
	if (is_init || on_target)
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
	if (!is_init)
		tracked[0].pid = tracked[0].tid = sys1(__NR_getpid, 0);
	if (is_init) {
		error = open_channel(&channel_in, &channel_out);
		if (error < 0)
			die("no channel to the host", error);
	}
	make_spare_children();
	if (is_init)
		say("kconform: agent: ready\n");
	serve();
}
