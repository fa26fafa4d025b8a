// SPDX-License-Identifier: GPL-2.0-or-later
/* The arena, mapped at the same address by each program that tasks run. */

#include <linux/mman.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "sys.h"
#include "task.h"

long map_arena(void)
{
	unsigned long size = (unsigned long)SLOT_COUNT * SLOT_SIZE;
	const unsigned long a[] = { ARENA_BASE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, FD_ARENA, 0 };
#ifdef ARCH_OLD_MMAP
	long got = sys1(NR_MMAP, a);
#else
	long got = sys6(NR_MMAP, a[0], a[1], a[2], a[3], a[4], a[5]);
#endif

	return got < 0 && got >= -MAX_ERRNO ? got : 0;
}
