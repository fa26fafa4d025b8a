// SPDX-License-Identifier: GPL-2.0-or-later
/* What init does once, before it listens: mounts, the arena, the bell; and what replaces the mounts on a host. */

#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "setup.h"
#include "sys.h"
#include "task.h"

static void mount(const char *type, const char *where)
{
	sys3(__NR_mkdirat, AT_FDCWD, where, 0755);
	sys5(__NR_mount, type, where, type, 0, NULL);
}

/*
 * A kernel that lacks one of these file systems refuses to mount it. That is not an error here: the tests that need
 * it report the missing option by name.
 */
void setup_mounts(int devices)
{
	mount("proc", "/proc");
	mount("sysfs", "/sys");
	if (devices)
		mount("devtmpfs", "/dev");
	mount("tmpfs", "/tmp");
	sys4(__NR_fchmodat, AT_FDCWD, "/tmp", 01777, 0);
	mount("securityfs", "/sys/kernel/security");
}

void setup_standard_files(void)
{
	/* Each gets the lowest free number: once that is 2 or higher, all three are open. */
	long fd = sys4(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);

	while (fd >= 0 && fd < 2)
		fd = sys1(__NR_dup, fd);
	if (fd > 2)
		sys1(__NR_close, fd);
}

/* Move a descriptor to a number that every task inherits. */
static void move_descriptor(long from, int to)
{
	sys3(__NR_dup3, from, to, 0);
	sys1(__NR_close, from);
}

long setup_arena(void)
{
	long fd = sys2(__NR_memfd_create, "arena", 0), got;

	if (fd < 0)
		return fd;
	got = sys2(__NR_ftruncate, fd, (unsigned long)SLOT_COUNT * SLOT_SIZE);
	if (got < 0)
		return got;
	move_descriptor(fd, FD_ARENA);
	return map_arena();
}

long setup_bell(void)
{
	long bell = sys2(__NR_eventfd2, 0, O_NONBLOCK);

	if (bell < 0)
		return bell;
	move_descriptor(bell, FD_BELL);
	return 0;
}

void setup_host(int *in, int *out)
{
	__u64 ignore[4] = { (unsigned long)SIG_IGN };
	long null = sys4(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);

	/* Tasks inherit the standard descriptors, and would keep the channel open if it stayed there. */
	*in = sys3(__NR_fcntl, 0, F_DUPFD_CLOEXEC, FD_OWN_FIRST);
	*out = sys3(__NR_fcntl, 1, F_DUPFD_CLOEXEC, FD_OWN_FIRST);
	sys3(__NR_dup3, null, 0, 0);
	sys3(__NR_dup3, null, 1, 0);
	sys1(__NR_close, null);
	sys5(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sys4(__NR_rt_sigaction, SIGPIPE, ignore, NULL, sizeof(__u64));
}
