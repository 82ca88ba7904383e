// SPDX-License-Identifier: GPL-2.0
/*
 * A published vector may be replaced in an interrupt that has met another
 * writer of the same one on its CPU: the two words stay a pair, and nobody waits
 * for ever. The Rust interface comes down to the function that is called here.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>

#include "gs_kunit.h"

#define GS_LATCH_MS	200
#define GS_LATCH_HITS	100

/* As large as the latch of rust/own/latch.rs, which is all zero when new. */
struct gs_latch {
	unsigned long words[5];
};

void gs_latch_replace(const struct gs_latch *latch, unsigned long words[2]);

struct gs_latch_irq {
	struct hrtimer timer;
	struct gs_latch latch;
	unsigned long next;
	unsigned int hits;
	unsigned int torn;
};

static bool gs_latch_next(struct gs_latch_irq *irq, unsigned long n)
{
	unsigned long words[2] = { n, ~n };

	gs_latch_replace(&irq->latch, words);
	return words[0] == ~words[1] || (!words[0] && !words[1]);
}

static enum hrtimer_restart gs_latch_tick(struct hrtimer *timer)
{
	struct gs_latch_irq *irq = container_of(timer, struct gs_latch_irq,
						timer);
	u64 entered = ktime_get_ns();

	irq->hits++;
	if (!gs_latch_next(irq, ++irq->next * 2 + 1))
		irq->torn++;
	return gs_hrtimer_again(timer, 20, entered);
}

static void gs_latch_end(void *data)
{
	struct gs_latch_irq *irq = data;

	hrtimer_cancel(&irq->timer);
}

static void gs_latch_interrupted(struct kunit *test)
{
	unsigned long n = 0, torn = 0;
	struct gs_latch_irq *irq;
	u64 end, limit;

	irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, irq);
	gs_pin_self(test);
	hrtimer_setup(&irq->timer, gs_latch_tick, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_latch_end, irq));
	hrtimer_start(&irq->timer, us_to_ktime(20),
		      HRTIMER_MODE_REL_PINNED_HARD);

	end = ktime_get_ns() + GS_LATCH_MS * NSEC_PER_MSEC;
	limit = ktime_get_ns() + 20ULL * NSEC_PER_SEC;
	while (ktime_get_ns() < end || (READ_ONCE(irq->hits) < GS_LATCH_HITS &&
					ktime_get_ns() < limit)) {
		int i;

		for (i = 0; i < 1000; i++)
			torn += !gs_latch_next(irq, ++n * 2);
		cond_resched();
	}
	kunit_release_action(test, gs_latch_end, irq);
	KUNIT_EXPECT_GE(test, irq->hits, GS_LATCH_HITS);
	KUNIT_EXPECT_EQ(test, irq->torn, 0);
	KUNIT_EXPECT_EQ(test, torn, 0);
}

static struct kunit_case gs_latch_cases[] = {
	KUNIT_CASE(gs_latch_interrupted),
	{ /* sentinel */ },
};

static struct kunit_suite gs_latch_suite = {
	.name = "gs_latch",
	.test_cases = gs_latch_cases,
};

kunit_test_suite(gs_latch_suite);
