/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86-64: the ways into the kernel. sys.h says what an architecture has to define; the rest is in arch_x86_64.S. */
#ifndef KCONFORM_ARCH_X86_64_H
#define KCONFORM_ARCH_X86_64_H

#include "wire.h"

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

/* int $0x80. Returns rax as the kernel leaves it. */
long arch_int80(long nr, const __u64 *args);

static inline long arch_rdtsc(void)
{
	__u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (long)((__u64)high << 32 | low);
}

#define arch_call_by arch_call_by
static inline long arch_call_by(enum wire_entry entry, __u64 number, const __u64 *args)
{
	long (*vsyscall)(__u64, __u64, __u64) = (long (*)(__u64, __u64, __u64))number;
	__u32 result;

	switch (entry) {
	case ENTRY_INT80:
		/* 32 bits wide: an error is sign-extended to 64 bits, an address above 2 GiB is not. */
		result = arch_int80(number, args);
		return result >= (__u32)-MAX_ERRNO ? (long)(int)result : (long)result;
	case ENTRY_VSYSCALL:
		return vsyscall(args[0], args[1], args[2]);
	case ENTRY_RDTSC:
		return arch_rdtsc();
	default:
		return -ENOSYS;
	}
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

/* gregs[REG_RAX] */
#define ARCH_CONTEXT_RESULT 13

#endif
