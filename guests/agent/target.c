// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent on a target, a machine that somebody else booted. Two processes run this program there:
 *
 *   the keeper      knows what the settings were, waits until the agent has ended, for whatever reason, kills every
 *                   process that is left, and restores the settings
 *   └─ the agent    has mounts and IPC of its own, so that its root contains what a guest's does, and ends with it
 *
 * The tasks share the machine's other namespaces, so the kernel's log names them by the numbers that a test knows.
 */

#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/un.h>
#include <linux/unistd.h>
#include <linux/wait.h>

#include "agent.h"
#include "setup.h"
#include "sys.h"

#define SETTINGS_MAX 64
#define VALUE_MAX 4096
#define UNFINISHED 2 /* the keeper's exit status, if a setting could not be restored */

/* The C library defines these; the kernel's headers do not. */
#define AF_UNIX 1
#define SOCK_DGRAM 2
#define SOCK_CLOEXEC O_CLOEXEC

static struct setting {
	const char *path;
	const char *first;	/* what the agent sets it to when it starts; "" to leave it as it is */
	long length;
	char value[VALUE_MAX];
} settings[SETTINGS_MAX];

static long read_setting(const char *path, char *value)
{
	long fd = sys4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), length;

	if (fd < 0)
		return fd;
	length = sys3(__NR_read, fd, value, VALUE_MAX);
	sys1(__NR_close, fd);
	return length;
}

static void write_setting(const char *path, const char *value, long length)
{
	long fd = sys4(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return;
	sys3(__NR_write, fd, value, length);
	sys1(__NR_close, fd);
}

static int is_as_before(const struct setting *setting)
{
	static char now[VALUE_MAX];

	if (read_setting(setting->path, now) != setting->length)
		return 0;
	for (long i = 0; i < setting->length; i++)
		if (now[i] != setting->value[i])
			return 0;
	return 1;
}

/* If this kernel does not have a setting, or lets nobody read it, a test cannot change it either. */
static void note_settings(char *const *words, unsigned long count)
{
	if (count > SETTINGS_MAX)
		die("too many settings", -E2BIG);
	for (unsigned long i = 0; i < count; i++) {
		char *first = words[i];

		while (*first && *first != '=')
			first++;
		if (*first)
			*first++ = 0;
		settings[i].path = words[i];
		settings[i].first = first;
		settings[i].length = read_setting(words[i], settings[i].value);
		if (settings[i].length == VALUE_MAX)
			die("a setting is too long", -EMSGSIZE);
	}
}

/* If one cannot be changed, a test that depends on it finds out. */
static void make_first_settings(void)
{
	for (int i = 0; i < SETTINGS_MAX && settings[i].path; i++)
		if (settings[i].length >= 0 && *settings[i].first)
			write_setting(settings[i].path, settings[i].first, strlen(settings[i].first));
}

/* Whether all have their old values again. */
static int restore_settings(void)
{
	int all = 1;

	for (int i = 0; i < SETTINGS_MAX && settings[i].path; i++) {
		if (settings[i].length < 0 || is_as_before(&settings[i]))
			continue;
		write_setting(settings[i].path, settings[i].value, settings[i].length);
		if (is_as_before(&settings[i]))
			continue;
		say("kconform: agent: not as before: ");
		say(settings[i].path);
		say("\n");
		all = 0;
	}
	return all;
}

/* Settings belong to the machine, so one agent at a time may change them. The name lasts as long as the keeper. */
static long take_turn(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0org.kconform.agent" };
	long fd = sys3(__NR_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		die("no socket", fd);
	error = sys3(__NR_bind, fd, &name, offsetof(struct sockaddr_un, sun_path) + sizeof("org.kconform.agent"));
	if (error == -EADDRINUSE)
		die("another run is testing this machine", error);
	if (error < 0)
		die("no name for a socket", error);
	return fd;
}

static void copy_program(const char *path)
{
	long from = sys4(__NR_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0);
	long to = sys4(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755), sent;

	if (from < 0 || to < 0)
		die("the program cannot be copied", from < 0 ? from : to);
	while ((sent = sys4(__NR_sendfile, to, from, NULL, 1 << 20)) > 0)
		;
	if (sent < 0)
		die("the program cannot be copied", sent);
	sys1(__NR_close, from);
	sys1(__NR_close, to);
}

static void must(long error, const char *why)
{
	if (error < 0)
		die(why, error);
}

/* A root like that of an initramfs, which vanishes with the agent. It has the machine's devices. */
static void make_root(void)
{
	static const char place[] = "/tmp";

	/* A kernel without CONFIG_IPC_NS refuses both. */
	if (sys1(__NR_unshare, CLONE_NEWNS | CLONE_NEWIPC) < 0)
		must(sys1(__NR_unshare, CLONE_NEWNS), "no mounts of its own");
	must(sys5(__NR_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "the mounts stay shared");
	must(sys5(__NR_mount, "tmpfs", place, "tmpfs", 0, "mode=0755"), "no root of its own");
	sys3(__NR_mkdirat, AT_FDCWD, "/tmp/dev", 0755);
	must(sys5(__NR_mount, "/dev", "/tmp/dev", NULL, MS_BIND, NULL), "no devices");
	copy_program("/tmp/init");
	must(sys1(__NR_chdir, place), "no root of its own");
	must(sys5(__NR_mount, ".", "/", NULL, MS_MOVE, NULL), "no root of its own");
	must(sys1(__NR_chroot, "."), "no root of its own");
	must(sys1(__NR_chdir, "/"), "no root of its own");
	setup_mounts(0);
}

/* Undo what a login has changed: the first process has the kernel's own limits (INIT_RLIMITS). */
static void take_limits_of_init(void)
{
	static const struct {
		int resource;
		struct rlimit64 limit;
	} limits[] = {
		{ RLIMIT_STACK, { _STK_LIM, RLIM64_INFINITY } },
		{ RLIMIT_CORE, { 0, RLIM64_INFINITY } },
		{ RLIMIT_NOFILE, { 1024, 4096 } },
		{ RLIMIT_CPU, { RLIM64_INFINITY, RLIM64_INFINITY } },
		{ RLIMIT_FSIZE, { RLIM64_INFINITY, RLIM64_INFINITY } },
		{ RLIMIT_DATA, { RLIM64_INFINITY, RLIM64_INFINITY } },
		{ RLIMIT_AS, { RLIM64_INFINITY, RLIM64_INFINITY } },
		{ RLIMIT_NICE, { 0, 0 } },
		{ RLIMIT_RTPRIO, { 0, 0 } },
	};

	for (unsigned int i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		sys4(__NR_prlimit64, 0, limits[i].resource, &limits[i].limit, NULL);
	sys1(__NR_umask, 022);
}

/* Wait until the agent has ended. A signal to end the keeper ends the agent, so that settings are restored. */
static void await_end(long agent, const __u64 *signals)
{
	for (;;) {
		long got = sys4(__NR_rt_sigtimedwait, signals, NULL, NULL, sizeof(*signals));

		if (got > 0 && got != SIGCHLD)
			sys2(__NR_kill, agent, SIGKILL);
		if (sys4(__NR_wait4, agent, NULL, WNOHANG, NULL) == agent)
			return;
	}
}

/*
 * Kill every process that the agent has left. None can escape the keeper: the children of a process that ends become
 * the keeper's. Never wait for one of them alone: its tracer, not yet a child, may have to end first.
 */
static void end_all(void)
{
	struct __kernel_timespec pause = { 0, 1000000 };
	long got;

	do {
		kill_children(sys1(__NR_getpid, 0));
		got = sys4(__NR_wait4, -1, NULL, WNOHANG | __WALL, NULL);
		if (!got)
			sys4(NR_CLOCK_NANOSLEEP, CLOCK_MONOTONIC, 0, &pause, NULL);
	} while (got != -ECHILD);
}

void run_on_target(char *const *words, unsigned long count)
{
	__u64 none = 0, signals = 1ULL << (SIGHUP - 1) | 1ULL << (SIGINT - 1) | 1ULL << (SIGTERM - 1) |
				  1ULL << (SIGQUIT - 1) | 1ULL << (SIGCHLD - 1);
	__u64 by_default[4] = { (unsigned long)SIG_DFL }, ignore[4] = { (unsigned long)SIG_IGN };
	long turn = take_turn(), agent;

	note_settings(words, count);
	sys4(__NR_rt_sigaction, SIGCHLD, by_default, NULL, sizeof(__u64));
	sys4(__NR_rt_sigaction, SIGPIPE, by_default, NULL, sizeof(__u64));
	sys4(__NR_rt_sigprocmask, SIG_SETMASK, &signals, NULL, sizeof(signals));
	must(sys5(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "it cannot adopt processes");
	make_root();
	make_first_settings();
	agent = sys_fork();
	must(agent, "no process for the agent");
	if (!agent) {
		sys1(__NR_close, turn);
		sys1(__NR_setsid, 0);
		sys4(__NR_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
		take_limits_of_init();
		return;
	}
	/* A keeper that reports a setting must live to restore the next, although the host may be gone. */
	sys4(__NR_rt_sigaction, SIGPIPE, ignore, NULL, sizeof(__u64));
	/* The host learns of the agent's end when nobody has the channel open any more. */
	sys3(__NR_close_range, 0, 1, 0);
	await_end(agent, &signals);
	end_all();
	sys1(__NR_exit_group, restore_settings() ? 0 : UNFINISHED);
}
