/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How an x86-64 program enters the kernel, starts, and starts another task. */
#ifndef KCONFORM_ARCH_X86_64_H
#define KCONFORM_ARCH_X86_64_H

static inline long arch_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

/*
 * ebp carries the sixth argument, so it is exchanged inside. r8 to r11 come back zeroed from int $0x80
 * (arch/x86/entry/entry_64_compat.S), hence the clobbers.
 */
static inline long arch_int80(long nr, const __u64 *args)
{
	long ret;

	__asm__ volatile("push %%rbp\n\t"
			 "mov %[sixth], %%rbp\n\t"
			 "int $0x80\n\t"
			 "pop %%rbp"
			 : "=a"(ret)
			 : "a"(nr), "b"(args[0]), "c"(args[1]), "d"(args[2]), "S"(args[3]), "D"(args[4]),
			   [sixth] "r"(args[5])
			 : "r8", "r9", "r10", "r11", "memory");
	/* 32 bits: an error is negative as in a 64-bit result, an address above 2 GiB is not. */
	return (__u32)ret > -4096U ? (long)(int)ret : (long)(__u32)ret;
}

static inline long arch_vsyscall(__u64 address, const __u64 *args)
{
	long (*function)(__u64, __u64, __u64) = (long (*)(__u64, __u64, __u64))address;

	return function(args[0], args[1], args[2]);
}

static inline long arch_rdtsc(void)
{
	__u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (long)((__u64)high << 32 | low);
}

static inline void arch_relax(void)
{
	__asm__ volatile("pause");
}

static inline unsigned long arch_stack_pointer(void)
{
	unsigned long sp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	return sp;
}

/* clone() into `stack`; the child runs function(argument) there and never returns. The parent gets clone's value. */
long arch_clone(unsigned long flags, void *stack, void *parent_tid, void *child_tid,
		void (*function)(void *), void *argument);
/* Leave this stack for another one, for good. */
void __attribute__((noreturn)) arch_switch_stack(void *stack, void (*function)(void *), void *argument);
void arch_restorer(void);

/* The result of a system call inside a signal frame's uc_mcontext: gregs[REG_RAX]. */
#define ARCH_CONTEXT_RESULT 13
#define ARCH_SA_RESTORER 0x04000000

#ifdef KCONFORM_ARCH_CODE
__asm__(".text\n"
	".global _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n"
	"	hlt\n"
	".global arch_clone\n"
	"arch_clone:\n" /* rdi flags, rsi stack, rdx parent_tid, rcx child_tid, r8 function, r9 argument */
	"	and $-16, %rsi\n"
	"	sub $16, %rsi\n"
	"	mov %r8, (%rsi)\n"
	"	mov %r9, 8(%rsi)\n"
	"	mov %rcx, %r10\n"
	"	xor %r8d, %r8d\n"
	"	mov $56, %eax\n"
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jnz 1f\n"
	"	xor %ebp, %ebp\n"
	"	pop %rax\n"
	"	pop %rdi\n"
	"	call *%rax\n"
	"	hlt\n"
	"1:	ret\n"
	".global arch_switch_stack\n"
	"arch_switch_stack:\n"
	"	mov %rdi, %rsp\n"
	"	and $-16, %rsp\n"
	"	mov %rdx, %rdi\n"
	"	call *%rsi\n"
	"	hlt\n"
	".global arch_restorer\n"
	"arch_restorer:\n"
	"	mov $15, %eax\n"
	"	syscall\n");
#endif

#endif
