/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The "architecture" on which the agent is tested under sanitizers: a kernel that is a function (simulated_kernel.c). */
#ifndef KCONFORM_ARCH_SIMULATED_H
#define KCONFORM_ARCH_SIMULATED_H

#include "task.h"

long arch_syscall(long nr, long a, long b, long c, long d, long e, long f);
#define arch_call_by arch_call_by
long arch_call_by(enum wire_entry entry, __u64 number, const __u64 *args);

static inline void arch_relax(void)
{
}

static inline unsigned long arch_stack_pointer(void)
{
	return ARENA_BASE + SLOT_SIZE;
}

#define ARCH_CONTEXT_RESULT 13

#endif
