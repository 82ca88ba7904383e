// SPDX-License-Identifier: GPL-2.0
/*
 * Objects that are freed after others, in the same batch, wait for a grace
 * period of their own: the batch's begins when it is full, not when it opened.
 */
#include <linux/rcupdate.h>

#include "gs_kunit.h"

#define GS_COOKIE_BATCH	4

static void gs_cookie_of_last(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.sheaf_capacity = GS_COOKIE_BATCH,
	};
	void *objs[GS_COOKIE_BATCH], *hot[16];
	unsigned int round, i, k, early = 0;
	struct gs_cache *c;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_cookie", 64, &args, 0);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < ARRAY_SIZE(objs); i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		}
		gs_cache_free_rcu(c, objs[0]);
		/* That is over for the first one, and for no other. */
		synchronize_rcu_expedited();
		rcu_read_lock();
		for (i = 1; i < ARRAY_SIZE(objs); i++)
			gs_cache_free_rcu(c, objs[i]);
		/* A ripe batch would be the first to be used again. */
		for (k = 0; k < ARRAY_SIZE(hot); k++) {
			hot[k] = gs_cache_alloc(c, GS_GFP_ATOMIC);
			for (i = 1; i < ARRAY_SIZE(objs); i++)
				early += hot[k] == objs[i];
		}
		rcu_read_unlock();
		for (k = 0; k < ARRAY_SIZE(hot); k++)
			if (hot[k])
				gs_cache_free(c, hot[k]);
		gs_cache_barrier(c);
	}
	KUNIT_EXPECT_EQ(test, early, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_cookie_cases[] = {
	KUNIT_CASE(gs_cookie_of_last),
	{ /* sentinel */ },
};

static struct kunit_suite gs_cookie_suite = {
	.name = "gs_cookie",
	.test_cases = gs_cookie_cases,
};

kunit_test_suite(gs_cookie_suite);
