// SPDX-License-Identifier: GPL-2.0-or-later
/* Frames from and to the host. */

#include <linux/signal.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "setup.h"
#include "sys.h"

struct reply reply;
int channel_in, channel_out;

/* In a guest the tasks end with the kernel. On a host nothing else would end them. */
void end(const char *why, long error)
{
	for (unsigned int i = 1; i < SLOT_COUNT; i++)
		if (tracked[i].pidfd >= 0)
			sys4(__NR_pidfd_send_signal, tracked[i].pidfd, SIGKILL, NULL, 0);
	die(why, error);
}

static void send_all(const void *bytes, size_t n)
{
	while (n) {
		long sent = sys3(__NR_write, channel_out, bytes, n);

		if (sent == -EINTR || sent == -EAGAIN)
			continue;
		if (sent <= 0)
			end("the channel to the host broke", sent);
		bytes = (const char *)bytes + sent;
		n -= sent;
	}
}

void send_frame(__u16 op, __u16 slot, __u32 sequence, const void *body, size_t length)
{
	/* One write: a second one would be a second interrupt for the host. */
	if (body != reply.body)
		memcpy(reply.body, body, length);
	reply.header = (struct wire_header){ .length = length, .op = op, .slot = slot, .sequence = sequence };
	reply.header.body_check = crc32(reply.body, length);
	reply.header.check = crc32(&reply.header, offsetof(struct wire_header, check));
	send_all(&reply, sizeof(reply.header) + length);
}

void send_data(__u16 op, __u16 slot, __u32 sequence, enum wire_state state, __s64 value, size_t length)
{
	struct wire_result result = { .value = value, .state = state };

	memcpy(reply.body, &result, sizeof(result));
	send_frame(op, slot, sequence, reply.body, sizeof(result) + length);
}

void send_result(const struct wire_header *to, enum wire_state state, __s64 value)
{
	send_data(to->op, to->slot, to->sequence, state, value, 0);
}

void refuse(const struct wire_header *to, int error)
{
	send_result(to, STATE_REFUSED, -error);
}

/* Never wait for the rest of a frame: a parent could reap a child whose status the agent has yet to read. */
int receive(void)
{
	static __u8 buffer[sizeof(struct wire_header) + WIRE_BODY_MAX] __attribute__((aligned(8)));
	static size_t have;
	struct wire_header header;
	long got = sys3(__NR_read, channel_in, buffer + have, sizeof(buffer) - have);
	size_t whole;
	int answered = 0;

	if (got == -EINTR || got == -EAGAIN)
		return 0;
	if (got <= 0)
		end("the host is gone", got);
	have += got;
	while (have >= sizeof(header)) {
		memcpy(&header, buffer, sizeof(header));
		if (header.check != crc32(&header, offsetof(struct wire_header, check)))
			end("a frame's header is damaged", -EBADMSG);
		if (header.length > WIRE_BODY_MAX)
			end("a frame is too long", -EMSGSIZE);
		whole = sizeof(header) + header.length;
		if (have < whole)
			break;
		if (header.body_check != crc32(buffer + sizeof(header), header.length))
			end("a frame's body is damaged", -EBADMSG);
		answer(&header, buffer + sizeof(header));
		answered = 1;
		have -= whole;
		memmove(buffer, buffer + whole, have);
	}
	return answered;
}
