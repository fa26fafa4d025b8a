// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the agent learns from /proc about tasks whose parent it is not.
 *
 * Nothing here waits for a task or reaps it: a dead task stays a zombie until the test reaps it.
 */

#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "proc_text.h"
#include "sys.h"
#include "text.h"

/* include/linux/sched.h */
#define PF_EXITING 0x4
#define PF_SIGNALED 0x400

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
	char stat[1024];

	return read_task_file(task->pid, 0, "stat", stat, sizeof(stat)) > 0 ? stat_exit_code(stat) : -1;
}

int is_zombie(const struct tracked *task)
{
	char status[2048];

	return read_task_file(task->pid, task->tid, "status", status, sizeof(status)) > 0 &&
	       status_state(status) == 'Z';
}

enum task_sign task_sign(const struct tracked *task)
{
	char status[2048], stat[2048], state;

	if (read_task_file(task->pid, task->tid, "status", status, sizeof(status)) <= 0)
		return SIGN_NONE;
	state = status_state(status);
	if (!state || state == 'Z' || state == 'X')
		return SIGN_NONE;
	if (status_has_pending(status, SIGKILL))
		return SIGN_ENDING;
	if (read_task_file(task->pid, task->tid, "stat", stat, sizeof(stat)) <= 0)
		return SIGN_NONE;
	if (stat_flags(stat) & (PF_EXITING | PF_SIGNALED))
		return SIGN_ENDING;
	return state == 'R' ? SIGN_RUNNING : SIGN_BLOCKED;
}

/* struct linux_dirent64 */
struct directory_entry {
	__u64 inode;
	__s64 offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

/* The number that a name consists of; 0 for any other name. */
static unsigned int number_of(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!is_digit(*p))
			return 0;
	return parse_number(name);
}

/* How to recognise a task that is not tracked yet. */
struct wanted {
	int pid;	/* a thread of this process; or 0, for a process ... */
	int parent;	/* ... with this parent */
	int own;	/* its number in its own pid namespace */
	int killed;	/* none: kill all children of the parent instead */
};

static int is_wanted(const struct wanted *wanted, int number)
{
	char status[2048];

	if (wanted->pid)
		return read_task_file(wanted->pid, number, "status", status, sizeof(status)) > 0 &&
		       last_number(status_field(status, "NSpid:\t")) == wanted->own;
	if (read_task_file(number, 0, "status", status, sizeof(status)) <= 0 || status_state(status) == 'Z' ||
	    last_number(status_field(status, "PPid:\t")) != wanted->parent)
		return 0;
	if (wanted->killed) {
		sys2(__NR_kill, number, SIGKILL);
		return 0;
	}
	if (last_number(status_field(status, "NSpid:\t")) != wanted->own)
		return 0;
	for (unsigned int i = 1; i < SLOT_COUNT; i++)
		if (tracked[i].state == TASK_ALIVE && tracked[i].pid == number)
			return 0;
	return 1;
}

static int find_in(const char *directory, const struct wanted *wanted)
{
	char buffer[2048] __attribute__((aligned(8)));
	int found = 0;
	long fd = sys4(__NR_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;

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
	char status[2048], path[64];

	if (flags & CLONE_THREAD) {
		wanted.pid = parent->pid;
		append(append_number(append(path, "/proc/"), parent->pid), "/task");
		*tid = find_in(path, &wanted);
		return parent->pid;
	}
	if (flags & CLONE_PARENT && read_task_file(parent->pid, 0, "status", status, sizeof(status)) > 0)
		wanted.parent = last_number(status_field(status, "PPid:\t"));
	*tid = find_in("/proc", &wanted);
	return *tid;
}

void kill_children(int parent)
{
	const struct wanted all = { .parent = parent, .killed = 1 };

	find_in("/proc", &all);
}
