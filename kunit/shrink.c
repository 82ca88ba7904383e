// SPDX-License-Identifier: GPL-2.0
/*
 * gs_cache_shrink() gives back the pages of what nobody uses, says how many
 * they were, and leaves everybody's objects alone.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "gs_kunit.h"

#define GS_SHRINK_SIZE	256

/* All free: slabs go. */
static void gs_shrink_all_free(struct kunit *test)
{
	struct gs_cache_stats before, after;
	unsigned int nr = 4000, pages, i;
	struct gs_cache *c;
	void **objs;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_shrink", GS_SHRINK_SIZE, NULL,
			  gs_param_flags(test));
	objs = gs_test_objects(test, c, GS_SHRINK_SIZE, nr);
	for (i = 0; i < nr; i++)
		gs_cache_free(c, objs[i]);
	before = gs_test_stats(test, c);
	KUNIT_EXPECT_GT(test, before.slabs, 0);
	pages = gs_cache_shrink(c);
	after = gs_test_stats(test, c);
	KUNIT_EXPECT_GT(test, pages, 0);
	KUNIT_EXPECT_LT(test, after.slabs, before.slabs);
	KUNIT_EXPECT_LT(test, after.objects, before.objects);
	KUNIT_EXPECT_EQ(test, after.live, 0);
	/* Nothing is left to give the second time. */
	KUNIT_EXPECT_EQ(test, gs_cache_shrink(c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).slabs, after.slabs);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/*
 * What it says is what went: with so few slabs that the cache does not give
 * any back by itself meanwhile.
 */
static void gs_shrink_counts(struct kunit *test)
{
	struct gs_cache_stats before, after;
	unsigned int nr = 100, pages, i;
	struct gs_cache *c;
	void **objs;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_shrink", GS_SHRINK_SIZE, NULL,
			  gs_param_flags(test));
	objs = gs_test_objects(test, c, GS_SHRINK_SIZE, nr);
	before = gs_test_stats(test, c);
	KUNIT_EXPECT_GT(test, before.slabs, 0);
	for (i = 0; i < nr; i++)
		gs_cache_free(c, objs[i]);
	pages = gs_cache_shrink(c);
	after = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, after.slabs, 0);
	/* At least a page a slab, and the same for each. */
	KUNIT_EXPECT_GE(test, pages, before.slabs);
	KUNIT_EXPECT_EQ(test, pages % before.slabs, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static unsigned int gs_shrink_held_pages(struct page **heads, unsigned int nr)
{
	unsigned int held = 0, i;

	for (i = 0; i < nr; i++)
		held += page_count(heads[i]) > 0;
	return held;
}

/* The pages are the system's again: nobody refers to them. */
static void gs_shrink_pages(struct kunit *test)
{
	unsigned int nr = 4000, i;
	struct page **heads;
	struct gs_cache *c;
	void **objs;

	c = gs_test_cache(test, "gs_shrink", GS_SHRINK_SIZE, NULL,
			  gs_param_flags(test));
	objs = gs_test_objects(test, c, GS_SHRINK_SIZE, nr);
	heads = gs_test_array(test, nr, sizeof(*heads));
	for (i = 0; i < nr; i++)
		heads[i] = virt_to_head_page(objs[i]);
	KUNIT_EXPECT_EQ(test, gs_shrink_held_pages(heads, nr), nr);
	for (i = 0; i < nr; i++)
		gs_cache_free(c, objs[i]);
	KUNIT_EXPECT_GT(test, gs_cache_shrink(c), 0);
	KUNIT_EXPECT_LT(test, gs_shrink_held_pages(heads, nr), nr / 2);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/*
 * Those too that the cache's own worker has in hand just now, which takes its
 * time where each object is looked at.
 */
static void gs_shrink_in_hand(struct kunit *test)
{
	unsigned int nr = 8000, round, i;
	struct page **heads;
	struct gs_cache *c;
	void **objs;

	c = gs_test_cache(test, "gs_shrink", GS_SHRINK_SIZE, NULL,
			  GS_CONSISTENCY | GS_POISON);
	objs = gs_test_objects(test, c, GS_SHRINK_SIZE, nr);
	heads = gs_test_array(test, nr, sizeof(*heads));
	for (round = 0; round < 5; round++) {
		unsigned long end = jiffies + HZ;
		u64 slabs = gs_test_stats(test, c).slabs;

		for (i = 0; i < nr; i++) {
			heads[i] = virt_to_head_page(objs[i]);
			gs_cache_free(c, objs[i]);
		}
		while (gs_test_stats(test, c).slabs == slabs &&
		       time_before(jiffies, end))
			usleep_range(50, 100);
		gs_cache_shrink(c);
		KUNIT_EXPECT_LT(test, gs_shrink_held_pages(heads, nr), nr / 10);
		for (i = 0; i < nr; i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		}
	}
	for (i = 0; i < nr; i++)
		gs_cache_free(c, objs[i]);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Some are in use, spread over the slabs, and stay as they are. */
static void gs_shrink_in_use(struct kunit *test)
{
	unsigned int nr = 3000, wrong = 0, i;
	struct gs_cache *c;
	void **objs;

	c = gs_test_cache(test, "gs_shrink", GS_SHRINK_SIZE, NULL,
			  gs_param_flags(test));
	objs = gs_test_objects(test, c, GS_SHRINK_SIZE, nr);
	for (i = 0; i < nr; i++)
		if (i < nr / 2 || i % 5)
			gs_cache_free(c, objs[i]);
	gs_cache_shrink(c);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, nr / 2 / 5);
	for (i = nr / 2; i < nr; i++) {
		if (i % 5)
			continue;
		wrong += !gs_filled(objs[i], GS_SHRINK_SIZE, i);
		gs_cache_free(c, objs[i]);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

struct gs_shrink_held {
	struct gs_cache *c;
	void **objs;
	unsigned int nr;
	unsigned int next;
	unsigned int wrong;
};

static void gs_shrink_poll(void *data)
{
	struct gs_shrink_held *held = data;
	unsigned int i = held->next++ % held->nr;

	if (!gs_filled(held->objs[i], GS_SHRINK_SIZE, i))
		held->wrong++;
}

/* What is pending is in use: a reader may hold it. */
static void gs_shrink_pending(struct kunit *test)
{
	struct gs_shrink_held held = { .nr = 500 };
	struct gs_reader *reader;
	struct page *dirt[64];
	unsigned int i, round;

	gs_need_reader(test);
	held.c = gs_test_cache(test, "gs_shrink", GS_SHRINK_SIZE, NULL,
			       gs_param_flags(test));
	held.objs = gs_test_objects(test, held.c, GS_SHRINK_SIZE, held.nr);
	reader = gs_reader_hold(test, gs_shrink_poll, &held);
	for (i = 0; i < held.nr; i++)
		gs_cache_free_rcu(held.c, held.objs[i]);
	for (round = 0; round < 5; round++) {
		gs_cache_shrink(held.c);
		for (i = 0; i < ARRAY_SIZE(dirt); i++) {
			dirt[i] = alloc_page(GFP_KERNEL);
			if (dirt[i])
				memset(page_address(dirt[i]), 0xa5, PAGE_SIZE);
		}
		fsleep(10 * USEC_PER_MSEC);
		for (i = 0; i < ARRAY_SIZE(dirt); i++)
			if (dirt[i])
				__free_page(dirt[i]);
	}
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, held.c), held.nr);
	gs_reader_release(test, reader);
	KUNIT_EXPECT_EQ(test, held.wrong, 0);
	KUNIT_EXPECT_GT(test, held.next, held.nr);
	gs_cache_barrier(held.c);
	KUNIT_EXPECT_GT(test, gs_cache_shrink(held.c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, held.c), 0);
}

static void gs_shrink_churn(void *data)
{
	struct gs_shrink_held *held = data;
	void *own[64] = {};

	while (!kthread_should_stop()) {
		unsigned int i = held->next++ % ARRAY_SIZE(own);

		if (own[i]) {
			if (!gs_filled(own[i], GS_SHRINK_SIZE, i))
				held->wrong++;
			if (held->next & 1)
				gs_cache_free(held->c, own[i]);
			else
				gs_cache_free_rcu(held->c, own[i]);
		}
		own[i] = gs_cache_alloc(held->c, GFP_KERNEL);
		if (own[i])
			gs_fill(own[i], GS_SHRINK_SIZE, i);
		cond_resched();
	}
	for (int i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i])
			gs_cache_free(held->c, own[i]);
}

/* Others use the cache all the while. */
static void gs_shrink_busy(struct kunit *test)
{
	struct gs_shrink_held *held;
	struct gs_thread *thread;
	int cpu, i;

	held = kunit_kzalloc(test, sizeof(*held), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, held);
	cpu = gs_pin_self(test);
	held->c = gs_test_cache(test, "gs_shrink", GS_SHRINK_SIZE, NULL,
				gs_param_flags(test));
	thread = gs_thread_run(test, gs_other_cpu(cpu), gs_shrink_churn, held);
	for (i = 0; i < 60; i++) {
		gs_list_free(held->c, gs_test_list(test, held->c, 200, NULL));
		gs_cache_shrink(held->c);
		usleep_range(500, 1000);
	}
	gs_thread_stop(test, thread);
	KUNIT_EXPECT_EQ(test, held->wrong, 0);
	KUNIT_EXPECT_GT(test, held->next, 1000);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, held->c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, held->c), 0);
}

static struct kunit_case gs_shrink_cases[] = {
	KUNIT_CASE_PARAM(gs_shrink_all_free, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_shrink_counts, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_shrink_pages, gs_flags_gen_params),
	KUNIT_CASE(gs_shrink_in_hand),
	KUNIT_CASE_PARAM(gs_shrink_in_use, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_shrink_pending, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_shrink_busy, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_shrink_suite = {
	.name = "gs_shrink",
	.test_cases = gs_shrink_cases,
};

kunit_test_suite(gs_shrink_suite);
