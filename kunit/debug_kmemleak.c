// SPDX-License-Identifier: GPL-2.0
/*
 * Objects that are allocated and freed where kmemleak cannot be told, and where
 * it can: a kernel that has it says if it is told the wrong thing, as it does at
 * the end of the run if it was told nothing.
 */
#include <linux/irqflags.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "gs_kunit.h"

#define GS_NAME		"gs_kmemleak"
#define GS_SIZE		64
#define GS_OBJECTS	300
#define GS_SLOTS	32
#define GS_TURNS	20000
#define GS_MS		1000	/* on a slow machine */

static void gs_free_irqs_off(struct gs_cache *c, void *obj)
{
	unsigned long flags;

	local_irq_save(flags);
	gs_cache_free(c, obj);
	local_irq_restore(flags);
}

static void *gs_alloc_irqs_off(struct gs_cache *c)
{
	unsigned long flags;
	void *obj;

	local_irq_save(flags);
	obj = gs_cache_alloc(c, 0);
	local_irq_restore(flags);
	return obj;
}

/* What is owed to kmemleak keeps no memory from who asks for it. */
static void gs_kmemleak_shrink(struct kunit *test)
{
	struct gs_cache *c;
	void **obj;
	int i;

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, GS_SIZE, NULL, gs_param_flags(test));
	obj = gs_test_objects(test, c, GS_SIZE, GS_OBJECTS);
	for (i = 0; i < GS_OBJECTS; i++)
		gs_free_irqs_off(c, obj[i]);
	KUNIT_EXPECT_GT(test, gs_cache_shrink(c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).slabs, 0);
}

/* Nor does it keep a cache, or the objects that outlive one. */
static void gs_kmemleak_destroy(struct kunit *test)
{
	struct gs_cache *c;
	void **obj;
	int i;

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, GS_SIZE, NULL, gs_param_flags(test));
	obj = gs_test_objects(test, c, GS_SIZE, GS_OBJECTS);
	for (i = 1; i < GS_OBJECTS; i++)
		gs_free_irqs_off(c, obj[i]);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), -EBUSY);
	/* What is left of it goes by itself, or the module's exit says so. */
	gs_free_irqs_off(c, obj[0]);
}

struct gs_swapper {
	struct gs_kmemleak *all;
	struct rnd_state rnd;
	unsigned int none;
};

struct gs_kmemleak {
	struct gs_cache *c;
	struct gs_swapper who[2];
	void *slot[GS_SLOTS];
};

static void gs_swapper(void *data)
{
	unsigned long end = jiffies + msecs_to_jiffies(GS_MS);
	struct gs_swapper *who = data;
	struct gs_cache *c = who->all->c;
	int turn;

	for (turn = 0; turn < GS_TURNS && time_before(jiffies, end); turn++) {
		u32 how = prandom_u32_state(&who->rnd);
		void *obj = how & 1 ? gs_alloc_irqs_off(c) :
				      gs_cache_alloc(c, GFP_KERNEL);

		if (obj)
			memset(obj, 0, GS_SIZE);
		else
			who->none++;
		obj = xchg(&who->all->slot[(how >> 8) % GS_SLOTS], obj);
		if (how & 2)
			gs_free_irqs_off(c, obj);
		else if (obj && (how & 0x1c) == 0)
			gs_cache_free_rcu(c, obj);
		else
			gs_cache_free(c, obj);
		if (turn % 256 == 0)
			cond_resched();
	}
}

/* Two at once, each of whom frees what the other has allocated. */
static void gs_kmemleak_swap(struct kunit *test)
{
	struct gs_thread *other;
	struct gs_kmemleak *all;
	int cpu, i;

	all = kunit_kzalloc(test, sizeof(*all), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, all);
	cpu = gs_pin_self(test);
	all->c = gs_test_cache(test, GS_NAME, GS_SIZE, NULL,
			       gs_param_flags(test));
	for (i = 0; i < ARRAY_SIZE(all->who); i++) {
		all->who[i].all = all;
		prandom_seed_state(&all->who[i].rnd, i + 1);
	}
	other = gs_thread_run(test, gs_other_cpu(cpu), gs_swapper, &all->who[1]);
	gs_swapper(&all->who[0]);
	gs_thread_join(test, other);
	for (i = 0; i < GS_SLOTS; i++)
		gs_free_irqs_off(all->c, all->slot[i]);
	/* Where nothing may be waited for there may be nothing. */
	KUNIT_EXPECT_LT(test, all->who[0].none, GS_TURNS / 2);
	gs_cache_barrier(all->c);
	gs_cache_shrink(all->c);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, all->c).slabs, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, all->c), 0);
}

static struct kunit_case gs_kmemleak_cases[] = {
	KUNIT_CASE_PARAM(gs_kmemleak_shrink, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_kmemleak_destroy, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_kmemleak_swap, gs_flags_gen_params),
	{}
};

static struct kunit_suite gs_kmemleak_suite = {
	.name = "gs_debug_kmemleak",
	.test_cases = gs_kmemleak_cases,
};

kunit_test_suite(gs_kmemleak_suite);
