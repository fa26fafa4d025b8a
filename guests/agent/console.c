// SPDX-License-Identifier: GPL-2.0-or-later
/* What the agent writes to the console, where the host follows the boot. */

#include "setup.h"
#include "sys.h"
#include "text.h"

void say(const char *text)
{
	sys3(__NR_write, 2, text, strlen(text));
}

void die(const char *text, long error)
{
	char number[12];

	append_number(number, -error);
	say("kconform: agent: ");
	say(text);
	say(": errno ");
	say(number);
	say("\n");
	sys1(__NR_exit_group, 1);
	__builtin_unreachable();
}
