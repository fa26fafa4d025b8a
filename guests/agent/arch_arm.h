/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit Arm: the way into the kernel. sys.h says what an architecture has to define; the rest is in arch_arm.S. */
#ifndef KCONFORM_ARCH_ARM_H
#define KCONFORM_ARCH_ARM_H

#include <linux/signal.h>
#include <asm/sigcontext.h>

#include "wire.h"

/* arch/arm/include/asm/ucontext.h, which is not among the headers for programs */
struct ucontext {
	unsigned long uc_flags;
	struct ucontext *uc_link;
	stack_t uc_stack;
	struct sigcontext uc_mcontext;
};

static inline long arch_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r7 __asm__("r7") = nr;
	register long r0 __asm__("r0") = a;
	register long r1 __asm__("r1") = b;
	register long r2 __asm__("r2") = c;
	register long r3 __asm__("r3") = d;
	register long r4 __asm__("r4") = e;
	register long r5 __asm__("r5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(r0)
			 : "r"(r7), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5)
			 : "memory");
	return r0;
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

/* arm_r0, which follows trap_no, error_code and oldmask */
#define ARCH_CONTEXT_RESULT 3

#endif
