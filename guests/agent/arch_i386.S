/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i386: where the program starts, and what C cannot express. sys.h says what each function is for. */

#include <asm/unistd.h>

	.text

	.globl	_start
	.type	_start, @function
_start:
	xor	%ebp, %ebp
	mov	%esp, %eax
	and	$-16, %esp
	sub	$16, %esp
	mov	%eax, (%esp)
	call	start
	hlt

/* flags, stack, parent_tid, child_tid, function, argument */
	.globl	arch_clone
	.type	arch_clone, @function
arch_clone:
	push	%ebx
	push	%esi
	push	%edi
	mov	16(%esp), %ebx
	mov	20(%esp), %ecx
	mov	24(%esp), %edx
	xor	%esi, %esi
	mov	28(%esp), %edi
	/* The child pops the function, and finds the argument where a function expects it. */
	and	$-16, %ecx
	sub	$20, %ecx
	mov	32(%esp), %eax
	mov	%eax, (%ecx)
	mov	36(%esp), %eax
	mov	%eax, 4(%ecx)
	mov	$__NR_clone, %eax
	int	$0x80
	test	%eax, %eax
	jnz	1f
	xor	%ebp, %ebp
	pop	%eax
	call	*%eax
	hlt
1:	pop	%edi
	pop	%esi
	pop	%ebx
	ret

/* stack, function, argument */
	.globl	arch_switch_stack
	.type	arch_switch_stack, @function
arch_switch_stack:
	mov	4(%esp), %eax
	mov	8(%esp), %edx
	mov	12(%esp), %ecx
	and	$-16, %eax
	lea	-16(%eax), %esp
	mov	%ecx, (%esp)
	call	*%edx
	hlt

/* number, args: the registers of a call, whose sixth argument is in ebp */
	.macro	load_registers
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	mov	20(%esp), %eax
	mov	24(%esp), %ebp
	mov	(%ebp), %ebx
	mov	4(%ebp), %ecx
	mov	8(%ebp), %edx
	mov	12(%ebp), %esi
	mov	16(%ebp), %edi
	mov	20(%ebp), %ebp
	.endm

	.macro	restore_registers
	pop	%ebp
	pop	%edi
	pop	%esi
	pop	%ebx
	ret
	.endm

	.globl	arch_int80
	.type	arch_int80, @function
arch_int80:
	load_registers
	int	$0x80
	restore_registers

	.globl	arch_vdso
	.type	arch_vdso, @function
arch_vdso:
	load_registers
	call	*arch_vdso_entry
	restore_registers

/* The kernel reads the sixth argument from where ebp points, which __kernel_vsyscall sets to its stack. */
	.globl	arch_sysenter
	.type	arch_sysenter, @function
arch_sysenter:
	load_registers
	sysenter
	hlt

/* The instruction takes ecx for itself, so the second argument is in ebp, and the sixth on the stack. */
	.globl	arch_syscall32
	.type	arch_syscall32, @function
arch_syscall32:
	load_registers
	mov	%ebp, %esp
	mov	%ecx, %ebp
	syscall
	hlt

	.globl	arch_restorer
	.type	arch_restorer, @function
arch_restorer:
	mov	$__NR_rt_sigreturn, %eax
	int	$0x80

	.data
	.globl	arch_vdso_entry
	.align	4
arch_vdso_entry:
	.long	0

	.section .note.GNU-stack, "", %progbits
