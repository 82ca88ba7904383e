// SPDX-License-Identifier: GPL-2.0
/*
 * Where no memory is to be had at all, whoever frees waits, and frees: each
 * object has come back by the time that its own cache goes.
 */
#include <linux/slab.h>

#include "gs_kunit.h"

static void gs_fallback_memory_back(void *unused)
{
	gs_inject(GS_INJECT_CACHED_PAGE, 0);
	gs_inject(GS_INJECT_PAGE, 0);
	gs_inject(GS_INJECT_RESERVE, 0);
	gs_inject(GS_INJECT_WRAPPER, 0);
}

static void gs_fallback_no_memory(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_fallback_memory_back,
						  NULL));
	/* Pages that are open go on their way first. */
	gs_barrier();
	gs_inject(GS_INJECT_CACHED_PAGE, INT_MAX);
	gs_inject(GS_INJECT_PAGE, INT_MAX);
	gs_inject(GS_INJECT_RESERVE, INT_MAX);
	gs_inject(GS_INJECT_WRAPPER, INT_MAX);
}

/* Each waits for the reader there is, and not only those that are hurried. */
static void gs_fallback_waits(struct kunit *test)
{
	int round;

	gs_need_reader(test);
	gs_fallback_no_memory(test);
	for (round = 0; round < 4; round++) {
		struct gs_reader *reader = gs_reader_hold(test, NULL, NULL);

		gs_reader_leave_in(reader, 20);
		gs_kvfree_rcu(kmalloc(72, GFP_KERNEL));
		KUNIT_EXPECT_FALSE(test, gs_reader_inside(reader));
		gs_reader_left(test, reader);
	}
	gs_fallback_memory_back(NULL);
}

static void gs_fallback_frees(struct kunit *test)
{
	unsigned int nr = 20, i;
	struct kmem_cache *s;
	struct gs_log log;
	void *obj;
	u64 waited;

	s = kmem_cache_create("gs_fallback_peer", 72, 8, SLAB_NO_MERGE, NULL);
	KUNIT_ASSERT_NOT_NULL(test, s);
	gs_pin_self(test);
	gs_fallback_no_memory(test);
	waited = gs_steps(GS_STEP_WAITED);
	for (i = 0; i < nr; i++) {
		obj = kmem_cache_alloc(s, GFP_KERNEL);
		KUNIT_EXPECT_NOT_NULL(test, obj);
		gs_kvfree_rcu(obj);
	}
	KUNIT_EXPECT_EQ(test, gs_steps(GS_STEP_WAITED) - waited, nr);
	gs_fallback_memory_back(NULL);
	gs_barrier();
	/* What has not come back, the kernel complains of. */
	gs_log_mark(&log);
	kmem_cache_destroy(s);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "gs_fallback_peer"), 0);
}

static struct kunit_case gs_fallback_cases[] = {
	KUNIT_CASE(gs_fallback_waits),
	KUNIT_CASE(gs_fallback_frees),
	{ /* sentinel */ },
};

static struct kunit_suite gs_fallback_suite = {
	.name = "gs_fallback",
	.test_cases = gs_fallback_cases,
};

kunit_test_suite(gs_fallback_suite);
