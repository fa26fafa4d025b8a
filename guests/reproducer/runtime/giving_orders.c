// SPDX-License-Identifier: GPL-2.0-or-later
static void give_order(struct task *task, enum order order)
{
	struct shared *its = shared(task);

	its->order = order;
	task->pending = 1;
	__atomic_store_n(&its->ordered, its->done + 1, __ATOMIC_RELEASE);
	if (its->quiet)
		set_policy(task, SCHED_OTHER);
	else
		syscall(SYS_futex, &its->ordered, FUTEX_WAKE, 1);
}

static int is_done(struct task *task)
{
	struct shared *its = shared(task);

	return __atomic_load_n(&its->done, __ATOMIC_ACQUIRE) == its->ordered;
}

static struct outcome finish(struct task *task)
{
	double end = now() + DEADLINE_S, gone = 0;
	int times = 0;

	if (task == &tasks[0])
		return task->end;
	for (; now() < end; nap(&times)) {
		if (is_done(task)) {
			task->pending = 0;
			if (shared(task)->quiet)
				set_policy(task, SCHED_IDLE);
			/* A thread that has executed a program is the first of its process. */
			if (shared(task)->order == ORDER_CALL && shared(task)->number == SYS_execve && !shared(task)->value)
				task->tid = task->pid;
			return (struct outcome){ RETURNED, shared(task)->value };
		}
		if (look(task, &gone))
			return task->end;
	}
	return (struct outcome){ PENDING, 0 };
}

static void begin_call(struct task *task, enum entry entry, long number, const long *arguments)
{
	if (task == &tasks[0]) {
		task->end = (struct outcome){ RETURNED, raw_by(entry, number, arguments) };
		return;
	}
	if (task->dead || task->pending)
		cannot("%s is to make a call, but %s", task->name, task->dead ? "has ended" : "is still in another");
	shared(task)->entry = entry;
	shared(task)->number = number;
	memcpy(shared(task)->arguments, arguments, sizeof(shared(task)->arguments));
	give_order(task, ORDER_CALL);
}

static struct outcome do_call(struct task *task, enum entry entry, long number, const long *arguments)
{
	begin_call(task, entry, number, arguments);
	return finish(task);
}

static struct outcome copy(struct task *task, long to, long from, size_t length)
{
	long arguments[6] = { to, from, length };

	memcpy(shared(task)->arguments, arguments, sizeof(arguments));
	give_order(task, ORDER_COPY);
	return finish(task);
}

static struct outcome end_of(struct task *task)
{
	double end = now() + DEADLINE_S, gone = 0;
	int times = 0;

	for (; now() < end; nap(&times))
		if (look(task, &gone))
			return task->end;
	return (struct outcome){ PENDING, 0 };
}

/* The number in this pid namespace of a task whose parent knows it by another. */
static int find_nested(const struct task *parent, int own, unsigned long flags)
{
	char status[4096];
	const char *directory = flags & CLONE_THREAD ? format("/proc/%d/task", parent->pid) : "/proc";
	DIR *listed = opendir(directory);
	struct dirent *entry;
	int found = 0;

	while (listed && !found && (entry = readdir(listed))) {
		char *ids, *ppid, *last;

		if (atoi(entry->d_name) < 1 ||
		    !read_text(format("%s/%s/status", directory, entry->d_name), status, sizeof(status)))
			continue;
		ids = strstr(status, "\nNSpid:");
		ppid = strstr(status, "\nPPid:");
		if (!ids || !ppid || (!(flags & CLONE_THREAD) && atoi(ppid + 6) != parent->pid))
			continue;
		*strchr(ids + 1, '\n') = 0;
		last = strrchr(ids, '\t');
		if (last && last > ids + 7 && atoi(last) == own && !strstr(status, "State:\tZ"))
			found = atoi(entry->d_name);
	}
	if (listed)
		closedir(listed);
	return found;
}

static void spawn(struct task *task, struct task *parent, const char *name, struct spawn how)
{
	struct shared *its = shared(task);
	double end = now() + DEADLINE_S;
	int times = 0;
	struct outcome made = { RETURNED, 0 };

	its->spawn = how;
	snprintf(its->name, sizeof(its->name), "%s", name);
	its->quiet = how.quiet;
	task->name = name;
	shared(parent)->child = task->slot;
	if (parent == &tasks[0]) {
		made.value = make_child(shared(parent));
	} else {
		give_order(parent, ORDER_SPAWN);
		if (!(how.flags & CLONE_VFORK))
			made = finish(parent);
	}
	if (made.state != RETURNED || made.value < 0)
		cannot("%s cannot be made: %s", name, made.value < 0 ? strerror(-made.value) : "its parent is stuck");
	while (!__atomic_load_n(&its->ready, __ATOMIC_ACQUIRE)) {
		if (now() > end)
			cannot("%s does not start", name);
		nap(&times);
	}
	if (its->error)
		cannot("%s cannot get its credentials", name);
	task->own_tid = its->tid;
	task->tid = its->parent_view;
	task->nested = parent->nested || task->own_tid != task->tid;
	if (parent->nested)
		task->tid = find_nested(parent, task->own_tid, how.flags);
	task->pid = how.flags & CLONE_THREAD ? parent->pid : task->tid;
	task->pidfd = how.flags & CLONE_THREAD ? parent->pidfd : (int)syscall(SYS_pidfd_open, task->pid, 0);
	if (task->pidfd < 0)
		cannot("pidfd_open() of %s: %s", name, strerror(errno));
	if (how.quiet)
		set_policy(task, SCHED_IDLE);
}

/* Have all threads of the task's process wait for orders without a system call. */
static void quiet(struct task *task)
{
	double end = now() + DEADLINE_S;
	int times = 0, waiting = 1;

	while (waiting) {
		waiting = 0;
		for (int i = 1; i < TASKS; i++) {
			struct shared *its = shared(&tasks[i]);

			if (tasks[i].pid != task->pid || tasks[i].dead || !tasks[i].pid)
				continue;
			__atomic_store_n(&its->quiet, 1, __ATOMIC_RELEASE);
			if (tasks[i].pending && !is_done(&tasks[i]))
				continue;
			if (__atomic_load_n(&its->polling, __ATOMIC_ACQUIRE)) {
				set_policy(&tasks[i], SCHED_IDLE);
				continue;
			}
			syscall(SYS_futex, &its->ordered, FUTEX_WAKE, 1);
			waiting = 1;
		}
		if (now() > end)
			cannot("%s does not become quiet", task->name);
		nap(&times);
	}
}

static void on_signal(struct task *task, int set_result, long result)
{
	shared(task)->set_result = set_result;
	shared(task)->result = result;
}

static int blocks(struct task *task)
{
	double end = now() + DEADLINE_S, gone = 0;
	int times = 0;

	for (; now() < end; nap(&times)) {
		char state = state_of(task);

		if (is_done(task) || look(task, &gone))
			return 0;
		if (state == 'S' || state == 'D')
			return 1;
	}
	return -1;
}
