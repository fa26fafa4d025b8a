// SPDX-License-Identifier: GPL-2.0-or-later
/* What init does once, before it listens: mounts, the arena, the channel to the host. */

#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/unistd.h>
#include <asm/ioctls.h>
#include <asm/termbits.h>

#include "setup.h"
#include "sys.h"
#include "task.h"

#define CHANNEL_NAME "org.kconform.agent"

static long open_path(const char *path, int flags)
{
	return sys4(__NR_openat, AT_FDCWD, path, flags, 0);
}

static long read_path(const char *path, char *buffer, size_t size)
{
	long fd = open_path(path, O_RDONLY), n;

	if (fd < 0)
		return fd;
	n = sys3(__NR_read, fd, buffer, size - 1);
	sys1(__NR_close, fd);
	buffer[n > 0 ? n : 0] = 0;
	return n;
}

static int contains(const char *text, const char *word)
{
	size_t n = strlen(word), i;

	for (; *text; text++) {
		for (i = 0; i < n && text[i] == word[i]; i++)
			;
		if (i == n)
			return 1;
	}
	return 0;
}

void say(const char *text)
{
	sys3(__NR_write, 2, text, strlen(text));
}

void die(const char *text, long error)
{
	char digits[8], *p = digits + sizeof(digits) - 1;

	*p = 0;
	error = -error;
	do
		*--p = '0' + error % 10;
	while ((error /= 10) > 0 && p > digits);
	say("kconform: agent: ");
	say(text);
	say(": errno ");
	say(p);
	say("\n");
	sys1(__NR_exit_group, 1);
	__builtin_unreachable();
}

static void mount(const char *type, const char *where)
{
	sys3(__NR_mkdirat, AT_FDCWD, where, 0755);
	sys5(__NR_mount, type, where, type, 0, NULL);
}

void setup_mounts(void)
{
	mount("proc", "/proc");
	mount("sysfs", "/sys");
	mount("devtmpfs", "/dev");
	mount("tmpfs", "/tmp");
	sys4(__NR_fchmodat, AT_FDCWD, "/tmp", 01777, 0);
	/* A kernel without them refuses; the tests that need them say so by the name of the option. */
	mount("securityfs", "/sys/kernel/security");
}

long setup_arena(int inherited)
{
	unsigned long size = (unsigned long)SLOT_COUNT * SLOT_SIZE;
	long fd = FD_ARENA, got;

	if (!inherited) {
		fd = sys2(__NR_memfd_create, "arena", 0);
		if (fd < 0)
			return fd;
		got = sys2(__NR_ftruncate, fd, size);
		if (got < 0)
			return got;
		sys3(__NR_dup3, fd, FD_ARENA, 0);
		sys1(__NR_close, fd);
	}
	got = sys6(__NR_mmap, ARENA_BASE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, FD_ARENA, 0);
	return got < 0 ? got : 0;
}

/*
 * The agent runs before every task, so that a task that waits by looking can never keep an answer from the host.
 * The tasks themselves are not real-time: the policy is not inherited.
 */
void setup_scheduling(void)
{
	struct { int priority; } parameters = { 1 };

	sys3(__NR_sched_setscheduler, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters);
}

void setup_host(int *in, int *out)
{
	__u64 ignore[4] = { 1 };
	long null = open_path("/dev/null", O_RDWR);

	/* Out of the way of the tasks, which inherit the standard ones, and would keep the channel open. */
	*in = sys3(__NR_fcntl, 0, F_DUPFD_CLOEXEC, FD_OWN_FIRST);
	*out = sys3(__NR_fcntl, 1, F_DUPFD_CLOEXEC, FD_OWN_FIRST);
	sys3(__NR_dup3, null, 0, 0);
	sys3(__NR_dup3, null, 1, 0);
	sys1(__NR_close, null);
	sys5(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sys4(__NR_rt_sigaction, SIGPIPE, ignore, NULL, 8);
}

static long open_serial(const char *path)
{
	struct termios settings;
	long fd = open_path(path, O_RDWR | O_NOCTTY), error;

	if (fd < 0)
		return fd;
	error = sys3(__NR_ioctl, fd, TCGETS, &settings);
	if (error < 0)
		return error;
	settings.c_iflag = 0;
	settings.c_oflag = 0;
	settings.c_lflag = 0;
	settings.c_cflag = B115200 | CS8 | CREAD | CLOCAL;
	settings.c_cc[VMIN] = 1;
	settings.c_cc[VTIME] = 0;
	error = sys3(__NR_ioctl, fd, TCSETSF, &settings);
	return error < 0 ? error : fd;
}

/*
 * To poll a serial line is to wait for the kworker that brings its bytes (n_tty_poll(), tty_buffer_flush_work()), and
 * while the agent waits, a parent may reap a child whose status the agent has yet to read. So another process waits for
 * the line, and hands on through a pipe what comes.
 */
static long read_aside(long line)
{
	static __u8 bytes[4096];
	__u64 all = ~0ULL;
	int ends[2];
	long error = sys2(__NR_pipe2, ends, O_CLOEXEC), child, got;

	if (error < 0)
		return error;
	child = sys5(__NR_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (child < 0)
		return child;
	if (child) {
		sys1(__NR_close, ends[1]);
		return ends[0];
	}
	sys4(__NR_rt_sigprocmask, SIG_BLOCK, &all, NULL, 8);
	setup_scheduling();
	while ((got = sys3(__NR_read, line, bytes, sizeof(bytes))) > 0)
		for (long at = 0, sent; at < got; at += sent) {
			sent = sys3(__NR_write, ends[1], bytes + at, got - at);
			if (sent <= 0)
				die("the agent has left its pipe", sent);
		}
	die("the serial line has ended", got);
}

/* What the host has put beside us, numbered as it has to be loaded: a virtio driver that is not built in. */
static void load_modules(void)
{
	char path[] = "/modules/0.ko";

	for (long fd; (fd = open_path(path, O_RDONLY)) >= 0; path[9]++) {
		long error = sys3(__NR_finit_module, fd, "", 0);

		if (error < 0)
			die("a virtio module does not load", error);
		sys1(__NR_close, fd);
	}
}

/* Ports are known by name: virtme-run's own come first, and their order is nobody's promise. */
static long open_virtio_port(void)
{
	static const char digits[] = "0123456789";
	char name[] = "/sys/class/virtio-ports/vport0p0/name", device[] = "/dev/vport0p0", text[64];

	for (int device_index = 0; device_index < 10; device_index++) {
		for (int port = 0; port < 10; port++) {
			name[29] = device[10] = digits[device_index];
			name[31] = device[12] = digits[port];
			if (read_path(name, text, sizeof(text)) > 0 && contains(text, CHANNEL_NAME))
				return open_path(device, O_RDWR);
		}
	}
	return -2; /* ENOENT */
}

/*
 * A port's name is known before the news that the host has its end open: until then a read says that it is gone
 * (virtio_console.c, handle_control_message(), port_fops_read()).
 */
static int host_is_there(long port)
{
	struct pollfd ends = { .fd = port };
	struct __kernel_timespec at_once = { 0, 0 };

	return sys5(__NR_ppoll, &ends, 1, &at_once, NULL, 8) >= 0 && !(ends.revents & POLLHUP);
}

long setup_channel(int *in, int *out)
{
	char command_line[4096];
	struct __kernel_timespec pause = { 0, 1000000 };
	long fd = -2;

	read_path("/proc/cmdline", command_line, sizeof(command_line));
	if (contains(command_line, "kconform.channel=serial")) {
		fd = open_serial("/dev/ttyS1");
		*out = fd;
		*in = fd < 0 ? fd : read_aside(fd);
		return *in < 0 ? *in : 0;
	}
	load_modules();
	/* The driver adds its ports from a work queue, after init has started; the host's deadline ends this. */
	for (int tries = 0; tries < 30000; tries++) {
		if (fd < 0)
			fd = open_virtio_port();
		if (fd >= 0 && host_is_there(fd))
			break;
		sys2(__NR_nanosleep, &pause, NULL);
	}
	*in = *out = fd;
	return fd < 0 ? fd : 0;
}
