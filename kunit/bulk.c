// SPDX-License-Identifier: GPL-2.0
/*
 * Many objects are allocated at once: all that were asked for, or none. Many
 * are freed at once, whichever way and on whichever CPU they were allocated.
 */
#include <linux/rcupdate.h>
#include <linux/sort.h>

#include "gs_kunit.h"

#define GS_BULK_SIZE	72

static int gs_bulk_cmp(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a;
	unsigned long y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

static void gs_bulk_all(struct kunit *test)
{
	static const unsigned int counts[] = {
		1, 2, 7, 16, 31, 32, 33, 60, 64, 100, 500, 1000, 5000,
	};
	unsigned int nr, wrong = 0, twice = 0, i, k;
	struct gs_cache *c;
	void **objs;

	c = gs_test_cache(test, "gs_bulk", GS_BULK_SIZE, NULL,
			  gs_param_flags(test));
	objs = gs_test_array(test, 5000, sizeof(*objs));
	for (k = 0; k < ARRAY_SIZE(counts); k++) {
		nr = counts[k];
		KUNIT_ASSERT_EQ(test,
				gs_cache_alloc_bulk(c, GFP_KERNEL, nr, objs),
				nr);
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, nr);
		for (i = 0; i < nr; i++)
			gs_fill(objs[i], GS_BULK_SIZE, i);
		for (i = 0; i < nr; i++)
			wrong += !gs_filled(objs[i], GS_BULK_SIZE, i);
		/* Neighbours of any kind may be freed together. */
		if (k & 1)
			sort(objs, nr, sizeof(*objs), gs_bulk_cmp, NULL);
		for (i = 1; i < nr; i++)
			twice += objs[i] == objs[i - 1];
		gs_cache_free_bulk(c, nr, objs);
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, twice, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static void gs_bulk_none_asked(struct kunit *test)
{
	void *obj = (void *)test;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_bulk", GS_BULK_SIZE, NULL,
			  gs_param_flags(test));
	KUNIT_EXPECT_EQ(test, gs_cache_alloc_bulk(c, GFP_KERNEL, 0, &obj), 0);
	KUNIT_EXPECT_PTR_EQ(test, obj, (void *)test);
	gs_cache_free_bulk(c, 0, &obj);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Places without an object are passed over, and all are empty afterwards. */
static void gs_bulk_nulls(struct kunit *test)
{
	unsigned int nr = 40, round, i, k, wrong = 0;
	struct gs_cache *c;
	void *objs[40];

	c = gs_test_cache(test, "gs_bulk", GS_BULK_SIZE, NULL,
			  gs_param_flags(test));
	for (round = 0; round < nr; round++) {
		KUNIT_ASSERT_EQ(test,
				gs_cache_alloc_bulk(c, GFP_KERNEL, nr, objs),
				nr);
		for (i = 0; i < nr; i++) {
			wrong += !objs[i];
			for (k = 0; k < i; k++)
				wrong += objs[i] == objs[k];
		}
		/* From all in a row to each but the first. */
		for (i = round; i < nr; i += round + 1) {
			gs_cache_free(c, objs[i]);
			objs[i] = NULL;
		}
		gs_cache_free_bulk(c, nr, objs);
		for (i = 0; i < nr; i++)
			wrong += !!objs[i];
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Zeroed where that was asked for, whatever was in them. */
static void gs_bulk_zero(struct kunit *test)
{
	unsigned int i, wrong = 0;
	struct gs_cache *c;
	void *objs[20];

	c = gs_test_cache(test, "gs_bulk", GS_BULK_SIZE, NULL,
			  gs_param_flags(test));
	KUNIT_ASSERT_GT(test, gs_cache_alloc_bulk(c, GFP_KERNEL, 20, objs), 0);
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		memset(objs[i], 0x5c, GS_BULK_SIZE);
	gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
	KUNIT_ASSERT_GT(test,
			gs_cache_alloc_bulk(c, GFP_KERNEL | __GFP_ZERO, 20,
					    objs),
			0);
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		wrong += !!memchr_inv(objs[i], 0, GS_BULK_SIZE);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* One at a time and many at a time, each freed the other way. */
static void gs_bulk_mixed(struct kunit *test)
{
	unsigned int nr = 300, i;
	struct gs_cache *c;
	void **objs;

	c = gs_test_cache(test, "gs_bulk", GS_BULK_SIZE, NULL,
			  gs_param_flags(test));
	objs = gs_test_objects(test, c, GS_BULK_SIZE, nr);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, gs_filled(objs[i], GS_BULK_SIZE, i));
	gs_cache_free_bulk(c, nr, objs);
	KUNIT_ASSERT_EQ(test, gs_cache_alloc_bulk(c, GFP_KERNEL, nr, objs), nr);
	for (i = 0; i < nr; i++) {
		if (i & 1)
			gs_cache_free(c, objs[i]);
		else
			gs_cache_free_rcu(c, objs[i]);
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

struct gs_bulk_remote {
	struct gs_cache *c;
	unsigned int nr;
	void **objs;
};

static void gs_bulk_free(void *data)
{
	struct gs_bulk_remote *remote = data;

	gs_cache_free_bulk(remote->c, remote->nr, remote->objs);
}

static void gs_bulk_elsewhere(struct kunit *test)
{
	struct gs_bulk_remote remote = { .nr = 700 };
	int cpu = gs_pin_self(test), round;

	remote.c = gs_test_cache(test, "gs_bulk", GS_BULK_SIZE, NULL,
				 gs_param_flags(test));
	remote.objs = gs_test_array(test, remote.nr, sizeof(*remote.objs));
	for (round = 0; round < 5; round++) {
		struct gs_thread *thread;

		KUNIT_ASSERT_EQ(test,
				gs_cache_alloc_bulk(remote.c, GFP_KERNEL,
						    remote.nr, remote.objs),
				remote.nr);
		thread = gs_thread_run(test, gs_other_cpu(cpu), gs_bulk_free,
				       &remote);
		gs_thread_join(test, thread);
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, remote.c).live, 0);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, remote.c), 0);
}

static struct kunit_case gs_bulk_cases[] = {
	KUNIT_CASE_PARAM(gs_bulk_all, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_bulk_none_asked, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_bulk_nulls, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_bulk_zero, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_bulk_mixed, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_bulk_elsewhere, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_bulk_suite = {
	.name = "gs_bulk",
	.test_cases = gs_bulk_cases,
};

kunit_test_suite(gs_bulk_suite);
