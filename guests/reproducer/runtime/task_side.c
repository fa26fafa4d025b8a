// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From here on: how tasks are made and told what to do. Tasks only make raw system calls, because libc does not know
 * of them. They wait for orders in shared memory.
 */

#define ARENA 0x10000000UL	/* below 4 GiB, so that a 32-bit call can point into it */
#define SLOT 0x20000UL
#define DATA 0x2000UL
#define FD_ARENA 1000	/* high, so that tasks find the lowest numbers free */
#define FD_COMMON 1001	/* a descriptor that every task has */
#define FD_OUTPUT 900
#define DEADLINE_S 20

enum order { ORDER_CALL, ORDER_SPAWN, ORDER_COPY };

struct shared {
	unsigned int ordered, done, quiet, polling;	/* the task waits until `ordered` differs from `done` */
	enum order order;
	enum entry entry;
	long number, arguments[6], value;
	struct spawn spawn;
	char name[16];
	unsigned int child;
	int tid, parent_view;	/* the kernel clears `tid` when a thread ends */
	int ready, error;
	unsigned int caught, set_result;
	long result;
	struct { unsigned char siginfo[128], context[256]; } records[8];
};

static char *title;
static size_t title_size;
static int kernel_log = -1;
static int guard = -1;		/* a process that ends the tasks if this program is killed */
static char logged[1 << 20];
static struct { char path[256], content[256]; } sysctls[32];
static int sysctl_count;

static struct shared *shared(const struct task *task)
{
	return (struct shared *)(ARENA + task->slot * SLOT);
}

/* The side of the tasks */

static inline long raw(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

long int80(long number, const long *arguments);

static long raw_by(enum entry entry, long number, const long *a)
{
	unsigned int low, high;

	switch (entry) {
	case INT80:
		low = int80(number, a);
		return low >= -4095U ? (int)low : (long)low;
	case VSYSCALL:
		return ((long (*)(long, long, long))number)(a[0], a[1], a[2]);
	case RDTSC:
		__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
		return (long)high << 32 | low;
	default:
		return raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}

long clone_on(unsigned long flags, void *stack, int *parent_tid, int *child_tid, void (*function)(void *), void *arg);
void switch_stack(void *stack, void (*function)(void *), void *arg) __attribute__((noreturn));

__asm__(".text\n"
	"clone_on:\n"
	"	and $-16, %rsi\n"
	"	sub $16, %rsi\n"
	"	mov %r8, (%rsi)\n"
	"	mov %r9, 8(%rsi)\n"
	"	mov %rcx, %r10\n"
	"	xor %r8d, %r8d\n"
	"	mov $56, %eax\n"	/* clone */
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jnz 1f\n"
	"	xor %ebp, %ebp\n"
	"	pop %rax\n"
	"	pop %rdi\n"
	"	call *%rax\n"
	"	hlt\n"
	"1:	ret\n"
	"switch_stack:\n"
	"	mov %rdi, %rsp\n"
	"	and $-16, %rsp\n"
	"	mov %rdx, %rdi\n"
	"	call *%rsi\n"
	"	hlt\n"
	"int80:\n"
	"	push %rbx\n"
	"	push %rbp\n"
	"	mov %rdi, %rax\n"
	"	mov (%rsi), %rbx\n"
	"	mov 8(%rsi), %rcx\n"
	"	mov 16(%rsi), %rdx\n"
	"	mov 32(%rsi), %rdi\n"
	"	mov 40(%rsi), %rbp\n"
	"	mov 24(%rsi), %rsi\n"
	"	int $0x80\n"
	"	pop %rbp\n"
	"	pop %rbx\n"
	"	ret\n"
	"	.globl restorer\n"
	"restorer:\n"
	"	mov $15, %eax\n"	/* rt_sigreturn */
	"	syscall\n");

static void *stack_of(struct shared *me)
{
	return (char *)me + SLOT;
}

static void task_main(void *me);

static void become(void *argument)
{
	struct shared *me = argument;
	struct spawn *how = &me->spawn;
	struct { unsigned int version; int pid; } header = { 0x20080522, 0 };
	unsigned int caps[6] = { how->caps, how->caps, 0, how->caps >> 32, how->caps >> 32, 0 };
	long error = 0;

	/* The kernel quotes the command line in its log. */
	for (size_t i = 0; i < title_size && !(how->flags & CLONE_VM); i++)
		((volatile char *)title)[i] = i < sizeof(me->name) ? me->name[i] : 0;
	if (!how->bare) {
		raw(SYS_close_range, 3, FD_ARENA - 1, 0, 0, 0, 0);
		raw(SYS_prctl, PR_SET_NAME, (long)me->name, 0, 0, 0, 0);
		if (how->credentials) {
			error |= raw(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0, 0);
			error |= raw(SYS_setgroups, 0, 0, 0, 0, 0, 0);
			error |= raw(SYS_setresgid, how->uid, how->uid, how->uid, 0, 0, 0);
			error |= raw(SYS_setresuid, how->uid, how->uid, how->uid, 0, 0, 0);
			error |= raw(SYS_capset, (long)&header, (long)caps, 0, 0, 0, 0);
			error |= raw(SYS_prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0, 0);
		}
		if (how->dumpable)
			error |= raw(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0, 0);
	}
	me->error = error;
	__atomic_store_n(&me->ready, 1, __ATOMIC_RELEASE);
	task_main(me);
}

static long make_child(struct shared *me)
{
	struct shared *child = (struct shared *)(ARENA + me->child * SLOT);
	unsigned long flags = child->spawn.flags | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;

	if (!(flags & CLONE_THREAD))
		flags |= SIGCHLD;
	return clone_on(flags, stack_of(child), &child->parent_view, &child->tid, become, child);
}

static void task_main(void *argument)
{
	struct shared *me = argument;

	for (;;) {
		while (__atomic_load_n(&me->ordered, __ATOMIC_ACQUIRE) == me->done) {
			if (__atomic_load_n(&me->quiet, __ATOMIC_ACQUIRE)) {
				__atomic_store_n(&me->polling, 1, __ATOMIC_RELEASE);
				__builtin_ia32_pause();
			} else {
				raw(SYS_futex, (long)&me->ordered, FUTEX_WAIT, me->done, 0, 0, 0);
			}
		}
		if (me->order == ORDER_CALL)
			me->value = raw_by(me->entry, me->number, me->arguments);
		else if (me->order == ORDER_SPAWN)
			me->value = make_child(me);
		else {
			for (long i = 0; i < me->arguments[2]; i++)
				((volatile char *)me->arguments[0])[i] = ((volatile char *)me->arguments[1])[i];
			me->value = 0;
		}
		__atomic_store_n(&me->done, me->ordered, __ATOMIC_RELEASE);
	}
}

static void signal_handler(int signal, void *siginfo, void *context)
{
	unsigned long stack = (unsigned long)__builtin_frame_address(0);
	struct shared *me = (struct shared *)(stack & ~(SLOT - 1));
	unsigned char *registers = (unsigned char *)context + 40;	/* uc_mcontext */
	int place = me->caught % 8;

	(void)signal;
	for (int i = 0; i < 128; i++)
		me->records[place].siginfo[i] = ((volatile unsigned char *)siginfo)[i];
	for (int i = 0; i < 256; i++)
		me->records[place].context[i] = ((volatile unsigned char *)registers)[i];
	if (me->set_result)
		((long *)registers)[13] = me->result;	/* rax */
	__atomic_store_n(&me->caught, me->caught + 1, __ATOMIC_RELEASE);
}
