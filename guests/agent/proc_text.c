// SPDX-License-Identifier: GPL-2.0-or-later
/* How to read the text of /proc/PID/status and /proc/PID/stat (fs/proc/array.c). */

#include "libc.h"
#include "proc_text.h"
#include "text.h"

#define SIGNAL_DIGITS 16 /* of a signal set in status: hexadecimal, the highest signals first */

const char *status_field(const char *status, const char *name)
{
	for (; *status; status++)
		if (*status == '\n' && starts_with(status + 1, name))
			return status + 1 + strlen(name);
	return "";
}

char status_state(const char *status)
{
	return *status_field(status, "State:\t");
}

/* The kernel writes lower-case letters (hex_asc). */
static int hex_digit(char letter)
{
	return is_digit(letter) ? letter - '0' : letter - 'a' + 10;
}

int status_has_pending(const char *status, int signal)
{
	const char *set = status_field(status, "SigPnd:\t");
	int bit = signal - 1;

	/* Four signals to a digit. */
	return strlen(set) < SIGNAL_DIGITS || hex_digit(set[SIGNAL_DIGITS - 1 - bit / 4]) >> bit % 4 & 1;
}

int last_number(const char *line)
{
	unsigned int number = 0;

	for (; *line && *line != '\n'; line++)
		number = is_digit(*line) ? number * 10 + *line - '0' : 0;
	return number;
}

unsigned int stat_flags(const char *stat)
{
	const char *p = stat + strlen(stat);

	/* Count from the end of comm, the second field, which may itself contain blanks and brackets. */
	while (p > stat && *p != ')')
		p--;
	for (int fields = 0; *p && fields < 7; p++)
		fields += *p == ' ';
	return parse_number(p);
}

int stat_exit_code(const char *stat)
{
	const char *p = stat + strlen(stat);

	while (p > stat && p[-1] != ' ')
		p--;
	return parse_number(p);
}
