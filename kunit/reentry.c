// SPDX-License-Identifier: GPL-2.0
/*
 * What an interrupt gets in the middle of somebody else's operation is an
 * object like any other: counted, apart from all others, and it comes back.
 */
#include <linux/hrtimer.h>

#include "gs_kunit.h"

#define GS_REENTRY_SIZE		96
#define GS_REENTRY_NR		6000

struct gs_reentry {
	struct hrtimer timer;
	struct gs_cache *c;
	void **objs;
	unsigned int nr;
	void *last;
};

static enum hrtimer_restart gs_reentry_tick(struct hrtimer *timer)
{
	struct gs_reentry *irq = container_of(timer, struct gs_reentry, timer);
	u64 entered = ktime_get_ns();
	void *obj;

	/*
	 * That it met an operation is seen by how this one is freed. It is of
	 * the time before, as there may be none to be had in an operation.
	 */
	if (irq->last)
		gs_cache_free(irq->c, irq->last);
	irq->last = gs_cache_alloc(irq->c, GS_GFP_ATOMIC);
	if (irq->nr < GS_REENTRY_NR) {
		obj = gs_cache_alloc(irq->c, GS_GFP_ATOMIC);
		if (obj) {
			gs_fill(obj, GS_REENTRY_SIZE, irq->nr);
			irq->objs[irq->nr] = obj;
			WRITE_ONCE(irq->nr, irq->nr + 1);
		}
	}
	return gs_hrtimer_again(timer, 100, entered);
}

static void gs_reentry_end(void *data)
{
	struct gs_reentry *irq = data;

	hrtimer_cancel(&irq->timer);
}

static void gs_reentry_counted(struct kunit *test)
{
	/* Locks keep interrupts off: a slow kernel is hit less often. */
	unsigned long end = jiffies + msecs_to_jiffies(3 * GS_WAIT_MS);
	/*
	 * Where each stack is kept, or KASAN told, an operation is hardly ever
	 * in its section.
	 */
	const bool slow = IS_ENABLED(CONFIG_KASAN) ||
			  gs_param_flags(test) & GS_STORE_USER;
	const u64 hits = slow ? 3 : 50;
	unsigned int i, n, wrong = 0;
	struct gs_cache_stats stats;
	struct gs_reentry *irq;
	void *mine[70];

	irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, irq);
	gs_pin_self(test);
	irq->objs = gs_test_array(test, GS_REENTRY_NR, sizeof(*irq->objs));
	irq->c = gs_test_cache(test, "gs_reentry", GS_REENTRY_SIZE, NULL,
			       gs_param_flags(test));
	hrtimer_setup(&irq->timer, gs_reentry_tick, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_reentry_end, irq));
	hrtimer_start(&irq->timer, us_to_ktime(100),
		      HRTIMER_MODE_REL_PINNED_HARD);
	do {
		for (n = 0; n < 200; n++) {
			/* More than a sheaf: slabs are looked for, and locked. */
			for (i = 0; i < ARRAY_SIZE(mine); i++)
				mine[i] = gs_cache_alloc(irq->c, GFP_KERNEL);
			for (i = 0; i < ARRAY_SIZE(mine); i++)
				if (mine[i])
					gs_cache_free(irq->c, mine[i]);
		}
		cond_resched();
		stats = gs_test_stats(test, irq->c);
	} while ((stats.frees_bits < hits || READ_ONCE(irq->nr) < 500) &&
		 time_before(jiffies, end));
	kunit_release_action(test, gs_reentry_end, irq);
	KUNIT_EXPECT_GE_MSG(test, stats.frees_bits, hits,
			    "%u interrupts never hit an operation", irq->nr);
	if (irq->last)
		gs_cache_free(irq->c, irq->last);

	stats = gs_test_stats(test, irq->c);
	KUNIT_EXPECT_EQ(test, stats.live, irq->nr);
	for (i = 0; i < irq->nr; i++) {
		wrong += !gs_filled(irq->objs[i], GS_REENTRY_SIZE, i);
		gs_cache_free(irq->c, irq->objs[i]);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	gs_cache_shrink(irq->c);
	stats = gs_test_stats(test, irq->c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, stats.objects, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, irq->c), 0);
}

static struct kunit_case gs_reentry_cases[] = {
	KUNIT_CASE_PARAM(gs_reentry_counted, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_reentry_suite = {
	.name = "gs_reentry",
	.test_cases = gs_reentry_cases,
};

kunit_test_suite(gs_reentry_suite);
