/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86-64: where the program starts, and what C cannot express. sys.h says what each function is for. */

#include <asm/unistd.h>

	.text

	.globl	_start
	.type	_start, @function
_start:
	xor	%ebp, %ebp
	mov	%rsp, %rdi
	and	$-16, %rsp
	call	start
	hlt

/* rdi flags, rsi stack, rdx parent_tid, rcx child_tid, r8 function, r9 argument */
	.globl	arch_clone
	.type	arch_clone, @function
arch_clone:
	and	$-16, %rsi
	sub	$16, %rsi
	mov	%r8, (%rsi)
	mov	%r9, 8(%rsi)
	mov	%rcx, %r10
	xor	%r8d, %r8d
	mov	$__NR_clone, %eax
	syscall
	test	%rax, %rax
	jnz	1f
	xor	%ebp, %ebp
	pop	%rax
	pop	%rdi
	call	*%rax
	hlt
1:	ret

/* rdi stack, rsi function, rdx argument */
	.globl	arch_switch_stack
	.type	arch_switch_stack, @function
arch_switch_stack:
	mov	%rdi, %rsp
	and	$-16, %rsp
	mov	%rdx, %rdi
	call	*%rsi
	hlt

/*
 * rdi number, rsi args
 *
 * The sixth argument goes into ebp. r8 to r11 come back as zero (arch/x86/entry/entry_64_compat.S); as in any other
 * function, the caller does not expect them to survive.
 */
	.globl	arch_int80
	.type	arch_int80, @function
arch_int80:
	push	%rbx
	push	%rbp
	mov	%rdi, %rax
	mov	(%rsi), %rbx
	mov	8(%rsi), %rcx
	mov	16(%rsi), %rdx
	mov	32(%rsi), %rdi
	mov	40(%rsi), %rbp
	mov	24(%rsi), %rsi
	int	$0x80
	pop	%rbp
	pop	%rbx
	ret

/* Last: a test of syscall user dispatch lets calls through from the 16 bytes that begin here, and no others. */
	.globl	arch_restorer
	.type	arch_restorer, @function
arch_restorer:
	mov	$__NR_rt_sigreturn, %eax
	syscall

	.section .note.GNU-stack, "", %progbits
