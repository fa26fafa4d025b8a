/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls without a C library.
 *
 * A task must make no system call that its test did not ask for, whatever filter it is under. So there is nothing
 * between the task and the kernel: no libc that reads a clock, takes a lock, or stores errno in thread-local storage.
 */
#ifndef KCONFORM_SYS_H
#define KCONFORM_SYS_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/types.h>

#include "libc.h"

/* A system call that fails returns a value from -MAX_ERRNO to -1 (include/linux/err.h). */
#define MAX_ERRNO 4095

/*
 * The whole interface to an architecture is arch_<machine>.h, which the compiler's command line names, and
 * arch_<machine>.S. The header defines
 *
 *   arch_syscall(), arch_relax(), arch_stack_pointer()
 *   arch_call_by(entry, number, args)   make a system call by an entry other than ENTRY_NATIVE, if there are others;
 *                                       -ENOSYS if the architecture has no such entry
 *   ARCH_CONTEXT_RESULT                 the index of a system call's result among the words of uc_mcontext ...
 *   ARCH_CONTEXT_FIRST                  ... counted from this one, if that is not the first
 *   ARCH_CONTEXT_ERROR, ARCH_ERROR      the index of a word, and the bit in it that makes the result a positive error
 *                                       number; of architectures with such a bit alone
 *
 *   ARCH_CLONE_BACKWARDS2               if clone() takes the stack before the flags
 *   ARCH_OLD_MMAP                       if mmap() takes the address of its arguments
 *
 *   arch_read_auxv(auxv)                note what the kernel tells a new program, if a call needs any of it
 *   ARCH_LOSES_TIMERS                   if QEMU does not save its machine's timers, so that a clone has lost those that
 *                                       were pending
 *
 * and the assembly defines _start, which calls start(stack), and the following.
 */

/* clone() into `stack`. The child runs function(argument) there and never returns. The parent gets clone's value. */
long arch_clone(unsigned long flags, void *stack, void *parent_tid, void *child_tid,
		void (*function)(void *), void *argument);
/* Leave this stack for another one, for good. */
void __attribute__((noreturn)) arch_switch_stack(void *stack, void (*function)(void *), void *argument);
/* What a signal handler returns to, as rt_sigaction's sa_restorer. */
void arch_restorer(void);

#include KCONFORM_ARCH_HEADER

#ifndef ARCH_CONTEXT_FIRST
#define ARCH_CONTEXT_FIRST 0
#endif

/* An architecture with no other entry does not define it. */
#ifndef arch_call_by
static inline long arch_call_by(enum wire_entry entry, __u64 number, const __u64 *args)
{
	(void)entry;
	(void)number;
	(void)args;
	return -ENOSYS;
}
#endif

/* An architecture that needs nothing of it defines nothing. */
#ifndef arch_read_auxv
#define arch_read_auxv(auxv) ((void)(auxv))
#endif

/* 32-bit architectures have older calls of these names, with 32-bit times, which a kernel may be built without ... */
#ifdef __NR_futex_time64
#define NR_FUTEX __NR_futex_time64
#define NR_PPOLL __NR_ppoll_time64
#define NR_CLOCK_GETTIME __NR_clock_gettime64
#define NR_CLOCK_NANOSLEEP __NR_clock_nanosleep_time64
#else
#define NR_FUTEX __NR_futex
#define NR_PPOLL __NR_ppoll
#define NR_CLOCK_GETTIME __NR_clock_gettime
#define NR_CLOCK_NANOSLEEP __NR_clock_nanosleep
#endif

/* ... with 16-bit ids, ... */
#ifdef __NR_setresuid32
#define NR_SETGROUPS __NR_setgroups32
#define NR_SETRESGID __NR_setresgid32
#define NR_SETRESUID __NR_setresuid32
#else
#define NR_SETGROUPS __NR_setgroups
#define NR_SETRESGID __NR_setresgid
#define NR_SETRESUID __NR_setresuid
#endif

/* ... and with other arguments. */
#ifdef __NR_mmap2
#define NR_MMAP __NR_mmap2
#else
#define NR_MMAP __NR_mmap
#endif

#define sys6(nr, a, b, c, d, e, f) \
	arch_syscall((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define sys5(nr, a, b, c, d, e) sys6(nr, a, b, c, d, e, 0)
#define sys4(nr, a, b, c, d) sys6(nr, a, b, c, d, 0, 0)
#define sys3(nr, a, b, c) sys6(nr, a, b, c, 0, 0, 0)
#define sys2(nr, a, b) sys6(nr, a, b, 0, 0, 0, 0)
#define sys1(nr, a) sys6(nr, a, 0, 0, 0, 0, 0)

/* As fork(), which not every architecture has: another process goes on from here as well. */
#ifdef ARCH_CLONE_BACKWARDS2
#define sys_fork() sys5(__NR_clone, NULL, SIGCHLD, NULL, NULL, NULL)
#else
#define sys_fork() sys5(__NR_clone, SIGCHLD, NULL, NULL, NULL, NULL)
#endif

#endif
