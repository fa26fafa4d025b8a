// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory and files */

static long mem(const struct task *task, unsigned long offset)
{
	return ARENA + task->slot * SLOT + DATA + offset;
}

static void text(const struct task *task, unsigned long offset, const char *how, ...)
{
	va_list list;

	va_start(list, how);
	vsnprintf((char *)mem(task, offset), 4096, how, list);
	va_end(list);
}

static const char *format(const char *how, ...)
{
	static char buffers[8][4096];
	static int next;
	char *buffer = buffers[next++ % 8];
	va_list list;

	va_start(list, how);
	vsnprintf(buffer, sizeof(buffers[0]), how, list);
	va_end(list);
	return buffer;
}

static void bytes(const struct task *task, unsigned long offset, const void *content, size_t length)
{
	memcpy((void *)mem(task, offset), content, length);
}

static void zero(const struct task *task, unsigned long offset, size_t length)
{
	memset((void *)mem(task, offset), 0, length);
}

static void put32(const struct task *task, unsigned long offset, unsigned int value)
{
	bytes(task, offset, &value, sizeof(value));
}

static void put64(const struct task *task, unsigned long offset, unsigned long value)
{
	bytes(task, offset, &value, sizeof(value));
}

static long word32(const struct task *task, unsigned long offset)
{
	unsigned int value;

	memcpy(&value, (void *)mem(task, offset), sizeof(value));
	return value;
}

static long word64(const struct task *task, unsigned long offset)
{
	long value;

	memcpy(&value, (void *)mem(task, offset), sizeof(value));
	return value;
}

/* As init. A sysctl gets its old value back at the end. */
static struct outcome write_file(const char *path, const void *content, size_t length, int flags, int mode)
{
	long fd, n = 0;
	size_t written = 0;

	if (!strncmp(path, "/proc/sys/", 10) && sysctl_count < 32) {
		snprintf(sysctls[sysctl_count].path, sizeof(sysctls[0].path), "%s", path);
		if (read_text(path, sysctls[sysctl_count].content, sizeof(sysctls[0].content)))
			sysctl_count++;
	}
	fd = raw(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CLOEXEC | flags, mode, 0, 0);
	if (fd < 0)
		return (struct outcome){ RETURNED, fd };
	do {
		n = raw(SYS_write, fd, (long)content + written, length - written, 0, 0, 0);
		written += n > 0 ? n : 0;
	} while (n > 0 && written < length);
	raw(SYS_close, fd, 0, 0, 0, 0, 0);
	return (struct outcome){ RETURNED, n < 0 ? n : (long)written };
}

static int map_arena(void)
{
	return mmap((void *)ARENA, SLOTS * SLOT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, FD_ARENA, 0) != MAP_FAILED;
}

/* If this program is killed, its tasks must not stay: some of them poll. */
static void end_tasks_after(int program)
{
	static char maps[8192];
	struct pollfd ended = { .fd = dup2(program, 0), .events = POLLIN };

	/* Out of our session, so that no signal for that ends it first. */
	setsid();
	syscall(SYS_close_range, 1, ~0U, 0);
	poll(&ended, 1, -1);
	for (int slot = 1; slot < SLOTS; slot++) {
		int tid = ((struct shared *)(ARENA + slot * SLOT))->tid;

		/* The number may belong to another process now. */
		if (tid > 0 && read_text(format("/proc/%d/maps", tid), maps, sizeof(maps)) && strstr(maps, "memfd:arena"))
			kill(tid, SIGKILL);
	}
	_exit(0);
}

static void start_guard(void)
{
	int program = syscall(SYS_pidfd_open, getpid(), 0);
	pid_t parent = program < 0 ? -1 : fork();

	if (!parent) {
		/* It loses its parent, so that it is no child of this program, which may wait for any. */
		pid_t child = fork();

		if (!child)
			end_tasks_after(program);
		shared(&tasks[0])->child = child;
		_exit(0);
	}
	if (parent > 0) {
		waitpid(parent, NULL, 0);
		guard = syscall(SYS_pidfd_open, shared(&tasks[0])->child, 0);
	}
	if (program >= 0)
		close(program);
}

static void set_up(int argc, char **argv)
{
	static char path[4096];
	struct sched_param first = { .sched_priority = 1 };
	int fd, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (geteuid())
		cannot("it needs to run as root");
	personality(personality(0xffffffff) & ~ADDR_NO_RANDOMIZE);
	dup3(1, FD_OUTPUT, O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	close(null);
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		cannot("/proc is not mounted");
	program = path;
	title = argv[0];
	title_size = argv[argc - 1] + strlen(argv[argc - 1]) - argv[0];
	fd = memfd_create("arena", 0);
	if (fd < 0 || ftruncate(fd, SLOTS * SLOT) || dup2(fd, FD_ARENA) < 0 || !map_arena())
		cannot("no shared memory: %s", strerror(errno));
	close(fd);
	fd = eventfd(0, EFD_NONBLOCK);
	dup2(fd, FD_COMMON);
	close(fd);
	start_guard();
	kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kernel_log, 0, SEEK_END);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	tasks[0] = (struct task){ .name = "init", .pid = getpid(), .tid = getpid(), .own_tid = getpid(), .pidfd = -1 };
	for (int i = 1; i < TASKS; i++)
		tasks[i].pidfd = -1;
	/* Before every task, so that none that polls can delay what it is told. */
	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "task")) {
		/* A task has executed this program again. */
		struct shared *me = (struct shared *)(ARENA + atoi(argv[2]) * SLOT);

		if (!map_arena())
			_exit(127);
		me->value = 0;
		__atomic_store_n(&me->done, me->ordered, __ATOMIC_RELEASE);
		switch_stack(stack_of(me), task_main, me);
	}
	/* With room for the names of tasks where the command line is, and the heap, which chance may put there, off the arena. */
	if (argc == 1) {
		personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
		execl("/proc/self/exe", argv[0], "                                ", NULL);
	}
	set_up(argc, argv);
	story();
	over(0);
}
