// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A meeting of several plans: they continue at the same time, each after a moment of its own, and the guest counts
 * the outcomes of the rounds.
 *
 * A plan that waits first polls, then yields, because a guest may have fewer processors than plans, and then sleeps,
 * because the host may have fewer, too. A task that sleeps wakes up much later than the others continue, so before
 * they act, all poll until all are awake.
 */

#include <linux/futex.h>
#include <linux/types.h>
#include <linux/unistd.h>

#include "sys.h"
#include "task.h"

#define POLLS 1000
#define YIELDS 20

/* Wait for a random time of any magnitude, so that plans that continue together differ by little or by much. */
static void wait_a_moment(const struct wire_meeting *meeting, __u32 longest, __u32 met, unsigned int salt)
{
	__u64 x = meeting->seed + met * 0x9e3779b97f4a7c15ULL + salt * 0xd1b54a32d192ed03ULL;
	__u32 bits, turns;

	/* Mix, as splitmix64 does. */
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	x ^= x >> 31;
	/* Without a division, for which some processors need a library. */
	bits = (x >> 32) * ((longest & 31) + 1) >> 32;
	turns = (__u32)x & ((1U << bits) - 1);
	for (__u32 i = 0; i < turns; i++)
		__asm__ volatile("");
}

static __s64 watched_result(const struct wire_watch *watch)
{
	struct slot *slot = slot_at(watch->slot % SLOT_COUNT);
	__s64 value = slot->run.value[watch->place % PLAN_STEPS];
	__u32 word;

	switch (watch->kind) {
	case WATCH_ERROR:
		return value >= 0 ? 0 : value;
	case WATCH_SIGN:
		return value > 0 ? 1 : value;
	case WATCH_WORD:
		memcpy(&word, slot_data(slot) + watch->place % (SLOT_DATA_SIZE - sizeof(word)), sizeof(word));
		return word;
	}
	return value;
}

static int is_same(const __s64 *one, const __s64 *other)
{
	for (int i = 0; i < MEETING_WATCHED; i++)
		if (one[i] != other[i])
			return 0;
	return 1;
}

static void tally(struct wire_meeting *meeting)
{
	struct wire_outcome *outcome = meeting->outcomes, *end = outcome + MEETING_OUTCOMES;
	__s64 results[MEETING_WATCHED] = { 0 };

	for (__u32 i = 0; i < meeting->watched && i < MEETING_WATCHED; i++)
		results[i] = watched_result(&meeting->watch[i]);
	while (outcome < end && outcome->count && !is_same(outcome->results, results))
		outcome++;
	if (outcome == end) {
		meeting->lost++;
	} else {
		if (!outcome->count++)
			outcome->first = meeting->rounds;
		memcpy(outcome->results, results, sizeof(results));
	}
	meeting->rounds++;
	meeting->overlaps += meeting->overlap;
	meeting->overlap = 0;
	/* A plan that died in its act has not ended it. */
	meeting->acting = 0;
}

/* Poll for a while, then let others run. 0, or -errno if the task may not. */
static long pause_between_polls(unsigned int *polls)
{
	if ((*polls)++ < POLLS) {
		arch_relax();
		return 0;
	}
	return sys1(__NR_sched_yield, 0);
}

static long wait_for_others(struct wire_gate *gate, __u32 met)
{
	unsigned int polls = 0;

	while (__atomic_load_n(&gate->met, __ATOMIC_ACQUIRE) == met) {
		long error = pause_between_polls(&polls);

		if (error < 0)
			return error;
		if (polls < POLLS + YIELDS)
			continue;
		/* Either the last to arrive sees that this one is asleep, or the kernel sees that they have met. */
		__atomic_add_fetch(&gate->asleep, 1, __ATOMIC_SEQ_CST);
		sys4(NR_FUTEX, &gate->met, FUTEX_WAIT, met, NULL);
		__atomic_sub_fetch(&gate->asleep, 1, __ATOMIC_SEQ_CST);
	}
	return 0;
}

static void let_go(struct wire_gate *gate, __u32 met)
{
	gate->arrived = 0;
	__atomic_store_n(&gate->met, met + 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&gate->asleep, __ATOMIC_SEQ_CST))
		sys3(NR_FUTEX, &gate->met, FUTEX_WAKE, 0x7fffffff);
}

static long wait_until_awake(struct wire_gate *gate, __u32 all)
{
	unsigned int polls = 0;
	long error = 0;

	__atomic_add_fetch(&gate->awake, 1, __ATOMIC_ACQ_REL);
	while (error >= 0 && (__s32)(__atomic_load_n(&gate->awake, __ATOMIC_ACQUIRE) - all) < 0)
		error = pause_between_polls(&polls);
	return error;
}

static void begin_act(struct wire_meeting *meeting, struct plan_run *run, unsigned int place)
{
	run->acting = 1 + place;
	if (__atomic_fetch_add(&meeting->acting, 1, __ATOMIC_ACQ_REL))
		__atomic_store_n(&meeting->overlap, 1, __ATOMIC_RELAXED);
}

void end_act(struct plan_run *run)
{
	if (run->acting)
		__atomic_fetch_sub(&slot_meeting(slot_at((run->acting - 1) % SLOT_COUNT))->acting, 1, __ATOMIC_ACQ_REL);
	run->acting = 0;
}

long meet(struct slot *slot, const struct wire_plan_step *step)
{
	struct wire_meeting *meeting = slot_meeting(slot_at(step->number));
	unsigned int number = step->arguments[1] % MEETING_GATES;
	struct wire_gate *gate = &meeting->gates[number];
	__u32 met = __atomic_load_n(&gate->met, __ATOMIC_ACQUIRE);
	long error = 0;

	if (__atomic_add_fetch(&gate->arrived, 1, __ATOMIC_ACQ_REL) >= step->arguments[0]) {
		if (step->kind == STEP_TALLY)
			tally(meeting);
		let_go(gate, met);
	} else {
		error = wait_for_others(gate, met);
	}
	if (!error && step->kind == STEP_GO)
		error = wait_until_awake(gate, (met + 1) * (__u32)step->arguments[0]);
	if (!error && step->kind == STEP_GO) {
		__u32 longest = meeting->longest < step->arguments[2] ? meeting->longest : step->arguments[2];

		wait_a_moment(meeting, longest, met, number * SLOT_COUNT + slot_index((unsigned long)slot));
		begin_act(meeting, &slot->run, step->number);
	}
	return error;
}
