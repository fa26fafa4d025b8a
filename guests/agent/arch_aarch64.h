/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arm64: the way into the kernel. sys.h says what an architecture has to define; the rest is in arch_aarch64.S. */
#ifndef KCONFORM_ARCH_AARCH64_H
#define KCONFORM_ARCH_AARCH64_H

#include "wire.h"

static inline long arch_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

static inline void arch_relax(void)
{
	__asm__ volatile("yield");
}

static inline unsigned long arch_stack_pointer(void)
{
	unsigned long sp;

	__asm__ volatile("mov %0, sp" : "=r"(sp));
	return sp;
}

/* regs[0], which follows fault_address */
#define ARCH_CONTEXT_RESULT 1

#endif
