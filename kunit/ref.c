// SPDX-License-Identifier: GPL-2.0
/*
 * References to a cache: had until it is being destroyed and never after,
 * waited for by nobody, and what keeps its memory until the last one goes.
 */
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "gs_kunit.h"

static void gs_ref_live(struct kunit *test)
{
	struct gs_cache *c;
	void *obj;
	int i;

	KUNIT_EXPECT_FALSE(test, gs_cache_tryget(NULL));
	gs_cache_put(NULL);
	c = gs_test_cache(test, "gs_ref", 64, NULL, gs_param_flags(test));
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_TRUE(test, gs_cache_tryget(c));
	for (i = 0; i < 100; i++)
		gs_cache_put(c);
	/* Those were not the handle's. */
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, obj);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Destroy does not wait for the holder, and nobody else becomes one. */
static void gs_ref_destroyed(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache *c, *other;
	unsigned long flags;
	int i;

	c = gs_test_cache(test, "gs_ref", 64, NULL, gs_param_flags(test));
	gs_list_free_rcu(c, gs_test_list(test, c, 100, NULL));
	KUNIT_ASSERT_TRUE(test, gs_cache_tryget(c));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies);
	KUNIT_EXPECT_FALSE(test, gs_cache_tryget(c));
	local_irq_save(flags);
	i = gs_cache_tryget(c);
	local_irq_restore(flags);
	KUNIT_EXPECT_FALSE(test, i);
	/* The name is free, though the memory is not. */
	other = gs_test_cache(test, "gs_ref", 64, NULL, gs_param_flags(test));
	KUNIT_EXPECT_PTR_NE(test, c, other);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, other), 0);
	gs_cache_put(c);
}

/* A leak is reported with a reference held; the last object ends nothing yet. */
static void gs_ref_busy(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache *c;
	void *obj;

	c = gs_test_cache(test, "gs_ref", 64, NULL, gs_param_flags(test));
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	KUNIT_ASSERT_TRUE(test, gs_cache_tryget(c));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), -EBUSY);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies + 1);
	KUNIT_EXPECT_FALSE(test, gs_cache_tryget(c));
	gs_cache_free(c, obj);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
	rcu_barrier();
	KUNIT_EXPECT_FALSE(test, gs_cache_tryget(c));
	gs_cache_put(c);
}

struct gs_ref_racer {
	struct gs_cache *c;
	bool destroyed;
	unsigned int had;
	unsigned int late;
};

static void gs_ref_race(void *data)
{
	struct gs_ref_racer *racer = data;

	while (!kthread_should_stop()) {
		/* Pairs with the release in gs_ref_racing(). */
		bool destroyed = smp_load_acquire(&racer->destroyed);

		if (gs_cache_tryget(racer->c)) {
			WRITE_ONCE(racer->had, racer->had + 1);
			racer->late += destroyed;
			gs_cache_put(racer->c);
		}
		cond_resched();
	}
}

/* Holders come and go on another CPU while it is destroyed. */
static void gs_ref_racing(struct kunit *test)
{
	int cpu = gs_other_cpu(gs_pin_self(test)), round;
	struct gs_ref_racer racer = {};

	for (round = 0; round < 8; round++) {
		struct gs_thread *thread;

		racer.had = 0;
		racer.destroyed = false;
		racer.c = gs_test_cache(test, "gs_ref", 64, NULL,
					gs_param_flags(test));
		KUNIT_ASSERT_TRUE(test, gs_cache_tryget(racer.c));
		thread = gs_thread_run(test, cpu, gs_ref_race, &racer);
		KUNIT_EXPECT_TRUE(test, gs_wait_until(READ_ONCE(racer.had)));
		gs_list_free_rcu(racer.c, gs_test_list(test, racer.c, 50, NULL));
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, racer.c), 0);
		/* Pairs with the acquire in gs_ref_race(). */
		smp_store_release(&racer.destroyed, true);
		fsleep(2 * USEC_PER_MSEC);
		gs_thread_stop(test, thread);
		gs_cache_put(racer.c);
	}
	KUNIT_EXPECT_EQ(test, racer.late, 0);
}

/* Create, destroy and put caches, every second put with interrupts off. */
static void gs_ref_rounds(struct kunit *test, unsigned long rounds)
{
	unsigned long flags, i;
	struct gs_cache *c;

	for (i = 0; i < rounds; i++) {
		c = gs_cache_create("gs_ref", 64, NULL, gs_param_flags(test));
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c);
		if (!gs_cache_tryget(c))
			break;
		KUNIT_EXPECT_EQ(test, gs_cache_destroy(c), 0);
		if (i & 1) {
			gs_cache_put(c);
		} else {
			local_irq_save(flags);
			gs_cache_put(c);
			local_irq_restore(flags);
		}
		if (i % 500 == 499)
			rcu_barrier();
	}
	KUNIT_EXPECT_EQ(test, i, rounds);
}

/*
 * With the last reference the memory goes, wherever that is given back: a
 * cache and its share on each CPU are more than a KiB. Workers do it, and those
 * of the per-CPU allocator, in their time.
 */
static void gs_ref_memory(struct kunit *test)
{
	const unsigned long rounds = IS_ENABLED(CONFIG_KASAN) ? 500 : 6000;
	unsigned long before, allowed = rounds * 512 / PAGE_SIZE;

	gs_ref_rounds(test, 500);
	rcu_barrier();
	before = gs_free_pages();
	gs_ref_rounds(test, rounds);
	/* KASAN keeps what was freed for a while. */
	if (!IS_ENABLED(CONFIG_KASAN))
		KUNIT_EXPECT_TRUE_MSG(test,
				      gs_wait_until(gs_free_pages() + allowed >
						    before),
				      "%lu pages were free, %lu are", before,
				      gs_free_pages());
}

static struct kunit_case gs_ref_cases[] = {
	KUNIT_CASE_PARAM(gs_ref_live, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_ref_destroyed, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_ref_busy, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_ref_racing, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_ref_memory, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_ref_suite = {
	.name = "gs_ref",
	.test_cases = gs_ref_cases,
};

kunit_test_suite(gs_ref_suite);
