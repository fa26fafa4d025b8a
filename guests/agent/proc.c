// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What /proc tells the agent about tasks whose parent it is not.
 *
 * Nothing here waits for a task or reaps it: a dead task stays a zombie until the test says otherwise.
 */

#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "sys.h"

static char *append(char *to, const char *text)
{
	while (*text)
		*to++ = *text++;
	*to = 0;
	return to;
}

static char *append_number(char *to, unsigned int number)
{
	char digits[12], *p = digits + sizeof(digits) - 1;

	*p = 0;
	do
		*--p = '0' + number % 10;
	while (number /= 10);
	return append(to, p);
}

static long read_task_file(unsigned int pid, unsigned int tid, const char *name, char *buffer, size_t size)
{
	char path[64];
	char *p = append_number(append(path, "/proc/"), pid);
	long fd, n;

	if (tid)
		p = append_number(append(p, "/task/"), tid);
	append(append(p, "/"), name);
	fd = sys4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	n = sys3(__NR_read, fd, buffer, size - 1);
	sys1(__NR_close, fd);
	buffer[n > 0 ? n : 0] = 0;
	return n;
}

int wait_status(const struct tracked *task)
{
	char text[1024], *p;
	long n = read_task_file(task->pid, 0, "stat", text, sizeof(text));
	int status = 0;

	if (n <= 0)
		return -1;
	/* exit_code is the last field (fs/proc/array.c, do_task_stat()). */
	for (p = text + n - 1; p > text && p[-1] != ' '; p--)
		;
	for (; *p >= '0' && *p <= '9'; p++)
		status = status * 10 + *p - '0';
	return status;
}

static const char *field(const char *text, const char *name)
{
	size_t n = strlen(name), i;

	for (; *text; text++) {
		if (*text != '\n')
			continue;
		for (i = 0; i < n && text[1 + i] == name[i]; i++)
			;
		if (i == n)
			return text + 1 + n;
	}
	return "";
}

static char state_of(const char *status)
{
	return *field(status, "State:\t");
}

int is_zombie(const struct tracked *task)
{
	char text[2048];

	return read_task_file(task->pid, task->tid, "status", text, sizeof(text)) > 0 && state_of(text) == 'Z';
}

enum task_sign task_sign(const struct tracked *task)
{
	char text[2048], state;
	const char *p;

	if (read_task_file(task->pid, task->tid, "status", text, sizeof(text)) <= 0)
		return SIGN_NONE;
	state = state_of(text);
	if (!state || state == 'Z' || state == 'X')
		return SIGN_NONE;
	p = field(text, "SigPnd:\t");
	/* 16 digits; the third from the end has bit 8, which is SIGKILL. */
	if (strlen(p) < 16 || (p[13] - '0') & 1)
		return SIGN_ENDING;
	/* PF_EXITING | PF_SIGNALED in the ninth field of stat; comm, the second, may hold blanks and brackets. */
	if (read_task_file(task->pid, task->tid, "stat", text, sizeof(text)) <= 0)
		return SIGN_NONE;
	for (p = text + strlen(text); p > text && *p != ')'; p--)
		;
	for (int fields = 0; *p && fields < 7; p++)
		fields += *p == ' ';
	unsigned int flags = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		flags = flags * 10 + *p - '0';
	return flags & 0x404 ? SIGN_ENDING : SIGN_LIVING;
}

struct directory_entry {
	__u64 inode;
	__s64 offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static unsigned int number_of(const char *name)
{
	unsigned int number = 0;

	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return 0;
		number = number * 10 + *name - '0';
	}
	return number;
}

/* The last of the numbers on a line: what a task in namespaces calls itself in the innermost one. */
static int last_number(const char *line)
{
	int number = 0;

	for (; *line && *line != '\n'; line++)
		number = *line < '0' || *line > '9' ? 0 : number * 10 + *line - '0';
	return number;
}

/* A task that is not tracked yet, and how to know it. */
struct wanted {
	int pid;	/* a thread of this process; or 0, for a process whose ... */
	int parent;	/* ... parent this is */
	int own;	/* its number in its own pid namespace */
};

static int is_wanted(const struct wanted *wanted, int number)
{
	char text[2048];

	if (wanted->pid)
		return read_task_file(wanted->pid, number, "status", text, sizeof(text)) > 0 &&
		       last_number(field(text, "NSpid:\t")) == wanted->own;
	if (read_task_file(number, 0, "status", text, sizeof(text)) <= 0 || state_of(text) == 'Z' ||
	    last_number(field(text, "PPid:\t")) != wanted->parent ||
	    last_number(field(text, "NSpid:\t")) != wanted->own)
		return 0;
	for (unsigned int i = 1; i < SLOT_COUNT; i++)
		if (tracked[i].state == TASK_ALIVE && tracked[i].pid == number)
			return 0;
	return 1;
}

static int find_in(const char *path, const struct wanted *wanted)
{
	char buffer[2048];
	int found = 0;
	long fd = sys4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;

	while (fd >= 0 && !found && (n = sys3(__NR_getdents64, fd, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < n && !found;) {
			struct directory_entry *entry = (struct directory_entry *)(buffer + at);
			int number = number_of(entry->name);

			at += entry->length;
			if (number && is_wanted(wanted, number))
				found = number;
		}
	}
	if (fd >= 0)
		sys1(__NR_close, fd);
	return found;
}

int find_nested(const struct tracked *parent, unsigned long flags, int own, int *tid)
{
	struct wanted wanted = { .own = own, .parent = parent->pid };
	char text[2048], path[64];

	if (flags & CLONE_THREAD) {
		wanted.pid = parent->pid;
		append(append_number(append(path, "/proc/"), parent->pid), "/task");
		*tid = find_in(path, &wanted);
		return parent->pid;
	}
	if (flags & CLONE_PARENT && read_task_file(parent->pid, 0, "status", text, sizeof(text)) > 0)
		wanted.parent = last_number(field(text, "PPid:\t"));
	*tid = find_in("/proc", &wanted);
	return *tid;
}
