// SPDX-License-Identifier: GPL-2.0
/*
 * Thousands of caches at once: each has its name and its objects, and they go
 * in any order.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/ktime.h>

#include "gs_kunit.h"

/* As many as where a cache takes no longer than it does by itself. */
#if defined(CONFIG_UML) && !defined(CONFIG_KASAN) && !defined(CONFIG_LOCKDEP)
#define GS_MANY		10000
#else
#define GS_MANY		300
#endif

static struct gs_cache *gs_many_create(unsigned int i)
{
	char name[24];

	snprintf(name, sizeof(name), "gs_many_%u", i);
	return gs_cache_create(name, 64, NULL, 0);
}

static void gs_many_time(struct kunit *test, const char *what, ktime_t *from)
{
	ktime_t now = ktime_get();

	kunit_info(test, "%u %s in %lld ms\n", GS_MANY, what,
		   ktime_ms_delta(now, *from));
	*from = now;
}

static void gs_many_caches(struct kunit *test)
{
	static const unsigned int some[] = { 0, 1, GS_MANY / 2, GS_MANY - 1 };
	unsigned int i, nr, wrong = 0, live = 0;
	struct gs_cache_stats stats;
	struct gs_cache **caches;
	ktime_t from;
	void **objs;

	caches = gs_test_array(test, GS_MANY, sizeof(*caches));
	objs = gs_test_array(test, GS_MANY, sizeof(*objs));
	from = ktime_get();
	for (nr = 0; nr < GS_MANY; nr++) {
		caches[nr] = gs_many_create(nr);
		if (IS_ERR(caches[nr]))
			break;
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, nr, GS_MANY);
	gs_many_time(test, "made", &from);
	if (nr < GS_MANY)
		goto out;
	for (i = 0; i < ARRAY_SIZE(some); i++)
		KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EEXIST),
				    gs_many_create(some[i]));
	/* Not all of them, for a slab each is a lot of memory. */
	for (i = 0; i < nr; i += 7) {
		objs[i] = gs_cache_alloc(caches[i], GFP_KERNEL);
		if (objs[i])
			gs_fill(objs[i], 64, i);
		else
			wrong++;
		live++;
	}
	for (i = 0; i < nr; i++) {
		wrong += gs_cache_stats(caches[i], &stats) != 0;
		live -= stats.live;
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, live, 0);
	gs_many_time(test, "looked at", &from);
	for (i = 0; i < nr; i++) {
		if (!objs[i])
			continue;
		wrong += !gs_filled(objs[i], 64, i);
		if (i & 1)
			gs_cache_free_rcu(caches[i], objs[i]);
		else
			gs_cache_free(caches[i], objs[i]);
	}
	gs_barrier();
	gs_many_time(test, "waited for", &from);
	/* A name is free when its cache has gone, and not before. */
	for (i = 0; i < ARRAY_SIZE(some); i++) {
		wrong += gs_cache_destroy(caches[some[i]]) != 0;
		caches[some[i]] = gs_many_create(some[i]);
		KUNIT_EXPECT_FALSE(test, IS_ERR(caches[some[i]]));
	}
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EEXIST), gs_many_create(2));
out:
	/* From both ends. */
	for (i = 0; i < nr; i++) {
		struct gs_cache *c = caches[i & 1 ? i / 2 : nr - 1 - i / 2];

		if (!IS_ERR(c))
			wrong += gs_cache_destroy(c) != 0;
		cond_resched();
	}
	gs_many_time(test, "destroyed", &from);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	caches[0] = gs_many_create(0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(caches[0]));
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(caches[0]), 0);
}

static struct kunit_case gs_many_cases[] = {
	KUNIT_CASE_SLOW(gs_many_caches),
	{ /* sentinel */ },
};

static struct kunit_suite gs_many_suite = {
	.name = "gs_many",
	.test_cases = gs_many_cases,
};

kunit_test_suite(gs_many_suite);
