// SPDX-License-Identifier: GPL-2.0-or-later
/* Which request of the host is answered by which function; and the answers for which no task has to act. */

#include <linux/types.h>
#include <linux/unistd.h>
#include <linux/utsname.h>

#include "agent.h"
#include "sys.h"

__u32 page_size;

static void answer_hello(const struct wire_header *header)
{
	struct program program = header->slot ? slot_at(header->slot)->program : this_program();
	struct wire_hello hello = {
		.version = WIRE_VERSION,
		.page_size = page_size,
		.signal_handler = program.signal_handler,
		.signal_restorer = program.signal_restorer,
	};
	struct new_utsname names;

#ifdef ARCH_LOSES_TIMERS
	/* The host's first request is this one. */
	resume_timers();
#endif
	sys1(__NR_uname, &names);
	memcpy(hello.release, names.release, sizeof(hello.release));
	memcpy(hello.machine, names.machine, sizeof(hello.machine));
	send_frame(OP_HELLO, 0, header->sequence, &hello, sizeof(hello));
}

static void answer_peek(const struct wire_header *header, const struct wire_piece *piece)
{
	if (!piece_fits(piece)) {
		refuse(header, EINVAL);
		return;
	}
	memcpy(reply_data(), slot_data(slot_at(header->slot)) + piece->offset, piece->length);
	send_data(header->op, header->slot, header->sequence, STATE_RETURNED, piece->length, piece->length);
}

static void answer_poke(const struct wire_header *header, const struct wire_piece *piece)
{
	if (!piece_fits(piece) || piece->length > header->length - sizeof(*piece)) {
		refuse(header, EINVAL);
		return;
	}
	memcpy(slot_data(slot_at(header->slot)) + piece->offset, piece + 1, piece->length);
	send_result(header, STATE_RETURNED, 0);
}

static void answer_caught(const struct wire_header *header, const struct wire_handler *handler)
{
	struct slot *slot = slot_at(header->slot);
	__u32 caught = __atomic_load_n(&slot->caught, __ATOMIC_ACQUIRE);
	__u32 first = caught > CAUGHT_MAX ? caught - CAUGHT_MAX : 0;
	__u8 *p = reply_data();

	if (handler->change) {
		slot->set_result = handler->set_result;
		slot->result = handler->result;
	}
	for (; first < caught; first++, p += sizeof(struct wire_caught))
		memcpy(p, &slot->records[first % CAUGHT_MAX], sizeof(struct wire_caught));
	send_data(header->op, header->slot, header->sequence, STATE_RETURNED, caught, p - reply_data());
}

/* An order needs a living task that is not busy with another one. Init itself takes calls and spawns only. */
static int order_error(const struct wire_header *header)
{
	if (header->slot >= SLOT_COUNT || tracked[header->slot].state != TASK_ALIVE)
		return ESRCH;
	if (tracked[header->slot].pending)
		return EBUSY;
	if (!header->slot && header->op != OP_CALL && header->op != OP_SPAWN)
		return EINVAL;
	return 0;
}

static int is_order(__u16 op)
{
	switch (op) {
	case OP_SPAWN:
	case OP_CALL:
	case OP_COPY:
	case OP_QUIET:
	case OP_RUN_PLAN:
	case OP_SWEEP:
		return 1;
	}
	return 0;
}

/* The bytes that every body of an operation has. What follows them is checked where it is read. */
static size_t least_length(__u16 op)
{
	switch (op) {
	case OP_SPAWN:
		return sizeof(struct wire_spawn_request);
	case OP_CALL:
		return sizeof(struct wire_call);
	case OP_PEEK:
	case OP_POKE:
		return sizeof(struct wire_piece);
	case OP_COPY:
		return sizeof(struct wire_copy);
	case OP_READ_FILE:
		return 1;
	case OP_WRITE_FILE:
		return sizeof(struct wire_write) + 1;
	case OP_CAUGHT:
		return sizeof(struct wire_handler);
	case OP_PLAN:
		return sizeof(struct wire_plan);
	case OP_SWEEP:
		return sizeof(struct wire_sweep);
	}
	return 0;
}

static int request_error(const struct wire_header *header)
{
	if (header->length < least_length(header->op))
		return EINVAL;
	if (is_order(header->op))
		return order_error(header);
	return header->slot >= SLOT_COUNT ? EINVAL : 0;
}

void answer(const struct wire_header *header, const __u8 *body)
{
	int error = request_error(header);

	if (error) {
		if (header->op == OP_SPAWN)
			refuse_spawn(header, error);
		else
			refuse(header, error);
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
	case OP_RUN_PLAN:
		answer_run_plan(header);
		break;
	case OP_SWEEP:
		answer_sweep(header, (const struct wire_sweep *)body);
		break;
	case OP_COUNTS:
		answer_counts(header);
		break;
	default:
		refuse(header, EINVAL);
	}
}
