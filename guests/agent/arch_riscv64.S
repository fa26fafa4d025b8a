/* SPDX-License-Identifier: GPL-2.0-or-later */
/* riscv64: where the program starts, and what C cannot express. sys.h says what each function is for. */

#include <asm/unistd.h>

	.text

	.globl	_start
	.type	_start, @function
_start:
	/* The linker addresses data by gp (relaxation), which all tasks inherit. */
	.option	push
	.option	norelax
	la	gp, __global_pointer$
	.option	pop
	li	s0, 0
	mv	a0, sp
	andi	sp, sp, -16
	call	start
	unimp

/* a0 flags, a1 stack, a2 parent_tid, a3 child_tid, a4 function, a5 argument */
	.globl	arch_clone
	.type	arch_clone, @function
arch_clone:
	andi	a1, a1, -16
	addi	a1, a1, -16
	sd	a4, 0(a1)
	sd	a5, 8(a1)
	mv	a4, a3
	li	a3, 0
	li	a7, __NR_clone
	ecall
	bnez	a0, 1f
	li	s0, 0
	ld	a1, 0(sp)
	ld	a0, 8(sp)
	addi	sp, sp, 16
	jalr	a1
	unimp
1:	ret

/* a0 stack, a1 function, a2 argument */
	.globl	arch_switch_stack
	.type	arch_switch_stack, @function
arch_switch_stack:
	andi	sp, a0, -16
	mv	a0, a2
	jalr	a1
	unimp

/* The kernel has no SA_RESTORER here: handlers return to the vdso's (arch/riscv/kernel/signal.c: setup_rt_frame()). */
	.globl	arch_restorer
	.type	arch_restorer, @function
arch_restorer:
	li	a7, __NR_rt_sigreturn
	ecall

	.section .note.GNU-stack, "", %progbits
