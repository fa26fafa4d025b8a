/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i386: the ways into the kernel. sys.h says what an architecture has to define. */
#ifndef KCONFORM_ARCH_I386_H
#define KCONFORM_ARCH_I386_H

#include <linux/auxvec.h>

#include "wire.h"

/* The vDSO's __kernel_vsyscall; 0 if the kernel has mapped no vDSO. */
extern unsigned long arch_vdso_entry;

/* Each loads the registers with the arguments, and returns eax. wire.h says what is special about the last two. */
long arch_int80(long nr, const __u32 *args);
long arch_vdso(long nr, const __u32 *args);
long arch_sysenter(long nr, const __u32 *args);
long arch_syscall32(long nr, const __u32 *args);

static inline long arch_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	__u32 args[6] = { a, b, c, d, e, f };

	return arch_int80(nr, args);
}

#define arch_call_by arch_call_by
static inline long arch_call_by(enum wire_entry entry, __u64 number, const __u64 *args)
{
	__u32 low[6];

	for (int i = 0; i < 6; i++)
		low[i] = args[i];
	switch (entry) {
	case ENTRY_INT80:
		return arch_int80(number, low);
	case ENTRY_VDSO:
		return arch_vdso_entry ? arch_vdso(number, low) : -ENOSYS;
	case ENTRY_SYSENTER:
		return arch_sysenter(number, low);
	case ENTRY_SYSCALL32:
		return arch_syscall32(number, low);
	default:
		return -ENOSYS;
	}
}

#define arch_read_auxv arch_read_auxv
static inline void arch_read_auxv(const unsigned long *auxv)
{
	for (; auxv[0] != AT_NULL; auxv += 2)
		if (auxv[0] == AT_SYSINFO)
			arch_vdso_entry = auxv[1];
}

static inline void arch_relax(void)
{
	__asm__ volatile("pause");
}

static inline unsigned long arch_stack_pointer(void)
{
	unsigned long sp;

	__asm__ volatile("mov %%esp, %0" : "=r"(sp));
	return sp;
}

/* eax of struct sigcontext */
#define ARCH_CONTEXT_RESULT 11

#endif
