// SPDX-License-Identifier: GPL-2.0
/*
 * A barrier does not wait for grace periods to come by themselves, unless it
 * has just had one expedited, or the system has none expedited; and a CPU that
 * seals much does not wait for its next tick.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/rcupdate.h>
#include <linux/timer.h>

#include "gs_kunit.h"

#define GS_HURRY_TIMES	10
/* What lies between two of ours at least: expedite_ms as it comes, and some. */
#define GS_HURRY_MS	120

/*
 * The grace period which is the first to be over for what is unlinked now: of
 * those that are not expedited, or of those that are.
 */
static unsigned long gs_hurry_first(bool expedited)
{
	unsigned long cookie[2] = {};

	get_state_synchronize_rcu_full((void *)cookie);
	return cookie[expedited];
}

static unsigned long gs_hurry_period(void)
{
	return gs_hurry_first(false);
}

/* Whether somebody is through before it, whose wait nobody else has hurried. */
static bool gs_hurry_before(void (*wait)(struct gs_cache *c), struct gs_cache *c)
{
	unsigned long period;
	void *obj;
	bool before;

	msleep(GS_HURRY_MS);
	obj = gs_cache_alloc(c, GFP_KERNEL);
	if (!obj)
		return false;
	gs_cache_free_rcu(c, obj);
	period = gs_hurry_period();
	wait(c);
	before = gs_hurry_period() == period;
	gs_cache_barrier(c);
	return before;
}

/* Whether that is seen in some attempts; one more may end while others work. */
static bool gs_hurry_once(void (*wait)(struct gs_cache *c), struct gs_cache *c)
{
	int i;

	for (i = 0; i < GS_HURRY_TIMES; i++)
		if (gs_hurry_before(wait, c))
			return true;
	return false;
}

static void gs_hurry_control(struct gs_cache *c)
{
	synchronize_rcu_expedited();
}

static void gs_hurry_by_itself(struct gs_cache *c)
{
	synchronize_rcu();
}

static void gs_hurry_all(struct gs_cache *c)
{
	gs_barrier();
}

static const struct gs_hurry_param {
	const char *name;
	void (*wait)(struct gs_cache *c);
} gs_hurry_params[] = {
	{ "cache", gs_cache_barrier },
	{ "all", gs_hurry_all },
};

KUNIT_ARRAY_PARAM_DESC(gs_hurry, gs_hurry_params, name);

static void gs_hurry_barrier(struct kunit *test)
{
	const struct gs_hurry_param *param = test->param_value;
	struct gs_cache *c;

	if (IS_ENABLED(CONFIG_TINY_RCU))
		kunit_skip(test, "grace periods take no time");
	c = gs_test_cache(test, "gs_hurry", 64, NULL, 0);
	if (!gs_hurry_once(gs_hurry_control, c))
		kunit_skip(test, "no grace period is expedited here");
	/* Who waits for one that comes by itself is never before its end. */
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_hurry_before(param->wait, c)));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* One right after the other: at most one in expedite_ms is. */
static void gs_hurry_seldom(struct kunit *test)
{
	int i, before = 0;
	struct gs_cache *c;
	ktime_t begin;

	if (IS_ENABLED(CONFIG_TINY_RCU))
		kunit_skip(test, "grace periods take no time");
	c = gs_test_cache(test, "gs_hurry", 64, NULL, 0);
	if (gs_hurry_once(gs_hurry_by_itself, c))
		kunit_skip(test, "each grace period is expedited here");
	begin = ktime_get();
	for (i = 0; i < GS_HURRY_TIMES; i++) {
		unsigned long period;
		void *obj = gs_cache_alloc(c, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, obj);
		gs_cache_free_rcu(c, obj);
		period = gs_hurry_period();
		gs_cache_barrier(c);
		before += gs_hurry_period() == period;
	}
	KUNIT_EXPECT_LE(test, before,
			2 + ktime_ms_delta(ktime_get(), begin) / 100);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* As expedite_batches comes, and some. */
#define GS_HURRY_BATCHES	375
#define GS_HURRY_OBJECTS	2

/* Ticks of the CPU that is pinned, each when its timers run. */
static struct timer_list gs_hurry_timer;
static unsigned long gs_hurry_ticks;

static void gs_hurry_tick(struct timer_list *timer)
{
	WRITE_ONCE(gs_hurry_ticks, gs_hurry_ticks + 1);
	mod_timer(timer, jiffies);
}

/*
 * Seals many batches after a tick, and looks whether one is expedited well
 * before the next one; *@in_time is set if the batches were done soon enough.
 */
static bool gs_hurry_between(struct kunit *test, struct gs_cache *c,
			     bool *in_time)
{
	struct gs_node *list = gs_test_list(test, c,
					    GS_HURRY_BATCHES * GS_HURRY_OBJECTS,
					    NULL);
	unsigned long expedited, tick;
	u64 now, into, end;
	bool before = false;

	timer_setup(&gs_hurry_timer, gs_hurry_tick, TIMER_PINNED);
	mod_timer(&gs_hurry_timer, jiffies);
	tick = READ_ONCE(gs_hurry_ticks);
	while (READ_ONCE(gs_hurry_ticks) == tick)
		cond_resched();
	/*
	 * What is open has its CPU look before a tick in any case. Ticks come
	 * at multiples of their length.
	 */
	now = ktime_get_ns();
	div64_u64_rem(now, TICK_NSEC, &into);
	end = now - into + TICK_NSEC * 7 / 8;
	expedited = gs_hurry_first(true);
	gs_list_free_rcu(c, list);
	/* One that took longer tells nothing. */
	*in_time |= ktime_get_ns() < end - TICK_NSEC * 3 / 8;
	while (ktime_get_ns() < end && !before) {
		cond_resched();
		before = gs_hurry_first(true) != expedited &&
			 ktime_get_ns() < end;
	}
	timer_delete_sync(&gs_hurry_timer);
	gs_cache_barrier(c);
	msleep(GS_HURRY_MS);
	return before;
}

/* Who seals very much at once does not wait for a tick to have it expedited. */
static void gs_hurry_many(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.sheaf_capacity = GS_HURRY_OBJECTS
	};
	bool in_time = false, before;
	struct gs_cache *c;

	if (IS_ENABLED(CONFIG_TINY_RCU))
		kunit_skip(test, "grace periods take no time");
	c = gs_test_cache(test, "gs_hurry", 64, &args, 0);
	if (!gs_hurry_once(gs_hurry_control, c))
		kunit_skip(test, "no grace period is expedited here");
	gs_pin_self(test);
	before = gs_wait_until(gs_hurry_between(test, c, &in_time));
	if (!before && !in_time)
		kunit_skip(test, "a tick is too short for it here");
	KUNIT_EXPECT_TRUE(test, before);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_hurry_cases[] = {
	KUNIT_CASE(gs_hurry_many),
	KUNIT_CASE_PARAM(gs_hurry_barrier, gs_hurry_gen_params),
	KUNIT_CASE(gs_hurry_seldom),
	{ /* sentinel */ },
};

static struct kunit_suite gs_hurry_suite = {
	.name = "gs_hurry",
	.test_cases = gs_hurry_cases,
};

kunit_test_suite(gs_hurry_suite);
