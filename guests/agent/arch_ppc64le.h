/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ppc64le: the way into the kernel. sys.h says what an architecture has to define; the rest is in arch_ppc64le.S. */
#ifndef KCONFORM_ARCH_PPC64LE_H
#define KCONFORM_ARCH_PPC64LE_H

#include "wire.h"

/* Documentation/arch/powerpc/syscall64-abi.rst: the summary overflow bit of cr0 says that r3 is an error number. */
static inline long arch_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r0 __asm__("r0") = nr;
	register long r3 __asm__("r3") = a;
	register long r4 __asm__("r4") = b;
	register long r5 __asm__("r5") = c;
	register long r6 __asm__("r6") = d;
	register long r7 __asm__("r7") = e;
	register long r8 __asm__("r8") = f;

	__asm__ volatile("sc\n"
			 "	bns+ 1f\n"
			 "	neg %1, %1\n"
			 "1:"
			 : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7), "+r"(r8)
			 :
			 : "r9", "r10", "r11", "r12", "cr0", "ctr", "xer", "memory");
	return r3;
}

/* Lower this thread's priority, and restore it. */
static inline void arch_relax(void)
{
	__asm__ volatile("or 1, 1, 1; or 2, 2, 2");
}

static inline unsigned long arch_stack_pointer(void)
{
	unsigned long sp;

	__asm__ volatile("mr %0, 1" : "=r"(sp));
	return sp;
}

/* vmstate_ppc_cpu in target/ppc/machine.c lacks the decrementer */
#define ARCH_LOSES_TIMERS

/* gp_regs, and in it PT_R3 and PT_CCR */
#define ARCH_CONTEXT_FIRST 8
#define ARCH_CONTEXT_RESULT 3
#define ARCH_CONTEXT_ERROR 38
#define ARCH_ERROR 0x10000000UL

#endif
