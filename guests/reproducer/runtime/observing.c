// SPDX-License-Identifier: GPL-2.0-or-later
/* The side of init */

static __attribute__((noreturn, format(printf, 1, 2))) void cannot(const char *how, ...)
{
	va_list list;

	va_start(list, how);
	dprintf(FD_OUTPUT, "cannot be tested here: ");
	vdprintf(FD_OUTPUT, how, list);
	dprintf(FD_OUTPUT, "\n");
	va_end(list);
	over(2);
}

static double now(void);
static void nap(int *times);

static void over(int status)
{
	const char *found;
	int times = 0;
	pid_t reaped;

	for (int i = sysctl_count - 1; i >= 0; i--) {
		int fd = open(sysctls[i].path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, sysctls[i].content, strlen(sysctls[i].content)) < 0)
			dprintf(FD_OUTPUT, "%s could not be restored\n", sysctls[i].path);
		close(fd);
	}
	for (int i = 1; i < TASKS; i++)
		if (tasks[i].pid > 0 && !tasks[i].dead)
			kill(tasks[i].pid, SIGKILL);
	/* All that were left alone are children of this process now. */
	for (double end = now() + 5; now() < end && (reaped = waitpid(-1, NULL, WNOHANG | __WALL)) >= 0;)
		if (!reaped)
			nap(&times);
	if (guard >= 0 && !syscall(SYS_pidfd_send_signal, guard, SIGKILL, NULL, 0))
		poll(&(struct pollfd){ .fd = guard, .events = POLLIN }, 1, 5000);
	if (status != 1 && (found = complaint())) {
		dprintf(FD_OUTPUT, "the kernel complains: %s\n", found);
		status = 1;
	}
	if (!status)
		dprintf(FD_OUTPUT, "the promise is kept\n");
	_exit(status);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Between two looks at a task: short at first, for what takes microseconds. */
static void nap(int *times)
{
	struct timespec time = { 0, 50000 + (*times < 100 ? *times : 100) * 20000 };

	++*times;
	nanosleep(&time, NULL);
}

static int read_text(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);

	if (fd >= 0)
		close(fd);
	buffer[n > 0 ? n : 0] = 0;
	return n > 0;
}

static char state_of(const struct task *task)
{
	char buffer[1024], *end;

	if (!read_text(format("/proc/%d/task/%d/stat", task->pid, task->tid), buffer, sizeof(buffer)))
		return 0;
	end = strrchr(buffer, ')');
	return end ? end[2] : 0;
}

static int ended(const struct task *task)
{
	struct pollfd process = { .fd = task->pidfd, .events = POLLIN };

	return task->pidfd >= 0 && poll(&process, 1, 0) > 0;
}

/* What wait4() would return as the status of a process that has died. */
static long status_of(const struct task *task)
{
	char buffer[1024], *last;

	if (!read_text(format("/proc/%d/stat", task->pid), buffer, sizeof(buffer)))
		return -1;
	last = strrchr(buffer, ' ');
	return last ? atol(last + 1) : -1;
}

static int is_thread(const struct task *task)
{
	return task->pid != task->tid;
}

/* Whether the task has ended, and how. Threads have no descriptor: their end is seen when it lasts. */
static int look(struct task *task, double *gone_since)
{
	if (task->dead)
		return 1;
	if (ended(task)) {
		task->dead = 1;
		task->end = (struct outcome){ DIED, status_of(task) };
		return 1;
	}
	if (__atomic_load_n((volatile int *)&shared(task)->tid, __ATOMIC_ACQUIRE) ||
	    (!is_thread(task) && state_of(task) != 'Z')) {
		*gone_since = 0;
		return 0;
	}
	if (!*gone_since)
		*gone_since = now();
	if (now() - *gone_since < 0.1)
		return 0;
	task->dead = 1;
	task->end = (struct outcome){ GONE, -1 };
	return 1;
}

static void set_policy(const struct task *task, int policy)
{
	int priority = 0;

	syscall(SYS_sched_setscheduler, task->tid, policy, &priority);
}
