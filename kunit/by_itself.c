// SPDX-License-Identifier: GPL-2.0
/*
 * What a cache does though nobody asks it to: no barrier, no shrink, no destroy.
 */
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/nodemask.h>

#include "gs_kunit.h"

#define GS_ITSELF_SIZE	512

/* Pages go back when many slabs have only free objects left, each time. */
static void gs_itself_trims(struct kunit *test)
{
	unsigned int nr = 8000, i, round;
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void **objs;

	c = gs_test_cache(test, "gs_itself", GS_ITSELF_SIZE, NULL,
			  gs_param_flags(test));
	for (round = 0; round < 2; round++) {
		objs = gs_test_objects(test, c, GS_ITSELF_SIZE, nr);
		stats = gs_test_stats(test, c);
		for (i = 0; i < nr; i++)
			gs_cache_free(c, objs[i]);
		KUNIT_EXPECT_TRUE(test,
				  gs_wait_until(gs_test_stats(test, c).slabs <
						stats.slabs / 2));
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static u64 gs_itself_empty_slabs(struct kunit *test, struct gs_cache *c)
{
	struct gs_cache_stats stats = gs_test_stats(test, c);

	return stats.objects - stats.live - stats.cached;
}

/*
 * Some stay for the next allocations: four of a node, and seven more may have
 * become empty since. There is one object in a slab.
 */
static void gs_itself_keeps(struct kunit *test)
{
	unsigned int nr = 160, size = 65536, i;
	struct gs_cache *c;
	void **objs;
	u64 kept;

	c = gs_test_cache(test, "gs_itself", size, NULL, 0);
	objs = gs_test_objects(test, c, size, nr);
	KUNIT_ASSERT_EQ(test, gs_test_stats(test, c).slabs,
			gs_test_stats(test, c).objects);
	for (i = 0; i < nr; i++)
		gs_cache_free(c, objs[i]);
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(gs_itself_empty_slabs(test, c) < 12));
	msleep(30);
	kept = gs_itself_empty_slabs(test, c);
	KUNIT_EXPECT_GE(test, kept, 4);
	KUNIT_EXPECT_LT(test, kept, 12 * num_online_nodes());
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/*
 * Not before the burst that left them empty may be over: the next one within
 * 10 ms finds them all. A round that takes longer tells nothing, and where
 * detectors are on, all of them may.
 */
static void gs_itself_burst(struct kunit *test)
{
	unsigned long end = jiffies + msecs_to_jiffies(2000);
	unsigned int nr = 4000, i;
	struct gs_cache *c;
	bool told = false;
	void **objs;

	c = gs_test_cache(test, "gs_itself", GS_ITSELF_SIZE, NULL, 0);
	objs = gs_test_objects(test, c, GS_ITSELF_SIZE, nr);
	while (!told && time_before(jiffies, end)) {
		u64 slabs = gs_test_stats(test, c).slabs, left;
		unsigned long begin;

		/* What an earlier round asked for finds all in use. */
		msleep(50);
		begin = jiffies;
		for (i = 0; i < nr; i++)
			gs_cache_free(c, objs[i]);
		/* For a worker that has been sent for. */
		usleep_range(200, 400);
		left = gs_test_stats(test, c).slabs;
		told = time_before(jiffies, begin + msecs_to_jiffies(10));
		if (told)
			KUNIT_EXPECT_EQ(test, left, slabs);
		for (i = 0; i < nr; i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		}
	}
	if (!told)
		kunit_info(test, "no round took less than 10 ms\n");
	for (i = 0; i < nr; i++)
		gs_cache_free(c, objs[i]);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

struct gs_itself {
	struct hrtimer timer;
	struct gs_cache *c;
};

static enum hrtimer_restart gs_itself_tick(struct hrtimer *timer)
{
	struct gs_itself *irq = container_of(timer, struct gs_itself, timer);
	u64 entered = ktime_get_ns();
	void *obj = gs_cache_alloc(irq->c, GS_GFP_ATOMIC);

	if (obj)
		gs_cache_free_rcu(irq->c, obj);
	return gs_hrtimer_again(timer, 100, entered);
}

static void gs_itself_end(void *data)
{
	struct gs_itself *irq = data;

	hrtimer_cancel(&irq->timer);
}

/*
 * Frees that an interrupt deferred in the middle of an operation come back, the
 * second time as well as the first.
 */
static void gs_itself_deferred(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_itself *irq;
	int round;

	irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, irq);
	gs_pin_self(test);
	irq->c = gs_test_cache(test, "gs_itself", GS_ITSELF_SIZE, NULL,
			       gs_param_flags(test));
	for (round = 1; round <= 4; round++) {
		unsigned long end = jiffies + msecs_to_jiffies(GS_WAIT_MS);

		hrtimer_setup(&irq->timer, gs_itself_tick, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_HARD);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, gs_itself_end,
							  irq));
		hrtimer_start(&irq->timer, us_to_ktime(100),
			      HRTIMER_MODE_REL_PINNED_HARD);
		do {
			int n;

			for (n = 0; n < 5000; n++)
				gs_cache_free(irq->c,
					      gs_cache_alloc(irq->c,
							     GFP_KERNEL));
			cond_resched();
			stats = gs_test_stats(test, irq->c);
		} while (stats.frees_bits < 10 * round &&
			 time_before(jiffies, end));
		kunit_release_action(test, gs_itself_end, irq);
		KUNIT_EXPECT_GE(test, stats.frees_bits, 10 * round);
		stats = gs_test_stats(test, irq->c);
		KUNIT_EXPECT_TRUE(test,
				  gs_wait_until(gs_test_stats(test, irq->c)
							.done == stats.queued));
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, irq->c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, irq->c), 0);
}

/*
 * What is sealed while a grace period is under way needs another one, and that
 * is waited for as well, though nothing more is freed.
 */
static void gs_itself_again(struct kunit *test)
{
	struct gs_cache *first, *second;
	struct gs_reader *reader;

	gs_need_reader(test);
	first = gs_test_cache(test, "gs_itself_1", GS_ITSELF_SIZE, NULL,
			      gs_param_flags(test));
	second = gs_test_cache(test, "gs_itself_2", GS_ITSELF_SIZE, NULL,
			       gs_param_flags(test));
	reader = gs_reader_hold(test, NULL, NULL);
	gs_list_free_rcu(first, gs_test_list(test, first, 3, NULL));
	/* Long enough for both to be sealed, one after the other. */
	fsleep(60 * USEC_PER_MSEC);
	gs_list_free_rcu(second, gs_test_list(test, second, 3, NULL));
	fsleep(60 * USEC_PER_MSEC);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	gs_reader_release(test, reader);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(!gs_test_pending(test, first) &&
					      !gs_test_pending(test, second)));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, second), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, first), 0);
}

static atomic_t gs_itself_dtors;

static void gs_itself_dtor(void *obj)
{
	atomic_inc(&gs_itself_dtors);
}

/* Freed with interrupts off, where nothing may be armed: armed later. */
static void gs_itself_irqs_off(struct kunit *test)
{
	const struct gs_cache_args args = { .rcu_dtor = gs_itself_dtor };
	unsigned long flags;
	struct gs_cache *c;
	void *objs[3];
	int i;

	c = gs_test_cache(test, "gs_itself", GS_ITSELF_SIZE, &args,
			  gs_param_flags(test));
	/* There are empty sheaves then: without one it takes another way. */
	gs_pin_self(test);
	gs_list_free_rcu(c, gs_test_list(test, c, 200, NULL));
	gs_cache_barrier(c);
	atomic_set(&gs_itself_dtors, 0);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
	}
	local_irq_save(flags);
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		gs_cache_free_rcu(c, objs[i]);
	local_irq_restore(flags);
	/* Not by its statistics: to be asked for those gets things done. */
	KUNIT_EXPECT_TRUE(test, gs_wait_until(atomic_read(&gs_itself_dtors) ==
					      ARRAY_SIZE(objs)));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_itself_cases[] = {
	KUNIT_CASE_PARAM(gs_itself_irqs_off, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_itself_again, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_itself_trims, gs_flags_gen_params),
	KUNIT_CASE(gs_itself_keeps),
	KUNIT_CASE(gs_itself_burst),
	KUNIT_CASE_PARAM(gs_itself_deferred, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_itself_suite = {
	.name = "gs_itself",
	.test_cases = gs_itself_cases,
};

kunit_test_suite(gs_itself_suite);
