// SPDX-License-Identifier: GPL-2.0-or-later
/* What the agent does with each frame from the host, and how it tells what came of it. */

#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/unistd.h>
#include <linux/utsname.h>

#include "agent.h"
#include "setup.h"
#include "sys.h"

#define EINVAL 22
#define ESRCH 3
#define EBUSY 16
#define ETIMEDOUT 110
#define QUIET_TAKES_NS 10000000000ULL

static int kernel_log = -1, taint = -1;
static __u8 reply[sizeof(struct wire_header) + WIRE_BODY_MAX];

static void send_frame(__u16 op, __u16 slot, __u32 sequence, const void *body, size_t length)
{
	struct wire_header header = { .length = length, .op = op, .slot = slot, .sequence = sequence };

	/* One write: a second one would be a second interrupt for the host. */
	memcpy(reply, &header, sizeof(header));
	if (body != reply + sizeof(header))
		memcpy(reply + sizeof(header), body, length);
	send_all(reply, sizeof(header) + length);
}

static void send_result(const struct wire_header *to, enum wire_state state, __s64 value)
{
	struct wire_result result = { .value = value, .state = state };

	send_frame(to->op, to->slot, to->sequence, &result, sizeof(result));
}

/* The result, and behind it what was to be read from the task's memory. */
static void send_call_result(unsigned int index, __u16 op, __u32 sequence, enum wire_state state, __s64 value)
{
	struct tracked *task = &tracked[index];
	struct wire_result result = { .value = value, .state = state };
	__u8 *p = reply + sizeof(struct wire_header);

	memcpy(p, &result, sizeof(result));
	p += sizeof(result);
	for (unsigned int i = 0; i < task->reads; i++) {
		memcpy(p, (char *)slot_data(slot_at(index)) + task->read[i].offset, task->read[i].length);
		p += task->read[i].length;
	}
	task->reads = 0;
	send_frame(op, index, sequence, reply + sizeof(struct wire_header), p - reply - sizeof(struct wire_header));
}

void open_kernel_files(void)
{
	kernel_log = sys4(__NR_openat, AT_FDCWD, "/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	taint = sys4(__NR_openat, AT_FDCWD, "/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC, 0);
}

static int has_ended(int pidfd)
{
	struct pollfd process = { .fd = pidfd, .events = POLLIN };
	struct __kernel_timespec at_once = { 0, 0 };

	return sys5(__NR_ppoll, &process, 1, &at_once, NULL, 8) > 0;
}

/* Let a spare child become what the request says. */
static void wake_spare_child(unsigned int index, const struct wire_spawn_request *request)
{
	struct slot *slot = slot_at(index);

	slot->spawn = *request;
	__atomic_store_n(&slot->ordered, slot->done + 1, __ATOMIC_RELEASE);
	sys3(__NR_futex, &slot->ordered, FUTEX_WAKE, 1);
}

static void answer_hello(const struct wire_header *header)
{
	struct wire_hello hello = {
		.version = WIRE_VERSION,
		.page_size = 4096,
		.signal_handler = (unsigned long)signal_handler,
		.signal_restorer = (unsigned long)arch_restorer,
	};
	struct new_utsname names;

	sys1(__NR_uname, &names);
	memcpy(hello.release, names.release, sizeof(hello.release));
	memcpy(hello.machine, names.machine, sizeof(hello.machine));
	send_frame(OP_HELLO, 0, header->sequence, &hello, sizeof(hello));
}

static void send_spawn_error(unsigned int index, long error)
{
	struct wire_spawn_reply told = { .error = error };

	tracked[index].state = TASK_NONE;
	send_frame(OP_SPAWN, index, tracked[index].sequence, &told, sizeof(told));
}

/* The parent is back from clone(): from now on a death is seen, even one before the task is ready. */
static void cloned(unsigned int index, long value)
{
	struct tracked *task = &tracked[index];

	if (value < 0) {
		send_spawn_error(index, value);
	} else if (task->state == TASK_STARTING && !task->is_thread && !tracked[task->parent].nested) {
		task->pid = value;
		task->pidfd = sys2(__NR_pidfd_open, value, 0);
	}
}

static void answer_spawn(const struct wire_header *header, const struct wire_spawn_request *request)
{
	struct tracked *child = &tracked[request->child];
	struct slot *parent = slot_at(header->slot);
	int pidfd = request->child < SLOT_COUNT ? child->pidfd : -1;

	if (!request->child || request->child >= SLOT_COUNT || child->state != TASK_NONE ||
	    (request->child <= SPARE_CHILDREN && (header->slot || request->clone_flags))) {
		send_frame(OP_SPAWN, header->slot, header->sequence, &(struct wire_spawn_reply){ .error = -EINVAL },
			   sizeof(struct wire_spawn_reply));
		return;
	}
	track(request->child);
	*child = (struct tracked){
		.state = TASK_STARTING,
		.pidfd = pidfd,
		.is_thread = !!(request->clone_flags & CLONE_THREAD),
		.parent = header->slot,
		.sequence = header->sequence,
	};
	/* Already now: a parent in vfork() cannot tell, and a quiet child does not. */
	slot_at(request->child)->quiet = !!(request->options & SPAWN_QUIET);
	if (header->slot) {
		parent->spawn = *request;
		parent->kind = ORDER_SPAWN;
		tracked[header->slot].pending = 1;
		tracked[header->slot].op = OP_SPAWN;
		tracked[header->slot].sequence = header->sequence;
		give_order(parent);
		return;
	}
	if (pidfd >= 0 && !has_ended(pidfd)) {
		wake_spare_child(request->child, request);
		return;
	}
	if (pidfd >= 0)
		sys1(__NR_close, pidfd);
	child->pidfd = -1;
	cloned(request->child, task_spawn(request, 1));
}

void finish_spawn(unsigned int index)
{
	struct tracked *task = &tracked[index], *parent = &tracked[task->parent];
	struct slot *slot = slot_at(index);
	struct wire_spawn_reply told = { .error = slot->ready_error, .own_pid = slot->tid };

	if (told.error) {
		/* It could not become what it was to be, and has ended (child_main()). */
		if (task->pidfd >= 0)
			sys1(__NR_close, task->pidfd);
		task->pidfd = -1;
		send_spawn_error(index, told.error);
		return;
	}
	task->tid = slot->parent_view;
	task->nested = parent->nested || slot->tid != slot->parent_view;
	if (parent->nested)
		task->pid = find_nested(parent, slot->spawn.clone_flags, slot->tid, &task->tid);
	else
		task->pid = task->is_thread ? parent->pid : task->tid;
	if (!task->is_thread && task->pidfd < 0)
		task->pidfd = sys2(__NR_pidfd_open, task->pid, 0);
	if (!task->is_thread && task->pidfd < 0)
		told.error = task->pidfd;
	task->state = TASK_ALIVE;
	if (slot->quiet)
		sys3(__NR_sched_setscheduler, task->tid, SCHED_IDLE, &(int){ 0 });
	told.pid = task->tid;
	send_frame(OP_SPAWN, index, task->sequence, &told, sizeof(told));
}

static int piece_fits(const struct wire_piece *piece)
{
	return piece->offset <= SLOT_DATA_SIZE && piece->length <= SLOT_DATA_SIZE - piece->offset;
}

static void answer_call(const struct wire_header *header, const __u8 *body)
{
	const struct wire_call *call = (const struct wire_call *)body;
	struct tracked *task = &tracked[header->slot];
	struct slot *slot = slot_at(header->slot);
	size_t total = sizeof(struct wire_result);

	body += sizeof(*call);
	for (unsigned int i = 0; i < call->writes; i++) {
		const struct wire_piece *piece = (const struct wire_piece *)body;

		if (!piece_fits(piece)) {
			send_result(header, STATE_REFUSED, -EINVAL);
			return;
		}
		body += sizeof(*piece);
		memcpy((char *)slot_data(slot) + piece->offset, body, piece->length);
		body += piece->length;
	}
	if (call->reads > sizeof(task->read) / sizeof(*task->read)) {
		send_result(header, STATE_REFUSED, -EINVAL);
		return;
	}
	for (unsigned int i = 0; i < call->reads; i++, body += sizeof(struct wire_piece)) {
		memcpy(&task->read[i], body, sizeof(struct wire_piece));
		total += task->read[i].length;
		if (!piece_fits(&task->read[i]) || total > WIRE_BODY_MAX) {
			send_result(header, STATE_REFUSED, -EINVAL);
			return;
		}
	}
	task->reads = call->reads;
	slot->kind = ORDER_CALL;
	slot->entry = call->entry;
	slot->number = call->number;
	memcpy(slot->arguments, call->arguments, sizeof(slot->arguments));
	if (!header->slot) {
		send_call_result(0, OP_CALL, header->sequence, STATE_RETURNED, task_call(slot));
		return;
	}
	task->pending = 1;
	task->op = OP_CALL;
	task->sequence = header->sequence;
	give_order(slot);
}

static void answer_copy(const struct wire_header *header, const struct wire_copy *copy)
{
	struct slot *slot = slot_at(header->slot);

	slot->kind = ORDER_COPY;
	slot->copy = *copy;
	tracked[header->slot].pending = 1;
	tracked[header->slot].op = OP_COPY;
	tracked[header->slot].sequence = header->sequence;
	give_order(slot);
}

static void answer_sweep(const struct wire_header *header, const struct wire_sweep *order)
{
	struct tracked *task = &tracked[header->slot];
	struct slot *slot = slot_at(header->slot);
	struct sweep *sweep = slot_data(slot);
	unsigned long length = order->left_out * sizeof(*sweep->left_out);

	if (order->count > SWEEP_COUNT || order->left_out > SWEEP_LEFT_OUT || header->length != sizeof(*order) + length) {
		send_result(header, STATE_REFUSED, -EINVAL);
		return;
	}
	sweep->order = *order;
	memcpy(sweep->left_out, order + 1, length);
	slot->kind = ORDER_SWEEP;
	task->reads = 1;
	task->read[0].offset = (char *)sweep->values - (char *)sweep;
	task->read[0].length = order->count * sizeof(*sweep->values);
	task->pending = 1;
	task->op = OP_SWEEP;
	task->sequence = header->sequence;
	give_order(slot);
}

static void answer_plan(const struct wire_header *header, const struct wire_plan *plan)
{
	struct slot *slot = slot_at(header->slot);
	int fits = plan->steps <= LOOP_STEPS &&
		   header->length == sizeof(*plan) + plan->steps * sizeof(struct wire_loop_step);

	if (!fits || slot->loop.running) {
		send_result(header, STATE_REFUSED, fits ? -EBUSY : -EINVAL);
		return;
	}
	memset(&slot->loop, 0, sizeof(slot->loop));
	slot->loop.rounds = plan->rounds;
	slot->loop.steps = plan->steps;
	memcpy(slot->loop.plan, plan + 1, plan->steps * sizeof(struct wire_loop_step));
	send_result(header, STATE_RETURNED, 0);
}

static void answer_loop(const struct wire_header *header)
{
	struct tracked *task = &tracked[header->slot];
	struct slot *slot = slot_at(header->slot);

	slot->kind = ORDER_LOOP;
	slot->loop.round = slot->loop.step = 0;
	slot->loop.running = 1;
	task->pending = 1;
	task->op = OP_LOOP;
	task->sequence = header->sequence;
	give_order(slot);
}

static void send_counts(__u16 op, __u16 index, __u32 sequence)
{
	const struct loop *loop = &slot_at(index)->loop;
	struct wire_result result = { .value = loop->round, .state = STATE_RETURNED };
	__u8 *p = reply + sizeof(struct wire_header);

	memcpy(p, &result, sizeof(result));
	memcpy(p + sizeof(result), loop->counts, sizeof(loop->counts));
	send_frame(op, index, sequence, p, sizeof(result) + sizeof(loop->counts));
}

/* A thread that executes a program becomes its process's leader, and the old leader is no more (de_thread()). */
static void take_the_lead(unsigned int index)
{
	struct tracked *task = &tracked[index];

	for (unsigned int i = 1; i < SLOT_COUNT; i++)
		if (i != index && tracked[i].pid == task->pid && tracked[i].state == TASK_ALIVE)
			finish_task(i, STATE_GONE, -1);
	task->is_thread = 0;
	task->tid = task->pid;
}

int is_execve(const struct slot *slot)
{
	return slot->kind == ORDER_CALL && slot->entry == ENTRY_NATIVE &&
	       (slot->number == __NR_execve || slot->number == __NR_execveat);
}

void finish_order(unsigned int index)
{
	struct tracked *task = &tracked[index];
	struct slot *slot = slot_at(index);

	task->pending = 0;
	if (task->op == OP_LOOP) {
		send_counts(OP_LOOP, index, task->sequence);
	} else if (task->op != OP_SPAWN) {
		if (task->is_thread && is_execve(slot) && !slot->value)
			take_the_lead(index);
		send_call_result(index, task->op, task->sequence, STATE_RETURNED, slot->value);
	} else {
		cloned(slot->spawn.child, slot->value);
	}
}

/* Of a task that ended alone: what tells of its process's end goes to another that lives on. */
static void pass_on_pidfd(struct tracked *task)
{
	for (unsigned int i = 1; i < SLOT_COUNT; i++) {
		if (&tracked[i] == task || tracked[i].pid != task->pid || tracked[i].state != TASK_ALIVE)
			continue;
		tracked[i].pidfd = task->pidfd;
		task->pidfd = -1;
		return;
	}
}

/* A parent that died in clone() has left a child, or none. A thread died with it. */
static void orphan(unsigned int index)
{
	const struct slot *slot = slot_at(index);

	if (tracked[index].state != TASK_STARTING)
		return;
	if (slot->parent_view && !tracked[index].is_thread)
		cloned(index, slot->parent_view);
	else
		send_spawn_error(index, -ESRCH);
}

void finish_task(unsigned int index, enum wire_state state, int status)
{
	struct tracked *task = &tracked[index];
	struct wire_death death = { .status = status, .state = state };

	if (state == STATE_GONE && task->pidfd >= 0)
		pass_on_pidfd(task);
	if (task->pidfd >= 0)
		sys1(__NR_close, task->pidfd);
	task->pidfd = -1;
	if (task->state == TASK_STARTING) {
		send_spawn_error(index, -ESRCH);
		return;
	}
	task->state = TASK_DEAD;
	/* First, so that who hears of the call's end knows of the task's. */
	send_frame(EVENT_DEATH, index, 0, &death, sizeof(death));
	if (task->pending && task->op == OP_SPAWN)
		orphan(slot_at(index)->spawn.child);
	else if (task->pending)
		send_call_result(index, task->op, task->sequence, state, status);
	task->pending = 0;
	for (unsigned int i = 1; state == STATE_DIED && i < SLOT_COUNT; i++) {
		if (tracked[i].pid == task->pid && tracked[i].state == TASK_ALIVE)
			finish_task(i, STATE_DIED, status);
		if (tracked[tracked[i].parent].pid == task->pid && tracked[i].is_thread)
			orphan(i);
	}
}

static void answer_read_file(const struct wire_header *header, const __u8 *path)
{
	struct wire_result result = { 0 };
	__u8 *bytes = reply + sizeof(struct wire_header) + sizeof(result);
	long fd = sys4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), n;
	size_t total = 0, room;

	if (fd < 0) {
		send_result(header, STATE_RETURNED, fd);
		return;
	}
	do {
		/* Piece by piece: for a sysctl the kernel gets memory, and clears it, for all that is asked for. */
		room = WIRE_BODY_MAX - sizeof(result) - total;
		n = sys3(__NR_read, fd, bytes + total, room < 4096 ? room : 4096);
		total += n > 0 ? n : 0;
	} while (n > 0);
	sys1(__NR_close, fd);
	result.value = n < 0 ? n : (long)total;
	memcpy(reply + sizeof(struct wire_header), &result, sizeof(result));
	send_frame(header->op, 0, header->sequence, reply + sizeof(struct wire_header), sizeof(result) + total);
}

static void answer_write_file(const struct wire_header *header, const __u8 *body)
{
	const struct wire_write *request = (const struct wire_write *)body;
	const char *path = (const char *)body + sizeof(*request);
	size_t used = sizeof(*request) + strlen(path) + 1, length = header->length - used, written = 0;
	long fd = sys4(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC | request->flags, request->mode), n = fd;

	/* An empty write is one too: some files of /proc and /sys take it as a command. */
	if (fd >= 0) {
		do {
			n = sys3(__NR_write, fd, body + used + written, length - written);
			written += n > 0 ? n : 0;
		} while (n > 0 && written < length);
		sys1(__NR_close, fd);
	}
	send_result(header, STATE_RETURNED, n < 0 ? n : (long)written);
}

/* As many records as fit, one after the other; the host asks until there are none. */
static void answer_kernel_log(const struct wire_header *header)
{
	__u8 *bytes = reply + sizeof(struct wire_header);
	size_t total = 0;
	long n;

	while (kernel_log >= 0 && total + 8192 < WIRE_BODY_MAX) {
		n = sys3(__NR_read, kernel_log, bytes + total, 8192);
		if (n == -32) /* EPIPE: records were overwritten before we came; the numbers of the next show it */
			continue;
		if (n <= 0)
			break;
		total += n;
	}
	send_frame(header->op, 0, header->sequence, bytes, total);
}

static void answer_taint(const struct wire_header *header)
{
	struct wire_result result = { 0 };
	__u8 *p = reply + sizeof(struct wire_header);

	/* With -EBADF where the kernel has no such file. */
	result.value = sys4(__NR_pread64, taint, p + sizeof(result), 64, 0);
	memcpy(p, &result, sizeof(result));
	send_frame(header->op, 0, header->sequence, p, sizeof(result) + (result.value > 0 ? result.value : 0));
}

static void answer_quiet(const struct wire_header *header)
{
	struct __kernel_timespec pause = { 0, 0 };
	__u64 end = now_ns() + QUIET_TAKES_NS;
	int waiting = 1;

	while (waiting && now_ns() < end) {
		waiting = 0;
		for (unsigned int i = 1; i < SLOT_COUNT; i++) {
			struct slot *slot = slot_at(i);

			if (tracked[i].state != TASK_ALIVE || tracked[i].pid != tracked[header->slot].pid)
				continue;
			__atomic_store_n(&slot->quiet, 1, __ATOMIC_RELEASE);
			/* Who is in a call will see it afterwards. One that has just come back may have looked before. */
			if (tracked[i].pending && __atomic_load_n(&slot->done, __ATOMIC_ACQUIRE) != slot->ordered)
				continue;
			if (__atomic_load_n(&slot->looking, __ATOMIC_ACQUIRE)) {
				sys3(__NR_sched_setscheduler, tracked[i].tid, SCHED_IDLE, &(int){ 0 });
				continue;
			}
			/* In each round: who had not seen it before, and was on the way to sleep, sleeps only now. */
			sys3(__NR_futex, &slot->ordered, FUTEX_WAKE, 1);
			waiting = 1;
		}
		pause.tv_nsec = next_look(pause.tv_nsec);
		if (waiting)
			sys2(__NR_nanosleep, &pause, NULL);
	}
	send_result(header, waiting ? STATE_REFUSED : STATE_RETURNED, waiting ? -ETIMEDOUT : 0);
}

static void answer_caught(const struct wire_header *header, const struct wire_handler *handler)
{
	struct slot *slot = slot_at(header->slot);
	__u32 caught = __atomic_load_n(&slot->caught, __ATOMIC_ACQUIRE);
	__u32 first = caught > CAUGHT_MAX ? caught - CAUGHT_MAX : 0;
	struct wire_result result = { .value = caught };
	__u8 *p = reply + sizeof(struct wire_header);

	if (handler->change) {
		slot->set_result = handler->set_result;
		slot->result = handler->result;
	}
	memcpy(p, &result, sizeof(result));
	p += sizeof(result);
	for (; first < caught; first++, p += sizeof(struct wire_caught))
		memcpy(p, &slot->records[first % CAUGHT_MAX], sizeof(struct wire_caught));
	send_frame(header->op, header->slot, header->sequence, reply + sizeof(struct wire_header),
		   p - reply - sizeof(struct wire_header));
}

static void answer_peek(const struct wire_header *header, const struct wire_piece *piece)
{
	struct wire_result result = { .value = piece->length };
	__u8 *p = reply + sizeof(struct wire_header);

	if (!piece_fits(piece)) {
		send_result(header, STATE_REFUSED, -EINVAL);
		return;
	}
	memcpy(p, &result, sizeof(result));
	memcpy(p + sizeof(result), (char *)slot_data(slot_at(header->slot)) + piece->offset, piece->length);
	send_frame(header->op, header->slot, header->sequence, p, sizeof(result) + piece->length);
}

static void answer_poke(const struct wire_header *header, const struct wire_piece *piece)
{
	if (!piece_fits(piece)) {
		send_result(header, STATE_REFUSED, -EINVAL);
		return;
	}
	memcpy((char *)slot_data(slot_at(header->slot)) + piece->offset, piece + 1, piece->length);
	send_result(header, STATE_RETURNED, 0);
}

/* Orders need a living task that is not busy with another one. Init obeys calls and spawns only. */
static int refuse_order(const struct wire_header *header)
{
	const struct tracked *task = &tracked[header->slot];
	int error;

	if (header->slot >= SLOT_COUNT || task->state != TASK_ALIVE)
		error = -ESRCH;
	else if (task->pending)
		error = -EBUSY;
	else if (!header->slot && header->op != OP_CALL && header->op != OP_SPAWN)
		error = -EINVAL;
	else
		return 0;
	if (header->op == OP_SPAWN)
		send_frame(OP_SPAWN, header->slot, header->sequence, &(struct wire_spawn_reply){ .error = error },
			   sizeof(struct wire_spawn_reply));
	else
		send_result(header, STATE_REFUSED, error);
	return 1;
}

void answer(const struct wire_header *header, const __u8 *body)
{
	switch (header->op) {
	case OP_SPAWN:
	case OP_CALL:
	case OP_COPY:
	case OP_QUIET:
	case OP_LOOP:
	case OP_SWEEP:
		if (refuse_order(header))
			return;
	}
	if (header->slot >= SLOT_COUNT) {
		send_result(header, STATE_REFUSED, -EINVAL);
		return;
	}
	switch (header->op) {
	case OP_HELLO:
		answer_hello(header);
		break;
	case OP_SPAWN:
		answer_spawn(header, (const struct wire_spawn_request *)body);
		break;
	case OP_CALL:
		answer_call(header, body);
		break;
	case OP_PEEK:
		answer_peek(header, (const struct wire_piece *)body);
		break;
	case OP_POKE:
		answer_poke(header, (const struct wire_piece *)body);
		break;
	case OP_COPY:
		answer_copy(header, (const struct wire_copy *)body);
		break;
	case OP_READ_FILE:
		answer_read_file(header, body);
		break;
	case OP_WRITE_FILE:
		answer_write_file(header, body);
		break;
	case OP_KERNEL_LOG:
		answer_kernel_log(header);
		break;
	case OP_TAINT:
		answer_taint(header);
		break;
	case OP_QUIET:
		answer_quiet(header);
		break;
	case OP_CAUGHT:
		answer_caught(header, (const struct wire_handler *)body);
		break;
	case OP_PLAN:
		answer_plan(header, (const struct wire_plan *)body);
		break;
	case OP_LOOP:
		answer_loop(header);
		break;
	case OP_SWEEP:
		answer_sweep(header, (const struct wire_sweep *)body);
		break;
	case OP_COUNTS:
		send_counts(OP_COUNTS, header->slot, header->sequence);
		break;
	default:
		send_result(header, STATE_REFUSED, -EINVAL);
	}
}
