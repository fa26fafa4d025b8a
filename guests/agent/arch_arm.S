/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit Arm: where the program starts, and what C cannot express. sys.h says what each function is for. */

#include <asm/unistd.h>

	.syntax	unified
	.arm
	.text

	.globl	_start
	.type	_start, %function
_start:
	mov	fp, #0
	mov	lr, #0
	mov	r0, sp
	bic	sp, sp, #7
	bl	start
	udf	#0

/* r0 flags, r1 stack, r2 parent_tid, r3 child_tid; on the stack: function, argument */
	.globl	arch_clone
	.type	arch_clone, %function
arch_clone:
	push	{r4, r7}
	ldr	r4, [sp, #8]
	ldr	ip, [sp, #12]
	bic	r1, r1, #7
	stmdb	r1!, {r4, ip}
	mov	r4, r3
	mov	r3, #0
	mov	r7, #__NR_clone
	svc	#0
	cmp	r0, #0
	bne	1f
	mov	fp, #0
	pop	{r1, r2}
	mov	r0, r2
	blx	r1
	udf	#0
1:	pop	{r4, r7}
	bx	lr

/* r0 stack, r1 function, r2 argument */
	.globl	arch_switch_stack
	.type	arch_switch_stack, %function
arch_switch_stack:
	bic	sp, r0, #7
	mov	r0, r2
	blx	r1
	udf	#0

	.globl	arch_restorer
	.type	arch_restorer, %function
arch_restorer:
	mov	r7, #__NR_rt_sigreturn
	svc	#0

	.section .note.GNU-stack, "", %progbits
