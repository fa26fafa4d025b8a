/* SPDX-License-Identifier: GPL-2.0-or-later */
/* s390x: where the program starts, and what C cannot express. sys.h says what each function is for. */

#include <asm/unistd.h>

/* What a caller leaves free above its stack pointer for the function that it calls (STACK_FRAME_OVERHEAD). */
#define FRAME 160

	.text

	.globl	_start
	.type	_start, @function
_start:
	lgr	%r2, %r15
	aghi	%r15, -FRAME
	xc	0(8, %r15), 0(%r15)
	brasl	%r14, start
	.short	0

/*
 * r2 flags, r3 stack, r4 parent_tid, r5 child_tid, r6 function, and the argument above the caller's frame.
 * The call takes the stack first (CONFIG_CLONE_BACKWARDS2).
 */
	.globl	arch_clone
	.type	arch_clone, @function
arch_clone:
	lg	%r1, FRAME(%r15)
	nill	%r3, 0xfff0
	aghi	%r3, -FRAME-16
	stg	%r6, FRAME(%r3)
	stg	%r1, FRAME+8(%r3)
	lgr	%r1, %r2
	lgr	%r2, %r3
	lgr	%r3, %r1
	lghi	%r1, __NR_clone
	svc	0
	cgije	%r2, 0, 1f
	br	%r14
1:	xc	0(8, %r15), 0(%r15)
	lg	%r1, FRAME(%r15)
	lg	%r2, FRAME+8(%r15)
	basr	%r14, %r1
	.short	0

/* r2 stack, r3 function, r4 argument */
	.globl	arch_switch_stack
	.type	arch_switch_stack, @function
arch_switch_stack:
	lgr	%r15, %r2
	nill	%r15, 0xfff0
	aghi	%r15, -FRAME
	xc	0(8, %r15), 0(%r15)
	lgr	%r2, %r4
	basr	%r14, %r3
	.short	0

/* The vdso has one too, but the kernel uses that only without SA_RESTORER (arch/s390/kernel/signal.c). */
	.globl	arch_restorer
	.type	arch_restorer, @function
arch_restorer:
	lghi	%r1, __NR_rt_sigreturn
	svc	0

	.section .note.GNU-stack, "", %progbits
