/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the simulated kernel share. */
#ifndef KCONFORM_SIMULATION_H
#define KCONFORM_SIMULATION_H

#include <stddef.h>

struct pollfd;

#define FIRST_PIDFD 100000 /* the arena, the bell and every file have lower numbers */

/* simulated_kernel.c: any number below this, any result of a call, and whether a task makes it or the agent. */
unsigned int chance(unsigned int below);
long any_result(void);
extern int in_task, next_pid;

/* simulated_tasks.c */
long wait_for(struct pollfd *fds, unsigned int n);

/* simulated_files.c */
long open_file(const char *path, long flags);
long read_file(int fd, void *to, size_t size);
long read_directory(void *to, size_t size);

#endif
