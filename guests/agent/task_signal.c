// SPDX-License-Identifier: GPL-2.0-or-later
/* The handler by which a task catches signals: it records each, and may set the interrupted call's result. */

#include <linux/signal.h>
#include <linux/types.h>
#include <asm/sigcontext.h>
#if __has_include(<asm/ucontext.h>)
#include <asm/ucontext.h>
#endif

#include "sys.h"
#include "task.h"

static void set_result(unsigned long *registers, long result)
{
#ifdef ARCH_CONTEXT_ERROR
	int failed = result >= -MAX_ERRNO && result < 0;

	registers[ARCH_CONTEXT_ERROR] &= ~ARCH_ERROR;
	registers[ARCH_CONTEXT_ERROR] |= failed ? ARCH_ERROR : 0;
	result = failed ? -result : result;
#endif
	registers[ARCH_CONTEXT_RESULT] = result;
}

void signal_handler(int signal, void *siginfo, void *context)
{
	/* The stack lies in the slot, and so identifies it: the agent has no thread-local storage. */
	struct slot *slot = slot_at(slot_index(arch_stack_pointer()));
	struct wire_caught *record = &slot->records[slot->caught % CAUGHT_MAX];
	struct ucontext *uc = context;
	unsigned long *registers = (unsigned long *)&uc->uc_mcontext + ARCH_CONTEXT_FIRST;
	size_t size = sizeof(uc->uc_mcontext) - ARCH_CONTEXT_FIRST * sizeof(*registers);

	(void)signal;
	memcpy(record->siginfo, siginfo, sizeof(record->siginfo));
	memcpy(record->context, registers, size < sizeof(record->context) ? size : sizeof(record->context));
	if (slot->set_result)
		set_result(registers, slot->result);
	__atomic_store_n(&slot->caught, slot->caught + 1, __ATOMIC_RELEASE);
}
