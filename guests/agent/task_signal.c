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

void signal_handler(int signal, void *siginfo, void *context)
{
	/* The stack lies in the slot, and so identifies it: the agent has no thread-local storage. */
	struct slot *slot = slot_at(slot_index(arch_stack_pointer()));
	struct wire_caught *record = &slot->records[slot->caught % CAUGHT_MAX];
	struct ucontext *uc = context;
	size_t size = sizeof(uc->uc_mcontext);

	(void)signal;
	memcpy(record->siginfo, siginfo, sizeof(record->siginfo));
	memcpy(record->context, &uc->uc_mcontext, size < sizeof(record->context) ? size : sizeof(record->context));
	if (slot->set_result)
		((unsigned long *)&uc->uc_mcontext)[ARCH_CONTEXT_RESULT] = slot->result;
	__atomic_store_n(&slot->caught, slot->caught + 1, __ATOMIC_RELEASE);
}
