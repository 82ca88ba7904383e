// SPDX-License-Identifier: GPL-2.0
/*
 * The capacity of a cache's sheaves changes while it is used: what is on its
 * way in sheaves of another capacity arrives, and those sheaves go.
 */
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "gs_kunit.h"

#define GS_CAPACITY_SIZE	16

static void gs_capacity_bounds(struct kunit *test)
{
	static const unsigned int wrong[] = { 0, 1, 1021, UINT_MAX };
	static const unsigned int right[] = { 2, 1020, 1020, 3 };
	struct gs_cache *c;
	int i;

	c = gs_test_cache(test, "gs_capacity", GS_CAPACITY_SIZE, NULL, 0);
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ(test, -ERANGE,
				gs_cache_set_sheaf_capacity(c, wrong[i]));
	for (i = 0; i < ARRAY_SIZE(right); i++)
		KUNIT_EXPECT_EQ(test, 0,
				gs_cache_set_sheaf_capacity(c, right[i]));
	KUNIT_EXPECT_EQ(test, -EINVAL, gs_cache_set_sheaf_capacity(NULL, 10));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static void gs_capacity_set(struct kunit *test, struct gs_cache *c,
			    unsigned int capacity)
{
	KUNIT_ASSERT_EQ(test, gs_cache_set_sheaf_capacity(c, capacity), 0);
}

/* The first object comes with a sheaf's full of others. */
static void gs_capacity_effect(struct kunit *test)
{
	static const unsigned int capacities[] = { 7, 40, 3, 3, 12 };
	struct gs_cache_args args = { .sheaf_capacity = 5 };
	struct gs_cache *c;
	void *obj;
	int i;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_capacity", GS_CAPACITY_SIZE, &args,
			  gs_param_flags(test));
	for (i = 0; i < ARRAY_SIZE(capacities); i++) {
		unsigned int capacity = capacities[i];

		gs_capacity_set(test, c, capacity);
		if (!i || capacities[i - 1] != capacity)
			KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).cached, 0);
		obj = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, obj);
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).cached,
				capacity - 1);
		gs_cache_free(c, obj);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Batches that were sealed before are taken as they are, once. */
static void gs_capacity_sealed(struct kunit *test)
{
	enum { LARGE = 40, SMALL = 5, NR = LARGE + 20 };
	struct gs_cache *c;
	unsigned int i;
	void *objs[NR];
	int round;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_capacity", GS_CAPACITY_SIZE, NULL,
			  gs_param_flags(test));
	for (round = 0; round < 8; round++) {
		gs_capacity_set(test, c, LARGE);
		KUNIT_ASSERT_EQ(test, LARGE,
				gs_cache_alloc_bulk(c, GFP_KERNEL, LARGE, objs));
		for (i = 0; i < LARGE; i++)
			gs_cache_free_rcu(c, objs[i]);
		gs_capacity_set(test, c, SMALL);
		synchronize_rcu();
		for (i = 0; i < NR; i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		}
		gs_cache_barrier(c);
		KUNIT_EXPECT_LT(test, gs_test_stats(test, c).cached, SMALL);
		for (i = 0; i < NR; i++)
			gs_cache_free(c, objs[i]);
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Prefilled ones belong to their users, and hold what they held. */
static void gs_capacity_prefilled(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = 10 };
	struct gs_sheaf *small, *large;
	unsigned int i;
	struct gs_cache *c;
	void *objs[100];

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_capacity", GS_CAPACITY_SIZE, &args,
			  gs_param_flags(test));
	small = gs_sheaf_prefill(c, GFP_KERNEL, 10);
	KUNIT_ASSERT_NOT_NULL(test, small);
	gs_capacity_set(test, c, 50);
	large = gs_sheaf_prefill(c, GFP_KERNEL, 50);
	KUNIT_ASSERT_NOT_NULL(test, large);
	for (i = 0; i < 60; i++) {
		objs[i] = gs_sheaf_alloc(c, i < 10 ? small : large);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		gs_fill(objs[i], GS_CAPACITY_SIZE, i);
	}
	KUNIT_EXPECT_EQ(test, 0, gs_sheaf_refill(c, GFP_KERNEL, &small, 40));
	gs_capacity_set(test, c, 4);
	KUNIT_EXPECT_EQ(test, 0, gs_sheaf_refill(c, GFP_KERNEL, &large, 20));
	for (i = 60; i < 100; i++) {
		objs[i] = gs_sheaf_alloc(c, small);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		gs_fill(objs[i], GS_CAPACITY_SIZE, i);
	}
	gs_sheaf_return(c, GFP_KERNEL, small);
	gs_sheaf_return(c, GFP_KERNEL, large);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 100);
	for (i = 0; i < 100; i++) {
		KUNIT_EXPECT_TRUE(test, gs_filled(objs[i], GS_CAPACITY_SIZE, i));
		gs_cache_free(c, objs[i]);
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

struct gs_capacity_user {
	struct gs_cache *c;
	unsigned int rounds;
	unsigned int wrong;
};

/* All the ways that an object has, some more at a time than a sheaf has. */
static void gs_capacity_use(void *data)
{
	struct gs_capacity_user *user = data;
	void *objs[150];

	while (!kthread_should_stop()) {
		unsigned int nr = 1 + user->rounds * 7 % ARRAY_SIZE(objs), i;
		struct gs_sheaf *sheaf = NULL;

		if (user->rounds % 3 == 0) {
			sheaf = gs_sheaf_prefill(user->c, GFP_KERNEL, nr);
			user->wrong += !sheaf;
		}
		for (i = 0; i < nr; i++) {
			objs[i] = sheaf ? gs_sheaf_alloc(user->c, sheaf) :
					  gs_cache_alloc(user->c, GFP_KERNEL);
			if (objs[i])
				gs_fill(objs[i], GS_CAPACITY_SIZE, i);
			else
				user->wrong++;
		}
		if (sheaf)
			gs_sheaf_return(user->c, GFP_KERNEL, sheaf);
		for (i = 0; i < nr; i++) {
			if (!objs[i])
				continue;
			user->wrong += !gs_filled(objs[i], GS_CAPACITY_SIZE, i);
			if ((user->rounds + i) % 4)
				gs_cache_free_rcu(user->c, objs[i]);
			else
				gs_cache_free(user->c, objs[i]);
		}
		user->rounds++;
		cond_resched();
	}
}

/* Both CPUs use the cache meanwhile. */
static void gs_capacity_load(struct kunit *test)
{
	static const unsigned int capacities[] = { 2, 60, 5, 1020, 13, 300 };
	struct gs_capacity_user *users;
	struct gs_thread *threads[2];
	struct gs_cache_stats stats;
	struct gs_cache *c;
	void *objs[100];
	int cpu, i;

	users = kunit_kcalloc(test, ARRAY_SIZE(threads), sizeof(*users),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, users);
	cpu = gs_pin_self(test);
	c = gs_test_cache(test, "gs_capacity", GS_CAPACITY_SIZE, NULL,
			  gs_param_flags(test));
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		users[i].c = c;
		threads[i] = gs_thread_run(test, cpu, gs_capacity_use,
					   &users[i]);
		cpu = gs_other_cpu(cpu);
	}
	for (i = 0; i < 120; i++) {
		gs_capacity_set(test, c, capacities[i % ARRAY_SIZE(capacities)]);
		usleep_range(500, 1500);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		KUNIT_EXPECT_TRUE(test,
				  gs_wait_until(READ_ONCE(users[i].rounds) >
						20));
		gs_thread_stop(test, threads[i]);
		KUNIT_EXPECT_EQ(test, users[i].wrong, 0);
	}
	gs_cache_barrier(c);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_GT(test, stats.queued, 0);
	KUNIT_EXPECT_EQ(test, stats.queued, stats.done);
	gs_capacity_set(test, c, 4);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
	}
	KUNIT_EXPECT_LT(test, gs_test_stats(test, c).cached, 4);
	gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_capacity_cases[] = {
	KUNIT_CASE(gs_capacity_bounds),
	KUNIT_CASE_PARAM(gs_capacity_effect, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_capacity_sealed, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_capacity_prefilled, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_capacity_load, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_capacity_suite = {
	.name = "gs_capacity",
	.test_cases = gs_capacity_cases,
};

kunit_test_suite(gs_capacity_suite);
