// SPDX-License-Identifier: GPL-2.0-or-later
/* Files of the simulated kernel: the channel from the host, the bell, the kernel's log, and damaged texts of /proc. */

#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "simulation.h"

#define LOG 7
#define TAINT 8

enum { PROC_FILE = 20, DIRECTORY = 21 };

/* Cut anywhere, with fields that are missing, odd or too long. */
static long proc_text(char *to, size_t size)
{
	static const char *const pieces[] = {
		"Name:\ttask\n", "State:\tS (sleeping)\n", "State:\tZ (zombie)\n", "State:\t", "\n", ")", "(", " ",
		"NSpid:\t300\t1\n", "NSpid:\t", "PPid:\t1\n", "PPid:\t99999999999999999999\n", "301 (na) me) S 1 2 3 4 5 ",
		"SigPnd:\t0000000000000100\n", "SigPnd:\t00000", "18446744073709551615", "4294967295 ", "\xff\x80",
	};
	size_t n = 0;

	for (unsigned int left = chance(40); left; left--) {
		const char *piece = pieces[chance(sizeof(pieces) / sizeof(*pieces))];
		size_t length = strlen(piece);

		if (n + length > size)
			length = size - n;
		memcpy(to + n, piece, length);
		n += length;
	}
	return n;
}

long read_directory(void *buffer, size_t size)
{
	char *to = buffer;
	size_t n = 0;

	while (n + 64 < size && chance(6)) {
		unsigned short length = 48; /* 19 before the name; a multiple of 8 in all */

		memset(to + n, 0, length);
		memcpy(to + n + 16, &length, sizeof(length));
		if (chance(4))
			snprintf(to + n + 19, 24, "%u", chance(4) ? 300 + chance(40) : chance(~0U));
		else
			snprintf(to + n + 19, 24, "self");
		n += length;
	}
	return n;
}

static long receive_some(void *to, size_t size)
{
	size_t most = chance(4) ? 1 + chance(300) : 1 + chance(1 << 18);

	/* Not read(): what it returns depends on who writes how fast, and a seed is to mean one course of events. */
	return fread(to, 1, size < most ? size : most, stdin);
}

long read_file(int fd, void *to, size_t size)
{
	switch (fd) {
	case FD_BELL:
		memset(to, 0, 8);
		return 8;
	case LOG:
		if (chance(3))
			return chance(2) ? -EAGAIN : -EPIPE;
		memset(to, 'x', size);
		return 1 + chance(size);
	case DIRECTORY:
	case PROC_FILE:
		return chance(5) ? proc_text(to, size) : -ESRCH;
	}
	if (fd == channel_in)
		return receive_some(to, size);
	return -EBADF;
}

long open_file(const char *path, long flags)
{
	size_t length = strlen(path);

	if (!chance(8))
		return -ENOENT;
	if (!strcmp(path, "/dev/kmsg"))
		return LOG;
	if (!strcmp(path, "/proc/sys/kernel/tainted"))
		return TAINT;
	return flags & 0200000 || (length >= 5 && !strcmp(path + length - 5, "/task")) ? DIRECTORY : PROC_FILE;
}
