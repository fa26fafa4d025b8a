// SPDX-License-Identifier: GPL-2.0-or-later
/* Orders: what the host has a task do, and the answer when it is done. task.c is the task's side. */

#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "sys.h"

#define READS_MAX (sizeof(((struct tracked *)NULL)->read) / sizeof(struct wire_piece))

void begin_order(const struct wire_header *header, enum order_kind kind)
{
	struct tracked *task = &tracked[header->slot];
	struct slot *slot = slot_at(header->slot);

	task->pending = 1;
	task->op = header->op;
	task->sequence = header->sequence;
	slot->kind = kind;
	__atomic_store_n(&slot->ordered, slot->done + 1, __ATOMIC_RELEASE);
	if (slot->quiet)
		set_policy(task, SCHED_NORMAL);
	else
		sys3(NR_FUTEX, &slot->ordered, FUTEX_WAKE, 1);
}

int piece_fits(const struct wire_piece *piece)
{
	return piece->offset <= SLOT_DATA_SIZE && piece->length <= SLOT_DATA_SIZE - piece->offset;
}

/* Copy the pieces of the task's memory that follow a result. Return their length. */
static size_t collect_reads(unsigned int index)
{
	struct tracked *task = &tracked[index];
	__u8 *p = reply_data();

	for (unsigned int i = 0; i < task->reads; i++) {
		memcpy(p, slot_data(slot_at(index)) + task->read[i].offset, task->read[i].length);
		p += task->read[i].length;
	}
	task->reads = 0;
	return p - reply_data();
}

void answer_order(unsigned int index, enum wire_state state, __s64 value)
{
	const struct tracked *task = &tracked[index];

	send_data(task->op, index, task->sequence, state, value, collect_reads(index));
}

/* Copy the pieces that `body` begins with to the slot's data. Return what follows, or NULL if they do not fit. */
static const __u8 *write_pieces(struct slot *slot, const __u8 *body, const __u8 *end, unsigned int count)
{
	struct wire_piece piece;

	for (; count; count--, body += piece.length) {
		if ((size_t)(end - body) < sizeof(piece))
			return NULL;
		memcpy(&piece, body, sizeof(piece));
		body += sizeof(piece);
		if (!piece_fits(&piece) || piece.length > (size_t)(end - body))
			return NULL;
		memcpy(slot_data(slot) + piece.offset, body, piece.length);
	}
	return body;
}

void answer_call(const struct wire_header *header, const __u8 *body)
{
	const struct wire_call *call = (const struct wire_call *)body;
	const __u8 *end = body + header->length;
	struct tracked *task = &tracked[header->slot];
	struct slot *slot = slot_at(header->slot);
	size_t total = sizeof(struct wire_result);

	body = write_pieces(slot, body + sizeof(*call), end, call->writes);
	if (!body || call->reads > READS_MAX || (size_t)(end - body) < call->reads * sizeof(*task->read)) {
		refuse(header, EINVAL);
		return;
	}
	for (unsigned int i = 0; i < call->reads; i++, body += sizeof(struct wire_piece)) {
		memcpy(&task->read[i], body, sizeof(struct wire_piece));
		total += task->read[i].length;
		if (!piece_fits(&task->read[i]) || total > WIRE_BODY_MAX) {
			refuse(header, EINVAL);
			return;
		}
	}
	task->reads = call->reads;
	slot->entry = call->entry;
	slot->number = call->number;
	for (int i = 0; i < CALL_ARGUMENTS; i++)
		slot->arguments[i] = call->arguments[i];
	if (header->slot) {
		begin_order(header, ORDER_CALL);
	} else {
		/* Init makes its calls itself. */
		__s64 value = task_call(slot);

		send_data(OP_CALL, 0, header->sequence, STATE_RETURNED, value, collect_reads(0));
	}
}

void answer_copy(const struct wire_header *header, const struct wire_copy *copy)
{
	slot_at(header->slot)->copy = *copy;
	begin_order(header, ORDER_COPY);
}

void answer_sweep(const struct wire_header *header, const struct wire_sweep *order)
{
	struct tracked *task = &tracked[header->slot];
	struct sweep *sweep = slot_sweep(slot_at(header->slot));
	size_t length = order->left_out * sizeof(*sweep->left_out);

	if (order->count > SWEEP_COUNT || order->left_out > SWEEP_LEFT_OUT ||
	    header->length != sizeof(*order) + length) {
		refuse(header, EINVAL);
		return;
	}
	sweep->order = *order;
	memcpy(sweep->left_out, order + 1, length);
	task->reads = 1;
	task->read[0].offset = offsetof(struct sweep, values);
	task->read[0].length = order->count * sizeof(*sweep->values);
	begin_order(header, ORDER_SWEEP);
}

/* Whether all that a step refers to exists. It may make any call. */
static int step_fits(const struct wire_plan_step *step)
{
	return step->result_of <= PLAN_STEPS && step->argument < sizeof(step->arguments) / sizeof(*step->arguments) &&
	       (step->kind == STEP_CALL || step->kind == STEP_COPY || step->number < SLOT_COUNT);
}

static int steps_fit(const struct wire_plan *plan)
{
	const struct wire_plan_step *steps = (const struct wire_plan_step *)(plan + 1);

	for (unsigned int i = 0; i < plan->steps; i++)
		if (!step_fits(&steps[i]))
			return 0;
	return 1;
}

void answer_plan(const struct wire_header *header, const struct wire_plan *plan)
{
	struct plan_run *run = &slot_at(header->slot)->run;
	size_t length = plan->steps * sizeof(*run->plan);

	if (plan->steps > PLAN_STEPS || header->length != sizeof(*plan) + length || !steps_fit(plan)) {
		refuse(header, EINVAL);
		return;
	}
	if (run->running) {
		refuse(header, EBUSY);
		return;
	}
	memset(run, 0, sizeof(*run));
	run->rounds = plan->rounds;
	run->steps = plan->steps;
	memcpy(run->plan, plan + 1, length);
	send_result(header, STATE_RETURNED, 0);
}

void answer_run_plan(const struct wire_header *header)
{
	struct plan_run *run = &slot_at(header->slot)->run;

	run->round = run->step = 0;
	run->running = 1;
	begin_order(header, ORDER_PLAN);
}

static void send_counts(__u16 op, __u16 index, __u32 sequence)
{
	const struct plan_run *run = &slot_at(index)->run;

	memcpy(reply_data(), run->counts, sizeof(run->counts));
	send_data(op, index, sequence, STATE_RETURNED, run->round, sizeof(run->counts));
}

void answer_counts(const struct wire_header *header)
{
	send_counts(header->op, header->slot, header->sequence);
}

int is_execve(const struct slot *slot)
{
	return slot->kind == ORDER_CALL && slot->entry == ENTRY_NATIVE &&
	       (slot->number == slot->program.execve || slot->number == slot->program.execveat);
}

void finish_order(unsigned int index)
{
	struct tracked *task = &tracked[index];
	struct slot *slot = slot_at(index);

	task->pending = 0;
	switch (task->op) {
	case OP_SPAWN:
		clone_returned(task->child, slot->value);
		break;
	case OP_RUN_PLAN:
		send_counts(OP_RUN_PLAN, index, task->sequence);
		break;
	default:
		if (task->is_thread && is_execve(slot) && !slot->value)
			take_the_lead(index);
		answer_order(index, STATE_RETURNED, slot->value);
	}
}
