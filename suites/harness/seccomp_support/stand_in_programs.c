/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stand-ins for the host's cat and ls, without a C library.  What they do differs by what they are compiled with:
 *
 *	STAT	the call that they ask for a file's type with, fstat or newfstatat, as different C libraries do
 *	AS	what they are: cat, ls, or one of those that fail
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>

#define TCGETS 0x5401
#define STRING_OF(word) #word
#define STRING(macro) STRING_OF(macro)

static long sys(long number, long a, long b, long c, long d)
{
	register long fourth __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "rcx", "r11", "memory");
	return result;
}

static char buffer[4096];

static void say(const char *text)
{
	long length = 0;

	while (text[length])
		length++;
	sys(__NR_write, 1, (long)text, length, 0);
}

static long opened(const char *path, int flags)
{
	long fd = sys(__NR_openat, AT_FDCWD, (long)path, flags, 0600);

	if (fd >= 0)
		sys(STAT, STAT == __NR_fstat ? fd : AT_FDCWD, (long)(STAT == __NR_fstat ? buffer : path), (long)buffer, 0);
	return fd;
}

static int cat(const char *path)
{
	long fd = opened(path, O_RDONLY), length;

	if (fd < 0) {
		say(fd == -22 ? "Invalid argument" : "another error");
		return 1;
	}
	while ((length = sys(__NR_read, fd, (long)buffer, sizeof(buffer), 0)) > 0)
		sys(__NR_write, 1, (long)buffer, length, 0);
	return 0;
}

static int ls(const char *path)
{
	long fd, length;

	sys(__NR_ioctl, 1, TCGETS, (long)buffer, 0);
	fd = opened(path, O_RDONLY | O_DIRECTORY);
	while ((length = sys(__NR_getdents64, fd, (long)buffer, sizeof(buffer), 0)) > 0)
		for (long at = 0; at < length; at += *(unsigned short *)(buffer + at + 16))
			if (buffer[at + 19] != '.') {
				say(buffer + at + 19);
				say("\n");
			}
	return 0;
}

/* It asks for its number when the file is there already: not in its first run, but in each later one. */
static int fickle(const char *path)
{
	if (sys(__NR_openat, AT_FDCWD, (long)path, O_CREAT | O_EXCL | O_WRONLY, 0600) < 0)
		sys(__NR_getpid, 0, 0, 0, 0);
	return 0;
}

/* As a dynamic linker does that a kernel, or a processor, does not suit. */
static int too_new(const char *path)
{
	sys(STAT, -1, (long)path, (long)buffer, 0);
	say("FATAL: kernel too old\n");
	return 127;
}

static int illegal(const char *path)
{
	(void)path;
	__builtin_trap();
}

static int silent(const char *path)
{
	(void)path;
	return 0;
}

__attribute__((used)) static void begin(long *stack)
{
	const char *argument = (const char *)stack[2];
	long status = 0;

	if (*argument == '-')
		say("a stand-in for " STRING(AS) ", version 1.0\n");
	else
		status = AS(argument);
	sys(__NR_exit_group, status, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
