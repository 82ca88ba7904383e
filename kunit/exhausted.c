// SPDX-License-Identifier: GPL-2.0
/*
 * All memory that there is, is asked for. The kernel's debug objects may have
 * given up afterwards: this suite comes last.
 */
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>

#include "gs_kunit.h"

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
static void gs_exhausted_bulk(struct kunit *test)
{
	size_t size = SZ_8K, nr = totalram_pages() * (PAGE_SIZE / SZ_4K) / 2;
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void **objs, *obj;

	/* Without memory, debug objects give up: all of the slabs have an RCU head. */
	if (IS_ENABLED(CONFIG_DEBUG_OBJECTS))
		pr_info("graceslab-test: allow splat: ODEBUG: Out of memory\n");
	gs_reserve_some(test);
	c = gs_test_cache(test, "gs_exhausted", size, NULL, 0);
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

static struct kunit_case gs_exhausted_cases[] = {
	KUNIT_CASE(gs_exhausted_bulk),
	{ /* sentinel */ },
};

static struct kunit_suite gs_exhausted_suite = {
	.name = "gs_exhausted",
	.test_cases = gs_exhausted_cases,
};

kunit_test_suite(gs_exhausted_suite);
