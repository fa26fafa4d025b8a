/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ppc64le: where the program starts, and what C cannot express. sys.h says what each function is for.
 *
 * A function that is called by its address finds that in r12, and computes r2 from it (ELFv2). Its stack begins with a
 * frame of 32 bytes for its caller.
 */

#include <asm/unistd.h>

	.abiversion 2
	.text

	.globl	_start
	.type	_start, @function
_start:
	addis	2, 12, (.TOC. - _start)@ha
	addi	2, 2, (.TOC. - _start)@l
	mr	3, 1
	li	0, 0
	li	31, 0
	clrrdi	1, 1, 4
	stdu	0, -32(1)
	bl	start
	nop
	trap

/* r3 flags, r4 stack, r5 parent_tid, r6 child_tid, r7 function, r8 argument */
	.globl	arch_clone
	.type	arch_clone, @function
arch_clone:
	clrrdi	4, 4, 4
	addi	4, 4, -48
	li	0, 0
	std	0, 0(4)
	std	7, 32(4)
	std	8, 40(4)
	mr	7, 6
	li	6, 0
	li	0, __NR_clone
	sc
	bns	1f
	neg	3, 3
	blr
1:	cmpdi	3, 0
	bnelr
	li	31, 0
	ld	12, 32(1)
	ld	3, 40(1)
	mtctr	12
	bctrl
	trap

/* r3 stack, r4 function, r5 argument */
	.globl	arch_switch_stack
	.type	arch_switch_stack, @function
arch_switch_stack:
	clrrdi	1, 3, 4
	li	0, 0
	stdu	0, -32(1)
	mr	12, 4
	mr	3, 5
	mtctr	12
	bctrl
	trap

/* The kernel ignores SA_RESTORER: handlers return to the vdso (arch/powerpc/kernel/signal_64.c: handle_rt_signal64()). */
	.globl	arch_restorer
	.type	arch_restorer, @function
arch_restorer:
	li	0, __NR_rt_sigreturn
	sc

	.section .note.GNU-stack, "", %progbits
