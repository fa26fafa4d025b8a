// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent on a simulated kernel: its requests come from standard input, its answers go to standard output, and its
 * system calls are answered at random, with what a kernel could answer. So the agent's own code can run under
 * sanitizers, which a program without a C library cannot.
 *
 *   agent SEED
 *
 * No task really runs. simulated_tasks.c decides at random that a task has started, executed its order or died, and
 * writes that where the agent looks for it. Now and then a task overwrites what the agent reads in its slot.
 */

#include <linux/futex.h>
#include <linux/time_types.h>
#include <linux/utsname.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"
#include "setup.h"
#include "simulation.h"

int in_task, next_pid = 300;

static unsigned long long chance_state, clock_ns;
static int serving;

unsigned int chance(unsigned int below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (unsigned int)(chance_state >> 33) % below;
}

/* What a call may return: mostly success, or any error. */
long any_result(void)
{
	switch (chance(8)) {
	case 2:
		return 0;
	case 0:
		return -1 - (long)chance(MAX_ERRNO);
	case 1:
		return (long)(chance_state * 0x9e3779b97f4a7c15ULL);
	default:
		return chance(40000);
	}
}

static long futex(__u32 *word, int operation)
{
	/* Nobody else runs: what is waited for happens now. */
	if (operation == FUTEX_WAIT)
		*word = 0;
	return 0;
}

static long tell_time(struct __kernel_timespec *now)
{
	clock_ns += 500000 + chance(5000000);
	now->tv_sec = clock_ns / 1000000000;
	now->tv_nsec = clock_ns % 1000000000;
	return 0;
}

/* Arguments are those of the agent itself. Of a test's calls, which may be anything, task_call() below takes care. */
long arch_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	(void)e;
	(void)f;
	if (in_task)
		return nr == __NR_futex ? futex((__u32 *)a, b) : any_result();
	switch (nr) {
	case __NR_read:
		return read_file(a, (void *)b, c);
	case __NR_pread64:
		memcpy((void *)b, "4096\n", 5);
		return chance(4) ? 5 : -EBADF;
	case __NR_write:
		if (a == 2)
			return write(2, (const void *)b, c);
		if (a == channel_out)
			return write(1, (const void *)b, chance(4) ? (size_t)c : (size_t)(c + 1) / 2);
		return chance(4) ? 1 + (long)chance(c ? c : 1) : -ENOSPC;
	case __NR_openat:
		return open_file((const char *)b, c);
	case __NR_getdents64:
		return chance(2) ? read_directory((void *)b, c) : 0;
	case __NR_ppoll:
		return wait_for((struct pollfd *)a, b);
	case __NR_clock_gettime:
		return tell_time((struct __kernel_timespec *)b);
	case __NR_clock_nanosleep:
		for (unsigned int i = 1; i < SLOT_COUNT; i++)
			slot_at(i)->polling = chance(2);
		return 0;
	case __NR_pidfd_open:
		return !serving || chance(10) ? FIRST_PIDFD + (long)chance(1000) : -ESRCH;
	case __NR_uname:
		memset((void *)a, 'k', sizeof(struct new_utsname));
		return 0;
	case __NR_futex:
		return futex((__u32 *)a, b);
	case __NR_exit_group:
		exit(a);
	default:
		(void)d;
		return 0;
	}
}

long arch_call_by(enum wire_entry entry, __u64 number, const __u64 *args)
{
	(void)entry;
	(void)number;
	(void)args;
	return any_result();
}

/* In place of task.c: a call of a test, which init makes itself, could do anything to this process. */
__s64 task_call(const struct slot *slot)
{
	(void)slot;
	return any_result();
}

void wait_for_order(struct slot *slot)
{
	(void)slot;
}

void ring_bell(const struct slot *slot)
{
	(void)slot;
}

void report_done(struct slot *slot)
{
	slot->done = slot->ordered;
}

void task_main(void *argument)
{
	(void)argument;
	abort();
}

/* In place of the assembly. */
long arch_clone(unsigned long flags, void *stack, void *parent_tid, void *child_tid, void (*function)(void *),
		void *argument)
{
	struct slot *slot = argument;

	(void)flags;
	(void)stack;
	(void)child_tid;
	(void)function;
	if (serving && !chance(8))
		return -EAGAIN;
	*(__s32 *)parent_tid = next_pid;
	slot->value = 1;
	return next_pid++;
}

void arch_restorer(void)
{
}

int main(int argc, char **argv)
{
	static char own_title[64] = "agent";

	chance_state = 0x9e3779b97f4a7c15ULL + strtoull(argv[argc - 1], NULL, 10);
	title = own_title;
	title_size = sizeof(own_title);
	if (mmap((void *)ARENA_BASE, (size_t)SLOT_COUNT * SLOT_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return 2;
	channel_in = 10;
	channel_out = 11;
	for (int i = 1; i < SLOT_COUNT; i++)
		tracked[i].pidfd = -1;
	tracked[0] = (struct tracked){ .state = TASK_ALIVE, .pidfd = -1, .pid = 1, .tid = 1 };
	open_kernel_files();
	make_spare_children();
	serving = 1;
	serve();
}
