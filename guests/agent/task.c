// SPDX-License-Identifier: GPL-2.0-or-later
/* A task: does nothing until it is ordered to, and then exactly one thing. */

#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/types.h>
#include <linux/unistd.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include "sys.h"
#include "task.h"

extern const char __executable_start[], etext[]; /* the linker's */

char *title;
unsigned long title_size;

/* No system call: the kernel reads the command line out of the process's own memory. */
static void set_title(const char *name)
{
	unsigned long length = strlen(name);

	if (length + 1 > title_size)
		return;
	memset(title, 0, title_size);
	memcpy(title, name, length);
}

static void wait_for_order(struct slot *slot)
{
	__u32 done = slot->done;

	while (__atomic_load_n(&slot->ordered, __ATOMIC_ACQUIRE) == done) {
		if (__atomic_load_n(&slot->quiet, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&slot->looking, 1, __ATOMIC_RELEASE);
			arch_relax();
		} else {
			sys4(__NR_futex, &slot->ordered, FUTEX_WAIT, done, NULL);
		}
	}
}

static void ring(const struct slot *slot)
{
	__u64 one = 1;

	if (!__atomic_load_n(&slot->quiet, __ATOMIC_ACQUIRE))
		sys3(__NR_write, FD_BELL, &one, sizeof(one));
}

long task_call(const struct slot *slot)
{
	const __u64 *a = slot->arguments;

	switch (slot->entry) {
	case ENTRY_NATIVE:
		return sys6(slot->number, a[0], a[1], a[2], a[3], a[4], a[5]);
#if defined(__x86_64__)
	case ENTRY_INT80:
		return arch_int80(slot->number, a);
	case ENTRY_VSYSCALL:
		return arch_vsyscall(slot->number, a);
	case ENTRY_RDTSC:
		return arch_rdtsc();
#endif
	}
	return -38; /* ENOSYS: there is no such way in on this architecture */
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
	struct sweep *sweep = slot_data(slot);

	slot->entry = sweep->order.entry;
	memcpy(slot->arguments, sweep->order.arguments, sizeof(slot->arguments));
	for (unsigned int i = 0; i < sweep->order.count; i++) {
		long value = 0;

		slot->number = sweep->order.first + i;
		if (!is_left_out(sweep, slot->number))
			value = task_call(slot);
		sweep->values[i] = value < -4095 || value > SWEEP_LARGE ? SWEEP_LARGE : value;
	}
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

	/* Without this a change from uid 0 to another would clear every capability before capset could keep some. */
	error = sys5(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (!error)
		error = sys2(__NR_setgroups, 0, NULL);
	if (!error)
		error = sys3(__NR_setresgid, request->gid, request->gid, request->gid);
	if (!error)
		error = sys3(__NR_setresuid, request->uid, request->uid, request->uid);
	if (!error)
		error = set_capabilities(request->capabilities);
	/* It is the task's own from here on, and what it does to its uid has the ordinary effect. */
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
		/* commit_creds() takes dumpability away when the uid changes. */
		if (!error && (request->options & SPAWN_DUMPABLE))
			error = sys5(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	}
	slot->ready_error = error;
	__atomic_store_n(&slot->ready, 1, __ATOMIC_RELEASE);
	ring(slot);
	if (error)
		sys1(request->clone_flags & CLONE_THREAD ? __NR_exit : __NR_exit_group, 1);
	task_main(slot);
}

static void spare_main(void *argument)
{
	struct slot *slot = argument;

	sys3(__NR_close_range, FD_OWN_FIRST, FD_OWN_LAST, 0);
	/* The page faults of its beginning, while nobody waits for it: its program, its title, its data. */
	for (const volatile char *code = __executable_start; code < etext; code += 4096)
		(void)*code;
	*(volatile char *)title = *title;
	*(volatile char *)slot_data(slot) = 0;
	__atomic_store_n(&slot->value, 1, __ATOMIC_RELEASE);
	wait_for_order(slot);
	slot->done = slot->ordered;
	child_main(slot);
}

long task_spare(struct slot *child)
{
	unsigned long flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;

	return arch_clone(flags, (char *)child + SLOT_STACK_TOP, &child->parent_view, &child->tid, spare_main, child);
}

long task_spawn(const struct wire_spawn_request *request, int close_agents_files)
{
	struct slot *child = slot_at(request->child);
	unsigned long flags = request->clone_flags | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;

	if (!(flags & CLONE_THREAD))
		flags |= SIGCHLD;
	child->spawn = *request;
	child->entry = close_agents_files;
	return arch_clone(flags, (char *)child + SLOT_STACK_TOP, &child->parent_view, &child->tid, child_main, child);
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
			memcpy((void *)slot->copy.to, (const void *)slot->copy.from, slot->copy.length);
			slot->value = 0;
			break;
		case ORDER_LOOP:
			loop_run(slot);
			slot->value = 0;
			break;
		case ORDER_SWEEP:
			sweep(slot);
			slot->value = 0;
			break;
		}
		__atomic_store_n(&slot->done, slot->ordered, __ATOMIC_RELEASE);
		ring(slot);
	}
}

/* The slot is found by the stack, which lies in it: a handler has no other thread-local storage here. */
void signal_handler(int signal, void *siginfo, void *context)
{
	struct slot *slot = slot_at((arch_stack_pointer() - ARENA_BASE) / SLOT_SIZE);
	struct wire_caught *record = &slot->records[slot->caught % CAUGHT_MAX];
	struct ucontext *uc = context;

	(void)signal;
	memcpy(record->siginfo, siginfo, sizeof(record->siginfo));
	memcpy(record->context, &uc->uc_mcontext,
	       sizeof(uc->uc_mcontext) < sizeof(record->context) ? sizeof(uc->uc_mcontext) : sizeof(record->context));
	if (slot->set_result)
		((__u64 *)&uc->uc_mcontext)[ARCH_CONTEXT_RESULT] = slot->result;
	__atomic_store_n(&slot->caught, slot->caught + 1, __ATOMIC_RELEASE);
}
