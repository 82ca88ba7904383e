// SPDX-License-Identifier: GPL-2.0
/*
 * Frees to a cache that was destroyed, one after the other: the cache is looked
 * at again for each that is not deferred, and those that are deferred are not
 * over before their readers are gone.
 */
#include "gs_kunit.h"

#define GS_LATE_NR	4

static atomic_t gs_late_dtors;

static void gs_late_dtor(void *obj)
{
	atomic_inc(&gs_late_dtors);
}

static void gs_late_readers(struct kunit *test)
{
	const struct gs_cache_args args = { .rcu_dtor = gs_late_dtor };
	unsigned int zombies = gs_cache_zombies();
	void *objs[GS_LATE_NR];
	struct gs_reader *reader;
	struct gs_cache *c;
	int i, early = 0;

	gs_need_reader(test);
	atomic_set(&gs_late_dtors, 0);
	c = gs_test_cache(test, "gs_late", 64, &args, gs_param_flags(test));
	for (i = 0; i < GS_LATE_NR; i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
	}
	KUNIT_ASSERT_EQ(test, gs_test_destroy(test, c), -EBUSY);
	reader = gs_reader_hold(test, NULL, NULL);
	for (i = 0; i < GS_LATE_NR; i++) {
		if (i & 1)
			gs_cache_free(c, objs[i]);
		else
			gs_cache_free_rcu(c, objs[i]);
		/* Time enough for the worker to see each by itself. */
		fsleep(30 * USEC_PER_MSEC);
		if (gs_reader_inside(reader))
			early += atomic_read(&gs_late_dtors);
	}
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	KUNIT_EXPECT_EQ(test, early, 0);
	gs_reader_release(test, reader);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_late_dtors), GS_LATE_NR / 2);
}

/* The handle of a leaky cache is good for freeing what is left, and no more. */
static void gs_late_handle(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache_stats stats;
	struct gs_cache *c;
	struct gs_log log;
	void *obj;

	c = gs_test_cache(test, "gs_late", 64, NULL, gs_param_flags(test));
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	KUNIT_ASSERT_EQ(test, gs_test_destroy(test, c), -EBUSY);

	GS_EXPECT_SPLAT_BEGIN("is no live cache");
	gs_log_mark(&log);
	gs_cache_barrier(c);
	KUNIT_EXPECT_EQ(test, gs_cache_shrink(c), 0);
	KUNIT_EXPECT_EQ(test, gs_cache_stats(c, &stats), -EINVAL);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(c), -EINVAL);
	GS_EXPECT_SPLAT_END();
	KUNIT_EXPECT_EQ(test, gs_log_count_obj(&log, "graceslab: ", c), 4);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

static struct kunit_case gs_late_cases[] = {
	KUNIT_CASE_PARAM(gs_late_handle, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_late_readers, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_late_suite = {
	.name = "gs_late",
	.test_cases = gs_late_cases,
};

kunit_test_suite(gs_late_suite);
