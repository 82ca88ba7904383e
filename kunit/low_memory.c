// SPDX-License-Identifier: GPL-2.0
/*
 * Freeing needs no memory: where no sheaf is to be had, both kinds of free go
 * by the bits of the slab. Nothing is lost either way. (Others' pointers: see
 * steps.c.)
 */
#include <linux/limits.h>

#include "gs_kunit.h"

#define GS_LOW_OBJECTS	2000

static void gs_low_end(void *unused)
{
	gs_inject(GS_INJECT_SHEAF, 0);
	gs_inject(GS_INJECT_SLAB, 0);
}

static void gs_low_begin(struct kunit *test, unsigned int point)
{
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_low_end, NULL));
	KUNIT_ASSERT_EQ(test, 0, gs_inject(point, INT_MAX));
}

/* No sheaf, ever: each free is a bit, and each object comes back. */
static void gs_low_sheaf(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void **objs;
	int i;

	gs_low_begin(test, GS_INJECT_SHEAF);
	c = gs_test_cache(test, "gs_low", 64, NULL, gs_param_flags(test));
	objs = gs_test_objects(test, c, 64, GS_LOW_OBJECTS);
	for (i = 0; i < GS_LOW_OBJECTS; i++) {
		if (i & 1)
			gs_cache_free(c, objs[i]);
		else
			gs_cache_free_rcu(c, objs[i]);
	}
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.frees_bits, GS_LOW_OBJECTS);
	KUNIT_EXPECT_EQ(test, stats.cached, 0);
	KUNIT_EXPECT_EQ(test, stats.queued, GS_LOW_OBJECTS / 2);
	gs_cache_barrier(c);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.done, GS_LOW_OBJECTS / 2);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

struct gs_low_lot {
	struct gs_cache *c;
	void **objs;
};

static void gs_low_lot_free(void *data)
{
	struct gs_low_lot *lot = data;
	int i;

	for (i = 0; i < GS_LOW_OBJECTS; i++) {
		if (i & 1)
			gs_cache_free(lot->c, lot->objs[i]);
		else
			gs_cache_free_rcu(lot->c, lot->objs[i]);
	}
}

static atomic_t gs_low_dtors;

static void gs_low_dtor(void *obj)
{
	atomic_inc(&gs_low_dtors);
}

/* The same wherever the caller is, and whatever the objects need afterwards. */
static void gs_low_context(struct kunit *test)
{
	static const struct gs_cache_args args = { .rcu_dtor = gs_low_dtor };
	const struct gs_place *place = test->param_value;
	struct gs_cache_stats stats;
	struct gs_low_lot lot;

	atomic_set(&gs_low_dtors, 0);
	gs_low_begin(test, GS_INJECT_SHEAF);
	lot.c = gs_test_cache(test, "gs_low", 64, &args, GS_CONSISTENCY);
	lot.objs = gs_test_objects(test, lot.c, 64, GS_LOW_OBJECTS);
	KUNIT_ASSERT_EQ(test, 0, gs_inject(GS_INJECT_SLAB, INT_MAX));
	place->call(gs_low_lot_free, &lot);
	stats = gs_test_stats(test, lot.c);
	KUNIT_EXPECT_EQ(test, stats.frees_bits, GS_LOW_OBJECTS);
	gs_cache_barrier(lot.c);
	stats = gs_test_stats(test, lot.c);
	KUNIT_EXPECT_EQ(test, stats.done, GS_LOW_OBJECTS / 2);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_low_dtors), GS_LOW_OBJECTS / 2);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, lot.c), 0);
}

/* No slab: allocations fail, and go on where that has passed. */
static void gs_low_slab(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void *objs[8], *obj;

	gs_low_begin(test, GS_INJECT_SLAB);
	c = gs_test_cache(test, "gs_low", 64, NULL, gs_param_flags(test));
	KUNIT_EXPECT_NULL(test, gs_cache_alloc(c, GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, gs_cache_alloc(c, 0));
	KUNIT_EXPECT_EQ(test, 0,
			gs_cache_alloc_bulk(c, GFP_KERNEL, ARRAY_SIZE(objs),
					    objs));
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.objects, 0);
	gs_low_end(NULL);
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, obj);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_low_cases[] = {
	KUNIT_CASE_PARAM(gs_low_sheaf, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_low_context, gs_places_gen_params),
	KUNIT_CASE_PARAM(gs_low_slab, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_low_suite = {
	.name = "gs_low_memory",
	.test_cases = gs_low_cases,
};

kunit_test_suite(gs_low_suite);
