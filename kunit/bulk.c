// SPDX-License-Identifier: GPL-2.0
/*
 * Many objects are allocated at once: all that were asked for, or none. Many
 * are freed at once, whichever way and on whichever CPU they were allocated.
 */
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
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

/*
 * While a test has used up all memory, whoever else needs some gets a little of
 * this, instead of having a process killed or the kernel panic.
 */
#define GS_RESERVE_NR		64
#define GS_RESERVE_ORDER	get_order(SZ_1M)

struct gs_reserve {
	struct notifier_block nb;
	struct page *pages[GS_RESERVE_NR];
	unsigned int nr;
};

static int gs_reserve_give(struct notifier_block *nb, unsigned long unused,
			   void *freed)
{
	struct gs_reserve *reserve = container_of(nb, struct gs_reserve, nb);

	if (!reserve->nr)
		return NOTIFY_OK;
	__free_pages(reserve->pages[--reserve->nr], GS_RESERVE_ORDER);
	*(unsigned long *)freed += 1UL << GS_RESERVE_ORDER;
	return NOTIFY_OK;
}

static void gs_reserve_gone(void *data)
{
	struct gs_reserve *reserve = data;

	unregister_oom_notifier(&reserve->nb);
	while (reserve->nr)
		__free_pages(reserve->pages[--reserve->nr], GS_RESERVE_ORDER);
}

static void gs_reserve_some(struct kunit *test)
{
	struct gs_reserve *reserve;

	reserve = kunit_kzalloc(test, sizeof(*reserve), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, reserve);
	reserve->nb.notifier_call = gs_reserve_give;
	KUNIT_ASSERT_EQ(test, 0, register_oom_notifier(&reserve->nb));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_reserve_gone,
						  reserve));
	while (reserve->nr < GS_RESERVE_NR) {
		struct page *page = alloc_pages(GFP_KERNEL, GS_RESERVE_ORDER);

		KUNIT_ASSERT_NOT_NULL(test, page);
		reserve->pages[reserve->nr++] = page;
	}
}

/* More than there is memory: none, and what was taken for it can be used. */
static void gs_bulk_none(struct kunit *test)
{
	size_t size = SZ_8K, nr = totalram_pages() * (PAGE_SIZE / SZ_4K) / 2;
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void **objs, *obj;

	/* Without memory, debug objects give up: all of the slabs have an RCU head. */
	if (IS_ENABLED(CONFIG_DEBUG_OBJECTS))
		pr_info("graceslab-test: allow splat: ODEBUG: Out of memory\n");
	gs_reserve_some(test);
	c = gs_test_cache(test, "gs_bulk", size, NULL, 0);
	objs = gs_test_array(test, nr, sizeof(*objs));
	KUNIT_EXPECT_EQ(test, gs_cache_alloc_bulk(c, __GFP_NOWARN, nr, objs), 0);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	/* It did try. */
	KUNIT_EXPECT_GT(test, stats.objects, 0);

	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, obj);
	if (obj)
		gs_cache_free(c, obj);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	/* Some pages may have to wait for it, and the next test needs them. */
	rcu_barrier();
	if (IS_ENABLED(CONFIG_DEBUG_OBJECTS))
		pr_info("graceslab-test: end expect\n");
}

static struct kunit_case gs_bulk_cases[] = {
	KUNIT_CASE_PARAM(gs_bulk_all, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_bulk_none_asked, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_bulk_mixed, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_bulk_elsewhere, gs_flags_gen_params),
	KUNIT_CASE(gs_bulk_none),
	{ /* sentinel */ },
};

static struct kunit_suite gs_bulk_suite = {
	.name = "gs_bulk",
	.test_cases = gs_bulk_cases,
};

kunit_test_suite(gs_bulk_suite);
