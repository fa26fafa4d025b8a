// SPDX-License-Identifier: GPL-2.0-or-later
static __attribute__((noreturn)) void differs(int status, int line)
{
	dprintf(FD_OUTPUT, "line %d: %s\n", line,
		status == 1 ? "the kernel breaks its promise" : "the promise cannot be tested");
	over(status);
}

static void expect_blocked(int status, struct task *task, int wanted, const char *what, int line)
{
	int blocked = blocks(task);

	if (blocked == wanted)
		return;
	dprintf(FD_OUTPUT, "%s %s\n", what, blocked > 0 ? "blocks" : blocked ? "neither blocks nor returns" : "returns");
	differs(status, line);
}

static void wait_for_state(int status, struct task *task, const char *letters, int line)
{
	double end = now() + DEADLINE_S;
	int times = 0;
	char state = 0;

	for (; now() < end; nap(&times))
		if ((state = state_of(task)) && strchr(letters, state))
			return;
	dprintf(FD_OUTPUT, "%s is in state %c instead of one of %s\n", task->name, state ? state : '?', letters);
	differs(status, line);
}

static void read_log(void)
{
	char record[8192], *text;
	size_t used = strlen(logged);
	ssize_t n;

	while ((n = read(kernel_log, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		record[n > 0 ? n : 0] = 0;
		text = strchr(record, ';');
		if (text && used + strlen(text) < sizeof(logged))
			used += sprintf(logged + used, "%s", text + 1);
	}
}

static void wait_for_log(int status, const char *words, int line)
{
	double end = now() + DEADLINE_S;
	int times = 0;

	for (; now() < end; nap(&times)) {
		read_log();
		if (strstr(logged, words))
			return;
	}
	dprintf(FD_OUTPUT, "the kernel does not log: %s\n", words);
	differs(status, line);
}

static void describe(const char *act, struct outcome outcome, const char *wanted)
{
	dprintf(FD_OUTPUT, "%s: ", act);
	if (outcome.state == PENDING)
		dprintf(FD_OUTPUT, "did not end within %d s", DEADLINE_S);
	else if (outcome.state == GONE)
		dprintf(FD_OUTPUT, "the thread ended alone");
	else if (outcome.state == DIED && outcome.value & 0x7f)
		dprintf(FD_OUTPUT, "killed by signal %ld (%s)", outcome.value & 0x7f, strsignal(outcome.value & 0x7f));
	else if (outcome.state == DIED)
		dprintf(FD_OUTPUT, "exited with %ld", outcome.value >> 8 & 0xff);
	else if (outcome.value < 0 && outcome.value >= -4095)
		dprintf(FD_OUTPUT, "error %ld (%s)", -outcome.value, strerror(-outcome.value));
	else
		dprintf(FD_OUTPUT, "%ld", outcome.value);
	dprintf(FD_OUTPUT, " instead of %s\n", wanted);
}

static int is(struct wanted wanted, struct outcome outcome)
{
	long value = outcome.value & wanted.mask;

	if (wanted.state == ANY)
		return outcome.state != PENDING;
	return outcome.state == wanted.state && value >= wanted.low && value <= wanted.high;
}

static int in_time(double *end, const char *what, int line)
{
	if (!*end)
		*end = now() + DEADLINE_S;
	else
		usleep(1000);
	if (now() < *end)
		return 1;
	dprintf(FD_OUTPUT, "waited %d s for %s\n", DEADLINE_S, what);
	differs(1, line);
}

static long checked(int status, struct wanted wanted, struct outcome outcome, const char *act, int line)
{
	if (is(wanted, outcome))
		return outcome.value;
	describe(act, outcome, wanted.name);
	differs(status, line);
}

static void show_bytes(const char *what, const void *content, size_t length)
{
	dprintf(FD_OUTPUT, "%s", what);
	for (size_t i = 0; i < length; i++)
		dprintf(FD_OUTPUT, " %02x", ((const unsigned char *)content)[i]);
}

static void expect_bytes(int status, long place, const void *wanted, size_t length, const char *what, int line)
{
	if (!memcmp((void *)place, wanted, length))
		return;
	dprintf(FD_OUTPUT, "%s is", what);
	show_bytes("", (void *)place, length);
	show_bytes(" instead of", wanted, length);
	dprintf(FD_OUTPUT, "\n");
	differs(status, line);
}

static void expect_other_bytes(int status, long place, const void *wrong, size_t length, const char *what, int line)
{
	if (memcmp((void *)place, wrong, length))
		return;
	dprintf(FD_OUTPUT, "%s is", what);
	show_bytes("", wrong, length);
	dprintf(FD_OUTPUT, ", which is wrong\n");
	differs(status, line);
}

static void expect_number(int status, long place, int wanted, const char *what, int line)
{
	int found;

	memcpy(&found, (void *)place, sizeof(found));
	if (found == wanted)
		return;
	dprintf(FD_OUTPUT, "%s is %d instead of %d\n", what, found, wanted);
	differs(status, line);
}

static struct outcome signals_of(const struct task *task)
{
	return (struct outcome){ RETURNED, __atomic_load_n(&shared(task)->caught, __ATOMIC_ACQUIRE) };
}

/* What a task knows of a signal that it has caught: its siginfo, then 256 bytes of registers. */
static long signal_of(const struct task *task, int index)
{
	return (long)&shared(task)->records[index % 8];
}

static void expect_not_logged(int status, const char *words, int line)
{
	read_log();
	if (!strstr(logged, words))
		return;
	dprintf(FD_OUTPUT, "the kernel logs: %s\n", words);
	differs(status, line);
}
