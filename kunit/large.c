// SPDX-License-Identifier: GPL-2.0
/*
 * Objects that have a slab each: the slab goes and comes with every free, and
 * whoever looks for empty ones must not take one that an interrupt has just had.
 */
#include <linux/hrtimer.h>
#include <linux/kthread.h>

#include "gs_kunit.h"

#define GS_LARGE_SIZE	20000
#define GS_LARGE_FILLED 64
#define GS_LARGE_HELD	4

struct gs_large {
	struct gs_cache *c;
	struct hrtimer timer;
	struct gs_thread *user;
	void *held[GS_LARGE_HELD];
	unsigned int key;
	unsigned int nr, wrong;
};

/* One at a time is freed and another one had: by the bits, where a section is open. */
static enum hrtimer_restart gs_large_tick(struct hrtimer *timer)
{
	struct gs_large *irq = container_of(timer, struct gs_large, timer);
	unsigned int i = irq->key % GS_LARGE_HELD;
	u64 entered = ktime_get_ns();

	if (irq->held[i]) {
		irq->wrong += !gs_filled(irq->held[i], GS_LARGE_FILLED,
					 irq->key - GS_LARGE_HELD);
		gs_cache_free(irq->c, irq->held[i]);
	}
	irq->held[i] = gs_cache_alloc(irq->c, __GFP_NOWARN);
	if (irq->held[i]) {
		gs_fill(irq->held[i], GS_LARGE_FILLED, irq->key);
		WRITE_ONCE(irq->nr, irq->nr + 1);
	}
	irq->key++;
	return gs_hrtimer_again(timer, 30, entered);
}

/* On the CPU whose sections the interrupts are to meet. */
static void gs_large_use(void *data)
{
	struct gs_large *irq = data;
	void *mine[GS_LARGE_HELD];
	unsigned int i;

	hrtimer_start(&irq->timer, us_to_ktime(30),
		      HRTIMER_MODE_REL_PINNED_HARD);
	while (!kthread_should_stop()) {
		for (i = 0; i < ARRAY_SIZE(mine); i++) {
			mine[i] = gs_cache_alloc(irq->c, GFP_KERNEL);
			if (mine[i])
				gs_fill(mine[i], GS_LARGE_FILLED, ~0U);
		}
		for (i = 0; i < ARRAY_SIZE(mine); i++)
			gs_cache_free(irq->c, mine[i]);
		cond_resched();
	}
	hrtimer_cancel(&irq->timer);
}

static void gs_large_shrink(struct kunit *test)
{
	/* As long as it takes to hit something; then not for long. */
	unsigned long enough = jiffies + msecs_to_jiffies(1000);
	unsigned long end = jiffies + msecs_to_jiffies(GS_WAIT_MS);
	struct gs_cache_args args = { .sheaf_capacity = 2 };
	struct gs_cache_stats stats;
	struct gs_large *irq;
	unsigned int i;
	int cpu;

	cpu = gs_other_cpu(gs_pin_self(test));
	if (cpu == raw_smp_processor_id())
		kunit_skip(test, "one CPU");
	irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, irq);
	irq->c = gs_test_cache(test, "gs_large", GS_LARGE_SIZE, &args, 0);
	hrtimer_setup(&irq->timer, gs_large_tick, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	irq->user = gs_thread_run(test, cpu, gs_large_use, irq);
	do {
		for (i = 0; i < 200; i++)
			gs_cache_shrink(irq->c);
		cond_resched();
		stats = gs_test_stats(test, irq->c);
	} while (time_before(jiffies, stats.frees_bits ? enough : end));
	gs_thread_stop(test, irq->user);

	KUNIT_EXPECT_GT_MSG(test, stats.frees_bits, 0,
			    "%u interrupts never hit an operation", irq->nr);
	KUNIT_EXPECT_EQ(test, irq->wrong, 0);
	for (i = 0; i < GS_LARGE_HELD; i++)
		gs_cache_free(irq->c, irq->held[i]);
	gs_cache_shrink(irq->c);
	stats = gs_test_stats(test, irq->c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, stats.slabs, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, irq->c), 0);
}

static struct kunit_case gs_large_cases[] = {
	KUNIT_CASE(gs_large_shrink), {} };

static struct kunit_suite gs_large_suite = {
	.name = "gs_large",
	.test_cases = gs_large_cases,
};

kunit_test_suite(gs_large_suite);
