/* SPDX-License-Identifier: GPL-2.0-or-later */
/* s390x: the way into the kernel. sys.h says what an architecture has to define; the rest is in arch_s390x.S. */
#ifndef KCONFORM_ARCH_S390X_H
#define KCONFORM_ARCH_S390X_H

#include "wire.h"

#define ARCH_CLONE_BACKWARDS2 1
#define ARCH_OLD_MMAP 1

/*
 * The number could be in the instruction, too, up to 255; with 0 there, it is in r1.
 *
 * No branch follows it: a tracer's single step over the call includes the next instruction, and QEMU 7.2 loses a
 * branch that it emulates as a step.
 */
static inline long arch_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r1 __asm__("r1") = nr;
	register long r2 __asm__("r2") = a;
	register long r3 __asm__("r3") = b;
	register long r4 __asm__("r4") = c;
	register long r5 __asm__("r5") = d;
	register long r6 __asm__("r6") = e;
	register long r7 __asm__("r7") = f;

	__asm__ volatile("svc 0\n\tlgr %%r2,%%r2"
			 : "+d"(r2)
			 : "d"(r1), "d"(r3), "d"(r4), "d"(r5), "d"(r6), "d"(r7)
			 : "cc", "memory");
	return r2;
}

static inline void arch_relax(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline unsigned long arch_stack_pointer(void)
{
	unsigned long sp;

	__asm__ volatile("lgr %0,%%r15" : "=d"(sp));
	return sp;
}

/* gprs[2], which follows the two words of the PSW, gprs[0] and gprs[1] */
#define ARCH_CONTEXT_RESULT 4

#endif
