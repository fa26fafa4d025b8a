/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arm64: where the program starts, and what C cannot express. sys.h says what each function is for. */

#include <asm/unistd.h>

	.text

	.globl	_start
	.type	_start, @function
_start:
	mov	x29, #0
	mov	x0, sp
	bl	start
	brk	#0

/* x0 flags, x1 stack, x2 parent_tid, x3 child_tid, x4 function, x5 argument */
	.globl	arch_clone
	.type	arch_clone, @function
arch_clone:
	and	x1, x1, #-16
	stp	x4, x5, [x1, #-16]!
	mov	x4, x3
	mov	x3, #0
	mov	x8, #__NR_clone
	svc	#0
	cbnz	x0, 1f
	mov	x29, #0
	ldp	x1, x0, [sp], #16
	blr	x1
	brk	#0
1:	ret

/* x0 stack, x1 function, x2 argument */
	.globl	arch_switch_stack
	.type	arch_switch_stack, @function
arch_switch_stack:
	mov	sp, x0
	mov	x0, x2
	blr	x1
	brk	#0

/* The vdso has one too, but the kernel uses that only without SA_RESTORER (arch/arm64/kernel/signal.c). */
	.globl	arch_restorer
	.type	arch_restorer, @function
arch_restorer:
	mov	x8, #__NR_rt_sigreturn
	svc	#0

	.section .note.GNU-stack, "", %progbits
