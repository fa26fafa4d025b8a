/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How to read the story below: each task is a process or thread that makes the calls that it is told to make, one at
 * a time. "init" is this process. A task's memory is at the same address in all tasks: mem(task, offset).
 *
 *   EXPECT(wanted, act)   if the act has another outcome, the kernel breaks its promise (exit status 1)
 *   NEED(wanted, act)     if it has, nothing can be said about the promise (exit status 2)
 */
#define CALL(task, name, ...) do_call(task, NATIVE, SYS_##name, (long[6]){ __VA_ARGS__ })
#define BEGIN(task, name, ...) begin_call(task, NATIVE, SYS_##name, (long[6]){ __VA_ARGS__ })
#define CALL_BY(task, entry, number, ...) do_call(task, entry, number, (long[6]){ __VA_ARGS__ })
#define BEGIN_BY(task, entry, number, ...) begin_call(task, entry, number, (long[6]){ __VA_ARGS__ })
#define FINISH(task) finish(task)	/* the outcome of a call that was begun */
#define ENDS(task) end_of(task)		/* wait until the task has ended */

/* Do this again until it breaks off; if it does not in time, the kernel breaks its promise. */
#define TRY_UNTIL(what) for (double end = 0; in_time(&end, what, __LINE__);)
#define IS(wanted, act) is(wanted, act)

/* A seccomp filter: the instructions of classic BPF, which jump over so many of the next ones. */
#define FILTER(task, offset, ...) \
	bytes(task, offset, (struct instruction[]){ __VA_ARGS__ }, sizeof((struct instruction[]){ __VA_ARGS__ }))
#define BPF(code, if_true, if_false, k) { code, if_true, if_false, k }
#define LD(offset) BPF(0x20, 0, 0, offset)	/* from struct seccomp_data */
#define JEQ(k, if_true, if_false) BPF(0x15, if_true, if_false, k)
#define JGT(k, if_true, if_false) BPF(0x25, if_true, if_false, k)
#define JGE(k, if_true, if_false) BPF(0x35, if_true, if_false, k)
#define JSET(k, if_true, if_false) BPF(0x45, if_true, if_false, k)
#define RET(k) BPF(0x06, 0, 0, k)
struct instruction { unsigned short code; unsigned char if_true, if_false; unsigned int k; };

#define EXPECT(wanted, act) checked(1, wanted, act, #act, __LINE__)
#define NEED(wanted, act) checked(2, wanted, act, #act, __LINE__)

#define OK ((struct wanted){ RETURNED, 0, LONG_MAX, -1, "success" })
#define VALUE(n) ((struct wanted){ RETURNED, n, n, -1, #n })
#define BETWEEN(low, high) ((struct wanted){ RETURNED, low, high, -1, #low " to " #high })
#define ERROR(name) ((struct wanted){ RETURNED, -(name), -(name), -1, #name })
#define KILLED(name) ((struct wanted){ DIED, name, name, 0x7f, "killed by " #name })
#define KILLED_WITH_CORE(name) ((struct wanted){ DIED, (name) | 0x80, (name) | 0x80, 0xff, #name " and core" })
#define KILLED_WITHOUT_CORE(name) ((struct wanted){ DIED, name, name, 0xff, #name " without core" })
#define EXITED(code) ((struct wanted){ DIED, (code) << 8, (code) << 8, -1, "exit with " #code })
#define ENDED_ALONE ((struct wanted){ GONE, -1, -1, -1, "the end of this thread alone" })
#define ANY_END ((struct wanted){ ANY, LONG_MIN, LONG_MAX, -1, "any end in time" })

enum state { RETURNED, DIED, GONE, PENDING, ANY };
enum entry { NATIVE, INT80, VSYSCALL, RDTSC };	/* int $0x80; a call into the vsyscall page; the instruction */
struct outcome { enum state state; long value; };
struct wanted { enum state state; long low, high, mask; const char *name; };
struct spawn {
	unsigned long flags;	/* of clone() */
	unsigned long caps;
	int uid;
	int credentials;	/* take uid and caps from here */
	int dumpable;
	int quiet;		/* wait for orders without a system call */
	int bare;		/* make no call before the first order */
};
struct task {
	const char *name;
	unsigned int slot;
	int pid, tid;		/* of its process, and its own */
	int own_tid;		/* its own in its own pid namespace */
	int pidfd, nested, pending, dead;
	struct outcome end;
};

static struct task tasks[TASKS];
static char *program;	/* the path of this program */

#define MAYBE static __attribute__((unused))

MAYBE long mem(const struct task *task, unsigned long offset);
MAYBE void text(const struct task *task, unsigned long offset, const char *format, ...);
MAYBE void bytes(const struct task *task, unsigned long offset, const void *content, size_t length);
MAYBE void zero(const struct task *task, unsigned long offset, size_t length);
MAYBE void put32(const struct task *task, unsigned long offset, unsigned int value);
MAYBE void put64(const struct task *task, unsigned long offset, unsigned long value);
MAYBE long word32(const struct task *task, unsigned long offset);
MAYBE long word64(const struct task *task, unsigned long offset);
MAYBE void expect_bytes(int status, long place, const void *wanted, size_t length, const char *what, int line);
MAYBE void expect_other_bytes(int status, long place, const void *wrong, size_t length, const char *what, int line);
MAYBE void expect_number(int status, long place, int wanted, const char *what, int line);
MAYBE struct outcome signals_of(const struct task *task);
MAYBE long signal_of(const struct task *task, int index);
MAYBE void expect_not_logged(int status, const char *words, int line);
MAYBE int is(struct wanted wanted, struct outcome outcome);
MAYBE int in_time(double *end, const char *what, int line);
MAYBE const char *format(const char *how, ...);
MAYBE void spawn(struct task *task, struct task *parent, const char *name, struct spawn how);
MAYBE struct outcome do_call(struct task *task, enum entry entry, long number, const long *arguments);
MAYBE void begin_call(struct task *task, enum entry entry, long number, const long *arguments);
MAYBE struct outcome finish(struct task *task);
MAYBE struct outcome end_of(struct task *task);
MAYBE struct outcome copy(struct task *task, long to, long from, size_t length);
MAYBE struct outcome write_file(const char *path, const void *content, size_t length, int flags, int mode);
MAYBE void quiet(struct task *task);
MAYBE void on_signal(struct task *task, int set_result, long result);
MAYBE int blocks(struct task *task);
MAYBE void expect_blocked(int status, struct task *task, int wanted, const char *what, int line);
MAYBE void wait_for_state(int status, struct task *task, const char *letters, int line);
MAYBE void wait_for_log(int status, const char *words, int line);
MAYBE long checked(int status, struct wanted wanted, struct outcome outcome, const char *act, int line);
MAYBE __attribute__((noreturn)) void over(int status);
MAYBE void signal_handler(int signal, void *siginfo, void *context);
extern const char restorer[];
