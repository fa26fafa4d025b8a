// SPDX-License-Identifier: GPL-2.0-or-later
/* Open the channel to the host: a virtio port, or a serial line if the kernel's command line says so. */

#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/unistd.h>
#include <asm/ioctls.h>
#include <asm/termbits.h>

#include "agent.h"
#include "setup.h"
#include "sys.h"
#include "text.h"

#define CHANNEL_NAME "org.kconform.agent"
#define SERIAL_LINE "/dev/ttyS1"

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
 * Polling a serial line waits for the kworker that delivers its bytes (n_tty_poll(), tty_buffer_flush_work()). While
 * the agent waits, a parent may reap a child whose status the agent has yet to read. So another process waits for the
 * line, and passes on what it reads through a pipe.
 */
static long read_aside(long line)
{
	static __u8 bytes[4096];
	__u64 all = ~0ULL;
	int ends[2];
	long error = sys2(__NR_pipe2, ends, O_CLOEXEC), child, got;

	if (error < 0)
		return error;
	child = sys_fork();
	if (child < 0)
		return child;
	if (child) {
		sys1(__NR_close, ends[1]);
		return ends[0];
	}
	sys4(__NR_rt_sigprocmask, SIG_BLOCK, &all, NULL, sizeof(all));
	run_before_tasks();
	while ((got = sys3(__NR_read, line, bytes, sizeof(bytes))) > 0)
		for (long at = 0, sent; at < got; at += sent) {
			sent = sys3(__NR_write, ends[1], bytes + at, got - at);
			if (sent <= 0)
				die("the agent closed its pipe", sent);
		}
	die("the serial line was closed", got);
}

/* A virtio driver that is not built in: the initramfs has its modules, numbered in the order of loading. */
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

/* Find the port by its name: virtme-run's own ports come first, and nothing guarantees an order. */
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
	return -ENOENT;
}

/*
 * The guest learns a port's name before it learns that the host has opened the other end. Until then a read finds the
 * port hung up (virtio_console.c, handle_control_message(), port_fops_read()).
 */
static int host_is_connected(long port)
{
	struct pollfd ends = { .fd = port };
	struct __kernel_timespec at_once = { 0, 0 };

	return sys5(NR_PPOLL, &ends, 1, &at_once, NULL, sizeof(__u64)) >= 0 && !(ends.revents & POLLHUP);
}

long open_channel(int *in, int *out)
{
	char command_line[4096];
	struct __kernel_timespec pause = { 0, 1000000 };
	long fd = -ENOENT;

	read_path("/proc/cmdline", command_line, sizeof(command_line));
	if (contains(command_line, "kconform.channel=serial")) {
		fd = open_serial(SERIAL_LINE);
		*out = fd;
		*in = fd < 0 ? fd : read_aside(fd);
		return *in < 0 ? *in : 0;
	}
	load_modules();
	/* The driver adds its ports from a work queue, after init has started. The host's deadline ends the wait. */
	for (int tries = 0; tries < 30000; tries++) {
		if (fd < 0)
			fd = open_virtio_port();
		if (fd >= 0 && host_is_connected(fd))
			break;
		sys4(NR_CLOCK_NANOSLEEP, CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	*in = *out = fd;
	return fd < 0 ? fd : 0;
}
