/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The agent's own functions of a C library, by other names: here there is one besides, which the sanitizers watch. */
#define memcpy agent_memcpy
#define memmove agent_memmove
#define memset agent_memset
#define strlen agent_strlen
#define crc32 agent_crc32
