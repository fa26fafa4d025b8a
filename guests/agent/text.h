/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Short strings: searching them, composing paths, converting numbers. */
#ifndef KCONFORM_TEXT_H
#define KCONFORM_TEXT_H

int starts_with(const char *text, const char *prefix);
int contains(const char *text, const char *word);
/* Write a string, or a number in decimal, with its NUL. Return the address of the NUL, where the next one goes. */
char *append(char *to, const char *text);
char *append_number(char *to, unsigned int number);
/* The decimal number that the text begins with; 0 if it begins with none. */
unsigned int parse_number(const char *text);
int is_digit(char letter);

#endif
