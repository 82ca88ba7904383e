// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's shrinker does where memory is short: unused memory goes,
 * what is in use or pending stays, and no destructor is called.
 */
#include <linux/atomic.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "gs_kunit.h"

#define GS_RECLAIM_SIZE	256

/* Empty slabs, and what is in the barn, and this CPU's spare sheaf. */
static void gs_reclaim_unused(struct kunit *test)
{
	struct gs_cache_args args = { .sheaf_capacity = 30 };
	struct gs_cache_stats before, after;
	struct gs_cache *c;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_reclaim", GS_RECLAIM_SIZE, &args,
			  gs_param_flags(test));
	gs_list_free(c, gs_test_list(test, c, 4000, NULL));
	before = gs_test_stats(test, c);
	KUNIT_EXPECT_GT(test, before.cached, 2 * args.sheaf_capacity);
	KUNIT_EXPECT_EQ(test, gs_reclaim(0), 0);
	KUNIT_EXPECT_GT(test, gs_reclaim(ULONG_MAX), 0);
	after = gs_test_stats(test, c);
	/* The CPU's main sheaf stays, and the slabs that its objects are in. */
	KUNIT_EXPECT_LE(test, after.cached, args.sheaf_capacity);
	KUNIT_EXPECT_LE(test, after.slabs, args.sheaf_capacity);
	KUNIT_EXPECT_LT(test, after.slabs, before.slabs);
	KUNIT_EXPECT_EQ(test, after.live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* No more than is wanted, by and by from every cache. */
static void gs_reclaim_wanted(struct kunit *test)
{
	struct gs_cache *caches[4];
	u64 before[4], given = 0;
	unsigned int turn, i;
	char name[16];

	gs_pin_self(test);
	for (i = 0; i < ARRAY_SIZE(caches); i++) {
		snprintf(name, sizeof(name), "gs_reclaim%u", i);
		caches[i] = gs_test_cache(test, name, GS_RECLAIM_SIZE, NULL, 0);
		/* So few that they do not give any back by themselves. */
		gs_list_free(caches[i],
			     gs_test_list(test, caches[i], 100, NULL));
		before[i] = gs_test_stats(test, caches[i]).slabs;
	}
	for (turn = 0; turn < ARRAY_SIZE(caches); turn++) {
		unsigned int shrunk = 0;

		given = gs_reclaim(1);
		for (i = 0; i < ARRAY_SIZE(caches); i++)
			shrunk += gs_test_stats(test, caches[i]).slabs <
				  before[i];
		KUNIT_EXPECT_GT(test, given, 0);
		KUNIT_EXPECT_EQ(test, shrunk, turn + 1);
	}
	for (i = 0; i < ARRAY_SIZE(caches); i++)
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, caches[i]), 0);
}

struct gs_reclaim_user {
	struct gs_cache *c;
	unsigned int rounds;
	unsigned int wrong;
};

static void gs_reclaim_use(void *data)
{
	struct gs_reclaim_user *user = data;
	void *objs[100];
	unsigned int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < ARRAY_SIZE(objs); i++) {
			objs[i] = gs_cache_alloc(user->c, GFP_KERNEL);
			if (objs[i])
				gs_fill(objs[i], GS_RECLAIM_SIZE, i);
			else
				user->wrong++;
		}
		for (i = 0; i < ARRAY_SIZE(objs); i++) {
			if (!objs[i])
				continue;
			user->wrong += !gs_filled(objs[i], GS_RECLAIM_SIZE, i);
			if (i % 3)
				gs_cache_free_rcu(user->c, objs[i]);
			else
				gs_cache_free(user->c, objs[i]);
		}
		user->rounds++;
		cond_resched();
	}
}

/* Others use the cache all the while. */
static void gs_reclaim_busy(struct kunit *test)
{
	struct gs_reclaim_user *user;
	struct gs_cache_stats stats;
	struct gs_thread *thread;
	int cpu, i;

	user = kunit_kzalloc(test, sizeof(*user), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, user);
	cpu = gs_pin_self(test);
	user->c = gs_test_cache(test, "gs_reclaim", GS_RECLAIM_SIZE, NULL,
				gs_param_flags(test));
	thread = gs_thread_run(test, gs_other_cpu(cpu), gs_reclaim_use, user);
	for (i = 0; i < 100; i++) {
		gs_reclaim(1 + i % 50);
		usleep_range(300, 600);
	}
	KUNIT_EXPECT_TRUE(test, gs_wait_until(READ_ONCE(user->rounds) > 20));
	gs_thread_stop(test, thread);
	KUNIT_EXPECT_EQ(test, user->wrong, 0);
	gs_cache_barrier(user->c);
	stats = gs_test_stats(test, user->c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, stats.queued, stats.done);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, user->c), 0);
}

static struct task_struct *gs_reclaim_task;
static atomic_t gs_reclaim_dead, gs_reclaim_misplaced;

static void gs_reclaim_dtor(void *obj)
{
	atomic_inc(&gs_reclaim_dead);
	if (current == READ_ONCE(gs_reclaim_task))
		atomic_inc(&gs_reclaim_misplaced);
}

/* Destructors are their worker's: who waits for memory may hold any lock. */
static void gs_reclaim_no_dtor(struct kunit *test)
{
	static const struct gs_cache_args args = { .rcu_dtor = gs_reclaim_dtor };
	struct gs_cache *c;
	int round;

	c = gs_test_cache(test, "gs_reclaim", GS_RECLAIM_SIZE, &args,
			  gs_param_flags(test));
	atomic_set(&gs_reclaim_dead, 0);
	atomic_set(&gs_reclaim_misplaced, 0);
	for (round = 0; round < 10; round++) {
		gs_list_free_rcu(c, gs_test_list(test, c, 400, NULL));
		WRITE_ONCE(gs_reclaim_task, current);
		synchronize_rcu();
		gs_reclaim(ULONG_MAX);
		WRITE_ONCE(gs_reclaim_task, NULL);
	}
	gs_cache_barrier(c);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_reclaim_dead), 10 * 400);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_reclaim_misplaced), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_reclaim_cases[] = {
	KUNIT_CASE_PARAM(gs_reclaim_unused, gs_flags_gen_params),
	KUNIT_CASE(gs_reclaim_wanted),
	KUNIT_CASE_PARAM(gs_reclaim_busy, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_reclaim_no_dtor, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_reclaim_suite = {
	.name = "gs_reclaim",
	.test_cases = gs_reclaim_cases,
};

kunit_test_suite(gs_reclaim_suite);
