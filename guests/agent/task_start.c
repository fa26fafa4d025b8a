// SPDX-License-Identifier: GPL-2.0-or-later
/* How a task begins: clone(), then its name and credentials, and then it waits for its first order. */

#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "sys.h"
#include "task.h"

extern const char __executable_start[], etext[]; /* defined by the linker */

char *title;
unsigned long title_size;

struct program this_program(void)
{
	return (struct program){
		.signal_handler = (unsigned long)signal_handler,
		.signal_restorer = (unsigned long)arch_restorer,
		.execve = __NR_execve,
		.execveat = __NR_execveat,
	};
}

/* Makes no system call: the kernel reads the command line from the process's own memory. */
static void set_title(const char *name)
{
	size_t length = strlen(name);

	if (length + 1 > title_size)
		return;
	memset(title, 0, title_size);
	memcpy(title, name, length);
}

static long set_capabilities(__u64 capabilities)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		__u32 half = capabilities >> (32 * i);

		data[i].effective = half;
		data[i].permitted = half;
		data[i].inheritable = 0;
	}
	return sys2(__NR_capset, &header, data);
}

static long set_credentials(const struct wire_spawn_request *request)
{
	long error;

	/* Otherwise changing the uid from 0 to another clears every capability before capset can keep some. */
	error = sys5(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (!error)
		error = sys2(NR_SETGROUPS, 0, NULL);
	if (!error)
		error = sys3(NR_SETRESGID, request->gid, request->gid, request->gid);
	if (!error)
		error = sys3(NR_SETRESUID, request->uid, request->uid, request->uid);
	if (!error)
		error = set_capabilities(request->capabilities);
	/* From here on, when the task changes its uid itself, that has the ordinary effect. */
	if (!error)
		error = sys5(__NR_prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
	return error;
}

static void child_main(void *argument)
{
	struct slot *slot = argument;
	const struct wire_spawn_request *request = &slot->spawn;
	long error = 0;

	if (!(request->clone_flags & CLONE_VM))
		set_title(request->name);
	if (!(request->options & SPAWN_BARE)) {
		if (slot->entry)
			sys3(__NR_close_range, FD_OWN_FIRST, FD_OWN_LAST, 0);
		sys5(__NR_prctl, PR_SET_NAME, request->name, 0, 0, 0);
		if (request->options & SPAWN_CREDENTIALS)
			error = set_credentials(request);
		/* commit_creds() makes a task non-dumpable when its uid changes. */
		if (!error && (request->options & SPAWN_DUMPABLE))
			error = sys5(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	}
	slot->ready_error = error;
	__atomic_store_n(&slot->ready, 1, __ATOMIC_RELEASE);
	ring_bell(slot);
	if (error)
		sys1(request->clone_flags & CLONE_THREAD ? __NR_exit : __NR_exit_group, 1);
	task_main(slot);
}

static void spare_main(void *argument)
{
	struct slot *slot = argument;

	sys3(__NR_close_range, FD_OWN_FIRST, FD_OWN_LAST, 0);
	/* Take the first page faults now, while nothing waits for this task: on its program, its title, its data. */
	for (const volatile char *code = __executable_start; code < etext; code += 4096)
		(void)*code;
	*(volatile char *)title = *title;
	*(volatile __u8 *)slot_data(slot) = 0;
	__atomic_store_n(&slot->value, 1, __ATOMIC_RELEASE);
	wait_for_order(slot);
	slot->done = slot->ordered;
	child_main(slot);
}

static long clone_task(struct slot *child, unsigned long flags, void (*function)(void *))
{
	flags |= CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
	if (!(flags & CLONE_THREAD))
		flags |= SIGCHLD;
	child->program = this_program();
	return arch_clone(flags, slot_stack(child), &child->parent_view, &child->tid, function, child);
}

long task_spare(struct slot *child)
{
	return clone_task(child, 0, spare_main);
}

long task_spawn(const struct wire_spawn_request *request, int close_agents_files)
{
	struct slot *child = slot_at(request->child);

	child->spawn = *request;
	child->entry = close_agents_files;
	return clone_task(child, request->clone_flags, child_main);
}
