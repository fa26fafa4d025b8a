// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that init reads and writes for the host; the kernel's log and taint. */

#include <linux/fcntl.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "agent.h"
#include "sys.h"

#define PIECE 4096
#define LOG_RECORD_MAX 8192

static int kernel_log = -1, taint = -1;

void open_kernel_files(void)
{
	kernel_log = sys4(__NR_openat, AT_FDCWD, "/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	taint = sys4(__NR_openat, AT_FDCWD, "/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC, 0);
}

void answer_read_file(const struct wire_header *header, const __u8 *path)
{
	size_t total = 0, room;
	long fd, n;

	if (path[header->length - 1]) {
		refuse(header, EINVAL);
		return;
	}
	fd = sys4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) {
		send_result(header, STATE_RETURNED, fd);
		return;
	}
	do {
		/* In small pieces: for a sysctl, the kernel allocates and clears as much memory as is asked for. */
		room = WIRE_BODY_MAX - sizeof(struct wire_result) - total;
		n = sys3(__NR_read, fd, reply_data() + total, room < PIECE ? room : PIECE);
		total += n > 0 ? n : 0;
	} while (n > 0);
	sys1(__NR_close, fd);
	send_data(header->op, 0, header->sequence, STATE_RETURNED, n < 0 ? n : (long)total, total);
}

void answer_write_file(const struct wire_header *header, const __u8 *body)
{
	const struct wire_write *request = (const struct wire_write *)body;
	const char *path = (const char *)body + sizeof(*request);
	size_t used = sizeof(*request), length, written = 0;
	long fd, n;

	while (used < header->length && body[used])
		used++;
	if (used++ == header->length) {
		refuse(header, EINVAL);
		return;
	}
	length = header->length - used;
	n = fd = sys4(__NR_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC | request->flags, request->mode);
	/* Write even if there are no bytes: some files of /proc and /sys take an empty write as a command. */
	if (fd >= 0) {
		do {
			n = sys3(__NR_write, fd, body + used + written, length - written);
			written += n > 0 ? n : 0;
		} while (n > 0 && written < length);
		sys1(__NR_close, fd);
	}
	send_result(header, STATE_RETURNED, n < 0 ? n : (long)written);
}

/* As many records as fit, one after the other. The host asks again until there are none. */
void answer_kernel_log(const struct wire_header *header)
{
	size_t total = 0;
	long n;

	while (kernel_log >= 0 && total + LOG_RECORD_MAX < WIRE_BODY_MAX) {
		n = sys3(__NR_read, kernel_log, reply.body + total, LOG_RECORD_MAX);
		/* Records were overwritten before they could be read, which the number of the next one shows. */
		if (n == -EPIPE)
			continue;
		if (n <= 0)
			break;
		total += n;
	}
	send_frame(header->op, 0, header->sequence, reply.body, total);
}

/* The answer is -EBADF if the kernel has no such file. */
void answer_taint(const struct wire_header *header)
{
	long n = sys4(__NR_pread64, taint, reply_data(), 64, 0);

	send_data(header->op, 0, header->sequence, STATE_RETURNED, n, n > 0 ? n : 0);
}
