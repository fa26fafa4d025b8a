// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent: a guest's init. It keeps the tree of tasks, and passes orders and what came of them between the host
 * and the tasks. It never runs a test's call in a task's place; slot 0 is init itself, for what init has to do.
 *
 *   agent                 as init: sets the guest up, then talks over the channel
 *   agent pipes           on a host, for its tests: talks over standard input and output
 *   agent task SLOT       what a task becomes when it executes this program again
 */

#define KCONFORM_ARCH_CODE
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/unistd.h>
#include <linux/utsname.h>

#include "agent.h"
#include "setup.h"
#include "sys.h"
#include "task.h"

#define LOOKS 4
#define LOOKS_TAKE_NS 8000000

struct tracked tracked[SLOT_COUNT];
int channel_in, channel_out;
static unsigned int highest; /* no slot above it has ever been used */

void *memcpy(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	char *t = to;

	while (n--)
		*t++ = byte;
	return to;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

/* In a guest the tasks end with the kernel. On a host nobody else would end them. */
static void __attribute__((noreturn)) end(const char *why, long error)
{
	for (unsigned int i = 1; i < SLOT_COUNT; i++)
		if (tracked[i].pidfd >= 0)
			sys4(__NR_pidfd_send_signal, tracked[i].pidfd, SIGKILL, NULL, 0);
	die(why, error);
}

void send_all(const void *bytes, size_t n)
{
	while (n) {
		long sent = sys3(__NR_write, channel_out, bytes, n);

		if (sent == -4 || sent == -11) /* EINTR, EAGAIN */
			continue;
		if (sent <= 0)
			end("the channel to the host broke", sent);
		bytes = (const char *)bytes + sent;
		n -= sent;
	}
}

/*
 * Take what the channel has, and answer each frame that is whole. Never wait for the rest of one: meanwhile a parent
 * could reap a child whose status the agent has yet to read.
 */
static int receive(void)
{
	static __u8 buffer[sizeof(struct wire_header) + WIRE_BODY_MAX] __attribute__((aligned(8)));
	static size_t have;
	struct wire_header header;
	long got = sys3(__NR_read, channel_in, buffer + have, sizeof(buffer) - have);
	size_t whole;
	int answered = 0;

	if (got == -4 || got == -11) /* EINTR, EAGAIN */
		return 0;
	if (got <= 0)
		end("the host is gone", got);
	have += got;
	while (have >= sizeof(header)) {
		memcpy(&header, buffer, sizeof(header));
		if (header.length > WIRE_BODY_MAX)
			end("a frame is longer than any can be", -90);
		whole = sizeof(header) + header.length;
		if (have < whole)
			break;
		answer(&header, buffer + sizeof(header));
		answered = 1;
		have -= whole;
		memcpy(buffer, buffer + whole, have);
	}
	return answered;
}

static void set_policy(int tid, int policy)
{
	struct { int priority; } parameters = { 0 };

	sys3(__NR_sched_setscheduler, tid, policy, &parameters);
}

/*
 * Give a task the order that its slot describes.
 *
 * A quiet task looks for its orders in a loop, and with one CPU would keep the others from theirs, so quiet tasks
 * idle in SCHED_IDLE, and come forward for as long as an order takes.
 */
void give_order(struct slot *slot)
{
	struct tracked *task = &tracked[slot_index(slot)];

	__atomic_store_n(&slot->ordered, slot->done + 1, __ATOMIC_RELEASE);
	if (slot->quiet)
		set_policy(task->tid, SCHED_NORMAL);
	else
		sys3(__NR_futex, &slot->ordered, FUTEX_WAKE, 1);
}

void track(unsigned int index)
{
	if (index > highest)
		highest = index;
}

/*
 * Did a thread end alone, or is its whole process ending? A group exit sends a SIGKILL to every other thread before the
 * first one is gone (zap_other_threads()), so that one whose turn has not come yet tells; the thread that began it shows
 * nothing until it runs on, which ended_alone() waits for.
 */
static int process_goes_on(const struct tracked *task)
{
	int living = 0;

	for (unsigned int i = 1; i <= highest; i++) {
		if (&tracked[i] == task || tracked[i].pid != task->pid || tracked[i].state != TASK_ALIVE)
			continue;
		switch (task_sign(&tracked[i])) {
		case SIGN_ENDING:
			return 0;
		case SIGN_LIVING:
			living = 1;
			break;
		case SIGN_NONE:
			break;
		}
	}
	return living;
}

/*
 * A thread that executes a program kills the others and takes its leader's number (de_thread()). If another process
 * shares the memory that it leaves, it loses its tid as if it had ended.
 */
static int takes_the_lead(const struct tracked *task, const struct slot *slot)
{
	for (unsigned int i = 1; task->pending && is_execve(slot) && i <= highest; i++)
		if (tracked[i].pid == task->pid && !tracked[i].is_thread && tracked[i].state == TASK_ALIVE)
			return !__atomic_load_n(&slot_at(i)->tid, __ATOMIC_ACQUIRE);
	return 0;
}

/* A thread is gone when the kernel has cleared its tid. That a process is, its pidfd says (seen by poll_once()). */
static int thread_gone(const struct tracked *task, const struct slot *slot)
{
	if (__atomic_load_n((volatile __s32 *)&slot->tid, __ATOMIC_ACQUIRE))
		return 0;
	return task->is_thread ? !takes_the_lead(task, slot) : is_zombie(task);
}

__u64 now_ns(void)
{
	struct __kernel_timespec now;

	sys2(__NR_clock_gettime, CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/*
 * Several looks, and some time between the first and the last of them: a thread that has just taken its SIGKILL, or
 * that is the one to end the others, shows no sign of its end for a moment, which is long if it is not its turn to run.
 */
static int ended_alone(struct tracked *task, const struct slot *slot)
{
	__u64 time;

	if (!thread_gone(task, slot) || !process_goes_on(task)) {
		task->seen_gone = 0;
		return 0;
	}
	time = now_ns();
	if (!task->seen_gone++)
		task->gone_since = time;
	return task->seen_gone >= LOOKS && time - task->gone_since >= LOOKS_TAKE_NS;
}

/* Has the parent come back from clone()? With CLONE_VFORK that takes until the child executes or ends. */
static int parent_is_free(unsigned int index)
{
	const struct tracked *parent = &tracked[tracked[index].parent];

	return !parent->pending || parent->op != OP_SPAWN || slot_at(index)->spawn.clone_flags & CLONE_VFORK;
}

/* What has happened to one task since we last looked. */
static void settle(unsigned int index)
{
	struct tracked *task = &tracked[index];
	struct slot *slot = slot_at(index);

	if (task->state == TASK_STARTING && __atomic_load_n(&slot->ready, __ATOMIC_ACQUIRE) && parent_is_free(index))
		finish_spawn(index);
	if (task->state == TASK_ALIVE && task->pending &&
	    __atomic_load_n(&slot->done, __ATOMIC_ACQUIRE) == slot->ordered) {
		if (slot->quiet)
			set_policy(task->tid, SCHED_IDLE);
		finish_order(index);
	}
	if (task->state == TASK_ALIVE && ended_alone(task, slot))
		finish_task(index, STATE_GONE, -1);
}

static int must_look(const struct tracked *task, struct slot *slot)
{
	/*
	 * Threads end without a descriptor that tells; quiet tasks begin and finish without a call that tells; and who was
	 * ready before its parent came back from clone() has told in vain.
	 */
	return (task->state == TASK_ALIVE && task->is_thread) || (task->pending && slot->quiet) ||
	       (task->state == TASK_STARTING && (slot->quiet || slot->ready));
}

/*
 * Nanoseconds until the next look: few at first, for what takes microseconds, then more, for what blocks. But no look
 * comes so soon that it keeps the task from what is looked for: the agent runs before every task.
 */
__u64 next_look(__u64 last)
{
	return !last ? 100000 : last < 2000000 ? last + last / 2 : last;
}

/* Wait until something may have happened: at most `wait` nanoseconds, or for ever if it is 0. */
static int poll_once(__u64 wait)
{
	static struct pollfd fds[SLOT_COUNT + 2];
	static unsigned short owner[SLOT_COUNT + 2];
	struct __kernel_timespec timeout = { 0, wait };
	int n = 0;
	__u64 rung;

	fds[n++] = (struct pollfd){ .fd = channel_in, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = FD_BELL, .events = POLLIN };
	for (unsigned int i = 1; i <= highest; i++) {
		/* A spare child that has died is looked at when it is wanted. */
		if (tracked[i].pidfd < 0 || tracked[i].state == TASK_NONE)
			continue;
		owner[n] = i;
		fds[n++] = (struct pollfd){ .fd = tracked[i].pidfd, .events = POLLIN };
	}
	if (sys5(__NR_ppoll, fds, n, wait ? &timeout : NULL, NULL, 8) < 0)
		return 0;
	if (fds[1].revents & POLLIN)
		sys3(__NR_read, FD_BELL, &rung, sizeof(rung));
	for (unsigned int i = 1; i <= highest; i++)
		settle(i);
	/* Only then deaths: what a task finished before it died has been told by now. */
	for (int i = 2; i < n; i++)
		if (fds[i].revents & (POLLIN | POLLHUP) && tracked[owner[i]].pidfd >= 0)
			finish_task(owner[i], STATE_DIED, wait_status(&tracked[owner[i]]));
	return fds[0].revents & (POLLIN | POLLHUP);
}

static void __attribute__((noreturn)) serve(void)
{
	__u64 wait = 0;

	for (;;) {
		int look = 0;

		for (unsigned int i = 1; i <= highest && !look; i++)
			look = must_look(&tracked[i], slot_at(i));
		wait = look ? next_look(wait) : 0;
		if (poll_once(wait) && receive())
			wait = 0;
	}
}

static void __attribute__((noreturn)) become_task(const char *number)
{
	unsigned int index = 0;
	struct slot *slot;

	for (; *number; number++)
		index = index * 10 + *number - '0';
	if (setup_arena(1) < 0 || index >= SLOT_COUNT)
		sys1(__NR_exit_group, 127);
	slot = slot_at(index);
	if (slot->loop.running)
		arch_switch_stack((char *)slot + SLOT_STACK_TOP, loop_resume, slot);
	/* The execve that led here has succeeded, and this is how it returns. */
	slot->value = 0;
	__atomic_store_n(&slot->done, slot->ordered, __ATOMIC_RELEASE);
	if (!slot->quiet) {
		__u64 one = 1;

		sys3(__NR_write, FD_BELL, &one, sizeof(one));
	}
	arch_switch_stack((char *)slot + SLOT_STACK_TOP, task_main, slot);
}

/* Children of init that wait to become what a test asks for. */
static void make_spare_children(void)
{
	struct __kernel_timespec pause = { 0, 100000 };

	for (unsigned int i = 1; i <= SPARE_CHILDREN; i++) {
		long error = task_spare(slot_at(i));

		if (error < 0)
			end("no spare child", error);
	}
	/* Afterwards, for a fork takes the pages of this table away until they are written to. */
	for (unsigned int i = 1; i <= SPARE_CHILDREN; i++) {
		tracked[i].pidfd = sys2(__NR_pidfd_open, slot_at(i)->parent_view, 0);
		if (tracked[i].pidfd < 0)
			end("no descriptor of a spare child", tracked[i].pidfd);
	}
	for (unsigned int i = 1; i <= SPARE_CHILDREN; i++)
		while (!__atomic_load_n(&slot_at(i)->value, __ATOMIC_ACQUIRE))
			sys2(__NR_nanosleep, &pause, NULL);
}

void __attribute__((noreturn)) start(const unsigned long *stack)
{
	const char *const *argv = (const char *const *)(stack + 1);
	int on_host = stack[0] > 1 && argv[1][0] == 'p';
	long error, bell;

	if (stack[0] > 2 && argv[1][0] == 't' && argv[1][1] == 'a')
		become_task(argv[2]);
	/* The arguments lie one behind the other, each with its NUL. */
	title = (char *)argv[0];
	title_size = argv[stack[0] - 1] + strlen(argv[stack[0] - 1]) - argv[0];
	if (on_host) {
		setup_host(&channel_in, &channel_out);
	} else {
		setup_mounts();
		setup_scheduling();
	}
	error = setup_arena(0);
	if (error < 0)
		die("no shared memory for the tasks", error);
	bell = sys2(__NR_eventfd2, 0, O_NONBLOCK);
	if (bell < 0)
		die("no eventfd", bell);
	sys3(__NR_dup3, bell, FD_BELL, 0);
	sys1(__NR_close, bell);
	open_kernel_files();
	for (int i = 1; i < SLOT_COUNT; i++)
		tracked[i].pidfd = -1;
	tracked[0] = (struct tracked){ .state = TASK_ALIVE, .pidfd = -1, .pid = 1, .tid = 1 };
	if (!on_host) {
		error = setup_channel(&channel_in, &channel_out);
		if (error < 0)
			die("no channel to the host", error);
	}
	make_spare_children();
	if (!on_host)
		say("kconform: agent: ready\n");
	serve();
}
