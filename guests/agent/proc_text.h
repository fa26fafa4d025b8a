/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How to read the text of /proc/PID/status and /proc/PID/stat. Nothing here opens a file. */
#ifndef KCONFORM_PROC_TEXT_H
#define KCONFORM_PROC_TEXT_H

/* What follows `name`, colon and tab included, on a line of status other than the first; "" if there is none. */
const char *status_field(const char *status, const char *name);
/* The letter of the task's state; 0 if there is none. */
char status_state(const char *status);
/* Whether a signal is pending for this one thread. A status that was cut off counts as yes. */
int status_has_pending(const char *status, int signal);
/* The last number of a line: of NSpid, what a task in nested pid namespaces is called in the innermost one. */
int last_number(const char *line);

/* The PF_* flags, the ninth field of stat. */
unsigned int stat_flags(const char *stat);
/* The wait status of a process that has ended, the last field of stat. */
int stat_exit_code(const char *stat);

#endif
