/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How an arm64 program enters the kernel, starts, and starts another task. */
#ifndef KCONFORM_ARCH_AARCH64_H
#define KCONFORM_ARCH_AARCH64_H

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

long arch_clone(unsigned long flags, void *stack, void *parent_tid, void *child_tid,
		void (*function)(void *), void *argument);
void __attribute__((noreturn)) arch_switch_stack(void *stack, void (*function)(void *), void *argument);

/* arm64's signal return is the kernel's own trampoline in the vdso; nothing has to be given. */
static inline void arch_restorer(void)
{
}

/* The result of a system call inside uc_mcontext: regs[0], after fault_address. */
#define ARCH_CONTEXT_RESULT 1
#define ARCH_SA_RESTORER 0

#ifdef KCONFORM_ARCH_CODE
__asm__(".text\n"
	".global _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x0, sp\n"
	"	bl start\n"
	"	brk #0\n"
	".global arch_clone\n"
	"arch_clone:\n" /* x0 flags, x1 stack, x2 parent_tid, x3 child_tid, x4 function, x5 argument */
	"	and x1, x1, #-16\n"
	"	stp x4, x5, [x1, #-16]!\n"
	"	mov x4, x3\n"
	"	mov x3, #0\n"
	"	mov x8, #220\n"
	"	svc #0\n"
	"	cbnz x0, 1f\n"
	"	mov x29, #0\n"
	"	ldp x1, x0, [sp], #16\n"
	"	blr x1\n"
	"	brk #0\n"
	"1:	ret\n"
	".global arch_switch_stack\n"
	"arch_switch_stack:\n"
	"	mov sp, x0\n"
	"	mov x0, x2\n"
	"	blr x1\n"
	"	brk #0\n");
#endif

#endif
