// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent on a machine that is not there: its requests come from standard input, its answers go to standard output,
 * and its system calls are answered by chance, with what a kernel could answer. So the agent's own code can run under
 * sanitizers, which a program without a C library cannot.
 *
 *   agent SEED
 *
 * No task really runs. That one has started, executed its order or died is decided here, also by chance, and written
 * to where the agent looks for it. Now and then a task scribbles over its slot.
 */

#include <linux/futex.h>
#include <linux/poll.h>
#include <linux/time_types.h>
#include <linux/utsname.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"
#include "setup.h"

#define FIRST_PIDFD 100000 /* the arena, the bell and every file have lower numbers */
#define LOG 7
#define TAINT 8

enum { PROC_FILE = 20, DIRECTORY = 21 };

static unsigned long long chance_state, clock_ns;
static int serving, in_task, next_pid = 300;

static unsigned int chance(unsigned int below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (unsigned int)(chance_state >> 33) % below;
}

/* What a call may return: mostly success, or any error. */
static long any_result(void)
{
	switch (chance(8)) {
	case 0:
		return -1 - (long)chance(MAX_ERRNO);
	case 1:
		return (long)(chance_state * 0x9e3779b97f4a7c15ULL);
	default:
		return chance(40000);
	}
}

/* Cut anywhere, with fields that are missing, odd or too long. */
static long proc_text(char *to, size_t size)
{
	static const char *const pieces[] = {
		"Name:\ttask\n", "State:\tS (sleeping)\n", "State:\tZ (zombie)\n", "State:\t", "\n", ")", "(", " ",
		"NSpid:\t300\t1\n", "NSpid:\t", "PPid:\t1\n", "PPid:\t99999999999999999999\n", "301 (na) me) S 1 2 3 4 5 ",
		"SigPnd:\t0000000000000100\n", "SigPnd:\t00000", "18446744073709551615", "4294967295 ", "\xff\x80",
	};
	size_t n = 0;

	for (unsigned int left = chance(40); left; left--) {
		const char *piece = pieces[chance(sizeof(pieces) / sizeof(*pieces))];
		size_t length = strlen(piece);

		if (n + length > size)
			length = size - n;
		memcpy(to + n, piece, length);
		n += length;
	}
	return n;
}

static long directory(char *to, size_t size)
{
	size_t n = 0;

	while (n + 64 < size && chance(6)) {
		unsigned short length = 48; /* 19 before the name; a multiple of 8 in all */

		memset(to + n, 0, length);
		memcpy(to + n + 16, &length, sizeof(length));
		if (chance(4))
			snprintf(to + n + 19, 24, "%u", chance(4) ? 300 + chance(40) : chance(~0U));
		else
			snprintf(to + n + 19, 24, "self");
		n += length;
	}
	return n;
}

static void start(unsigned int index)
{
	struct slot *slot = slot_at(index);

	slot->tid = slot->parent_view = next_pid++;
	if (!chance(6))
		slot->tid = 1 + chance(3);
	slot->ready_error = chance(8) ? 0 : -1 - (int)chance(MAX_ERRNO);
	slot->ready = 1;
}

/* A task does what its slot says, or does not come to it. */
static void run_task(unsigned int index)
{
	struct slot *slot = slot_at(index);

	if (tracked[index].state == TASK_STARTING && !slot->ready && chance(2))
		start(index);
	if (slot->ordered == slot->done || chance(3) == 0)
		return;
	if (slot->kind == ORDER_LOOP && slot->loop.running) {
		if (slot->loop.rounds > 3)
			slot->loop.rounds = 3;
		in_task = 1;
		run_plan(slot);
		in_task = 0;
	}
	slot->value = any_result();
	if (slot->kind == ORDER_SPAWN && chance(2))
		slot->value = next_pid;
	slot->done = slot->ordered;
	if (!chance(16))
		slot->tid = 0;
	if (!chance(30)) {
		__u8 *bytes = (__u8 *)slot;

		for (int i = 0; i < 64; i++)
			bytes[chance(SLOT_DATA)] = (__u8)chance(256);
	}
}

static long wait_for(struct pollfd *fds, unsigned int n)
{
	for (unsigned int i = 1; i < SLOT_COUNT; i++)
		if (tracked[i].state != TASK_NONE)
			run_task(i);
	for (unsigned int i = 0; i < n; i++) {
		fds[i].revents = 0;
		if (fds[i].fd == channel_in)
			fds[i].revents = POLLIN;
		else if (fds[i].fd >= FIRST_PIDFD && !chance(60))
			fds[i].revents = POLLIN;
	}
	return n;
}

static long receive_some(void *to, size_t size)
{
	size_t most = chance(4) ? 1 + chance(300) : 1 + chance(1 << 18);

	return read(0, to, size < most ? size : most);
}

static long read_file(int fd, void *to, size_t size)
{
	switch (fd) {
	case FD_BELL:
		memset(to, 0, 8);
		return 8;
	case LOG:
		if (chance(3))
			return chance(2) ? -EAGAIN : -EPIPE;
		memset(to, 'x', size);
		return 1 + chance(size);
	case DIRECTORY:
	case PROC_FILE:
		return chance(5) ? proc_text(to, size) : -ESRCH;
	}
	if (fd == channel_in)
		return receive_some(to, size);
	return -EBADF;
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

static long open_file(const char *path, long flags)
{
	size_t length = strlen(path);

	if (!chance(8))
		return -ENOENT;
	if (!strcmp(path, "/dev/kmsg"))
		return LOG;
	if (!strcmp(path, "/proc/sys/kernel/tainted"))
		return TAINT;
	return flags & 0200000 || (length >= 5 && !strcmp(path + length - 5, "/task")) ? DIRECTORY : PROC_FILE;
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
		return chance(2) ? directory((char *)b, c) : 0;
	case __NR_ppoll:
		return wait_for((struct pollfd *)a, b);
	case __NR_clock_gettime:
		return tell_time((struct __kernel_timespec *)b);
	case __NR_nanosleep:
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
long task_call(const struct slot *slot)
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
