/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What init does once, before it listens. */
#ifndef KCONFORM_SETUP_H
#define KCONFORM_SETUP_H

/* Mount what a test expects to find: /proc, /sys, /dev, /tmp and, where the kernel has it, securityfs. */
void setup_mounts(void);
/* Open the channel to the host. 0 or -errno. */
long setup_channel(int *in, int *out);
/* Create and map the arena, or map the one inherited. 0 or -errno. */
long setup_arena(int inherited);
/* Let tasks neither starve the agent nor one another (see agent.c, settle()). */
void setup_scheduling(void);
/* On a host: the channel is standard input and output, orphans come to us, and a broken channel is told. */
void setup_host(int *in, int *out);
/* Write a line to the console, where the host follows the boot. */
void say(const char *text);
/* Write it, and end: as init this panics the kernel, which the host sees at once. */
void __attribute__((noreturn)) die(const char *text, long error);

#endif
