/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What init does once, before it listens, and how it says that it cannot. */
#ifndef KCONFORM_SETUP_H
#define KCONFORM_SETUP_H

/* setup.c */

/* Mount what a test expects to find: /proc, /sys, /dev unless it is there, /tmp and, if possible, securityfs. */
void setup_mounts(int devices);
/*
 * Open those of standard input, output and error that are missing, as on a kernel without a console
 * (console_on_rootfs()): otherwise, the agent's messages would go to whatever gets the number.
 */
void setup_standard_files(void);
/* Create and map the arena. 0 or -errno. */
long setup_arena(void);
/* Create the bell, by which tasks wake the agent. 0 or -errno. */
long setup_bell(void);
/* On a host: use standard input and output as the channel, adopt orphans, get EPIPE if the channel breaks. */
void setup_host(int *in, int *out);

/* target.c */

/*
 * On a target: return in a child that has a root of its own. When the child has ended, kill every process that it has
 * left, and restore the settings. Each word is a file of /proc/sys, which may be followed by = and its first value.
 */
void run_on_target(char *const *words, unsigned long count);

/* open_channel.c */

/* Open the channel to the host. 0 or -errno. */
long open_channel(int *in, int *out);

/* console.c */

/* Write to the console, where the host follows the boot. */
void say(const char *text);
/* Write why, and end. As this is init, the kernel panics, which the host sees at once. */
void __attribute__((noreturn)) die(const char *text, long error);

#endif
