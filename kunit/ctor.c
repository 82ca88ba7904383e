// SPDX-License-Identifier: GPL-2.0
/*
 * A constructor is called once for each object, when its slab is populated, and
 * what it wrote is there each time that the object is allocated, unless the
 * object's users changed it.
 */
#include "gs_kunit.h"

#define GS_CTOR_MAGIC	0xc0de1d0cU

struct gs_ctor_obj {
	struct gs_ctor_obj *self;
	u32 magic;
	u32 uses;
	u8 rest[40];
};

static atomic_t gs_ctor_calls;

static void gs_ctor_call(void *p)
{
	struct gs_ctor_obj *obj = p;

	obj->self = obj;
	obj->magic = GS_CTOR_MAGIC;
	obj->uses = 0;
	atomic_inc(&gs_ctor_calls);
}

static const struct gs_cache_args gs_ctor_args = { .ctor = gs_ctor_call };

static bool gs_ctor_ok(const struct gs_ctor_obj *obj)
{
	return obj->self == obj && obj->magic == GS_CTOR_MAGIC;
}

static void gs_ctor_kept(struct kunit *test)
{
	unsigned int nr = 700, wrong = 0, round, i;
	struct gs_cache_stats stats;
	struct gs_ctor_obj **objs;
	u64 uses = 0;
	struct gs_cache *c;

	atomic_set(&gs_ctor_calls, 0);
	c = gs_test_cache(test, "gs_ctor", sizeof(**objs), &gs_ctor_args,
			  gs_param_flags(test));
	objs = gs_test_array(test, nr, sizeof(*objs));
	for (round = 0; round < 6; round++) {
		for (i = 0; i < nr; i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
			wrong += !gs_ctor_ok(objs[i]);
			objs[i]->uses++;
		}
		stats = gs_test_stats(test, c);
		for (i = 0; i < nr; i++) {
			uses += round == 5 ? objs[i]->uses : 0;
			if (round & 1)
				gs_cache_free_rcu(c, objs[i]);
			else
				gs_cache_free(c, objs[i]);
		}
		gs_cache_barrier(c);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	/* Once for each object there is: no slab was given back meanwhile. */
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_GE(test, atomic_read(&gs_ctor_calls), nr);
	KUNIT_EXPECT_GE(test, (u64)atomic_read(&gs_ctor_calls), stats.objects);
	/* Objects were used again, and not constructed for it. */
	KUNIT_EXPECT_GT(test, uses, nr);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static void gs_ctor_once_each(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void *obj;
	int i;

	atomic_set(&gs_ctor_calls, 0);
	c = gs_test_cache(test, "gs_ctor", sizeof(struct gs_ctor_obj),
			  &gs_ctor_args, gs_param_flags(test));
	for (i = 0; i < 1000; i++) {
		obj = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, obj);
		gs_cache_free(c, obj);
	}
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, (u64)atomic_read(&gs_ctor_calls), stats.objects);
	KUNIT_EXPECT_LT(test, atomic_read(&gs_ctor_calls), 1000);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Pages that were given back are constructed anew. */
static void gs_ctor_after_shrink(struct kunit *test)
{
	unsigned int nr = 1000, wrong = 0, round, i;
	struct gs_ctor_obj **objs;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_ctor", sizeof(**objs), &gs_ctor_args,
			  gs_param_flags(test));
	objs = gs_test_array(test, nr, sizeof(*objs));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
			wrong += !gs_ctor_ok(objs[i]);
		}
		for (i = 0; i < nr; i++)
			gs_cache_free(c, objs[i]);
		gs_cache_shrink(c);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Zeroes would undo the constructor's work: refused, and nothing is lost. */
static void gs_ctor_no_zero(struct kunit *test)
{
	struct gs_cache *c;
	void *objs[3];

	c = gs_test_cache(test, "gs_ctor", sizeof(struct gs_ctor_obj),
			  &gs_ctor_args, gs_param_flags(test));
	KUNIT_EXPECT_NULL(test, gs_cache_alloc(c, GFP_KERNEL | __GFP_ZERO));
	KUNIT_EXPECT_EQ(test,
			gs_cache_alloc_bulk(c, GFP_KERNEL | __GFP_ZERO,
					    ARRAY_SIZE(objs), objs),
			0);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_ctor_cases[] = {
	KUNIT_CASE_PARAM(gs_ctor_kept, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_ctor_once_each, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_ctor_after_shrink, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_ctor_no_zero, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_ctor_suite = {
	.name = "gs_ctor",
	.test_cases = gs_ctor_cases,
};

kunit_test_suite(gs_ctor_suite);
