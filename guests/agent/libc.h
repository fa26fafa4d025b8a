/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The functions of libraries that the agent uses; the compiler may call the first three by itself. */
#ifndef KCONFORM_LIBC_H
#define KCONFORM_LIBC_H

#include <linux/types.h>
#include <stddef.h>

/* Source and target must not overlap. */
void *memcpy(void *to, const void *from, size_t n);
/* Source and target may overlap. */
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
size_t strlen(const char *s);
/* zlib's checksum. */
__u32 crc32(const void *bytes, size_t n);

#endif
