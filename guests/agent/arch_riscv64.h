/* SPDX-License-Identifier: GPL-2.0-or-later */
/* riscv64: the way into the kernel. sys.h says what an architecture has to define; the rest is in arch_riscv64.S. */
#ifndef KCONFORM_ARCH_RISCV64_H
#define KCONFORM_ARCH_RISCV64_H

#include "wire.h"

static inline long arch_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long a7 __asm__("a7") = nr;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;
	register long a4 __asm__("a4") = e;
	register long a5 __asm__("a5") = f;

	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
			 : "memory");
	return a0;
}

/* pause, as its number: assemblers know the name only for processors that have Zihintpause. To others, it is a fence. */
static inline void arch_relax(void)
{
	__asm__ volatile(".4byte 0x0100000f");
}

static inline unsigned long arch_stack_pointer(void)
{
	unsigned long sp;

	__asm__ volatile("mv %0, sp" : "=r"(sp));
	return sp;
}

/* vmstate_riscv_mtimer in hw/intc/riscv_aclint.c, and stimecmp in target/riscv/machine.c: values without their timers */
#define ARCH_LOSES_TIMERS

/* sc_regs.a0 */
#define ARCH_CONTEXT_RESULT 10

#endif
