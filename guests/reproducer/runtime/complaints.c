// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel has logged about an error of its own: what guests/log/splats.py of kconform recognizes, too. */

static void read_log(void);

#define WORD_BEGINS "(^|[^[:alnum:]_])"
#define REPORT_LINES 8	/* after the first one of a report, within which it names the kernel and its taint */

static const char complaints[] =
	"^WARNING: (CPU: |[^[:space:]]+:[0-9]+ at )"	/* __warn(), until 6.18 and since */
	"|^WARNING: (possible |suspicious RCU|inconsistent lock|bad (unlock|contention)|held lock|lock held)"
	"|^WARNING: (Nested lock|[^[:space:]]+-safe ->)"	/* these, too, are lockdep's */
	"|^WARNING: (kernel stack|stack recursion|can't (access|dereference)|unknown \\.orc)"	/* the unwinder */
	"|^-+\\[ cut here \\]-+"			/* the line before a WARN or BUG */
	"|^((NMI )?watchdog: )?BUG: "
	"|^BUG [^[:space:]]+ \\(.*\\): "		/* SLUB, about a cache */
	"|^\\[ (BUG|INFO|WARNING):"			/* lockdep in its older format */
	"|^(NMI )?watchdog: (.*[^[:alnum:]_])?hard LOCKUP"
	"|^(traps: )?PANIC:"				/* double fault */
	"|(" WORD_BEGINS "Oops|: [0-9a-f]+) \\[#[0-9]+\\]"	/* die(), for any fault */
	"|" WORD_BEGINS "Oops(:| -)"
	"|^kernel BUG at "
	"|^Kernel panic - not syncing"
	"|^UBSAN: "
	"|^INFO: task .* for more than"
	"|^INFO: (trying to register non-static key|possible (circular|recursive|irq)|suspicious RCU usage)"
	"|^INFO: inconsistent lock state"
	"|^(rcu: INFO:|INFO: rcu).*(stall|detected)"
	"|^refcount_t: ";
static const char report[] = WORD_BEGINS "(Not tainted|Tainted: )|^Call [Tt]race:";

/* The first complaint; NULL if there is none. To be called once, because it splits the log. */
static const char *complaint(void)
{
	char *line, *next, *rest, *warning = NULL;
	regex_t complains, reports;
	int left = 0;

	read_log();
	if (regcomp(&complains, complaints, REG_EXTENDED) || regcomp(&reports, report, REG_EXTENDED))
		abort();
	/* So /dev/kmsg shows the ends of lines within a record. */
	for (char *end = logged; (end = strstr(end, "\\x0a"));)
		memset(end, '\n', 4);
	for (line = strtok_r(logged, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		line += strspn(line, " ");
		if (!regexec(&complains, line, 0, NULL, 0)) {
			/* The line after "cut here" is the one that describes the fault. */
			next = *line == '-' ? strtok_r(NULL, "\n", &rest) : NULL;
			return next ? next : line;
		}
		if (warning && !regexec(&reports, line, 0, NULL, 0))
			return warning;
		/* Anybody may print such a line: it counts if a report follows. */
		if (!strncmp(line, "WARNING: ", 9)) {
			warning = line;
			left = REPORT_LINES;
		} else if (warning && !--left)
			warning = NULL;
	}
	return NULL;
}
