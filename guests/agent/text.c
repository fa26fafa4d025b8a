// SPDX-License-Identifier: GPL-2.0-or-later
/* Short strings: searching them, composing paths, converting numbers. */

#include "text.h"

int starts_with(const char *text, const char *prefix)
{
	while (*prefix && *text == *prefix) {
		text++;
		prefix++;
	}
	return !*prefix;
}

int contains(const char *text, const char *word)
{
	for (; *text; text++)
		if (starts_with(text, word))
			return 1;
	return 0;
}

char *append(char *to, const char *text)
{
	while (*text)
		*to++ = *text++;
	*to = 0;
	return to;
}

char *append_number(char *to, unsigned int number)
{
	char digits[12], *p = digits + sizeof(digits) - 1;

	*p = 0;
	do
		*--p = '0' + number % 10;
	while (number /= 10);
	return append(to, p);
}

int is_digit(char letter)
{
	return letter >= '0' && letter <= '9';
}

unsigned int parse_number(const char *text)
{
	unsigned int number = 0;

	for (; is_digit(*text); text++)
		number = number * 10 + *text - '0';
	return number;
}
