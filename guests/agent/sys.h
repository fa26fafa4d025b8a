/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls without a C library.
 *
 * A task must make no call that its test did not ask for, whatever filter it is under, so there is nobody
 * between it and the kernel: no libc that reads a clock, takes a lock or sets errno in a thread's storage.
 */
#ifndef KCONFORM_SYS_H
#define KCONFORM_SYS_H

#include <asm/unistd.h>
#include <linux/types.h>

#if defined(__x86_64__)
#include "arch_x86_64.h"
#elif defined(__aarch64__)
#include "arch_aarch64.h"
#else
#error "no arch_<machine>.h for this architecture yet"
#endif

#define sys6(nr, a, b, c, d, e, f) \
	arch_syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define sys5(nr, a, b, c, d, e) sys6(nr, a, b, c, d, e, 0)
#define sys4(nr, a, b, c, d) sys6(nr, a, b, c, d, 0, 0)
#define sys3(nr, a, b, c) sys6(nr, a, b, c, 0, 0, 0)
#define sys2(nr, a, b) sys6(nr, a, b, 0, 0, 0, 0)
#define sys1(nr, a) sys6(nr, a, 0, 0, 0, 0, 0)

#define NULL ((void *)0)
typedef unsigned long size_t;

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
size_t strlen(const char *s);

#endif
