// SPDX-License-Identifier: GPL-2.0
/*
 * Who looks at a cache's sheaves, or takes them, disturbs those CPUs only that
 * have used the cache: another one has its interrupts off all the time.
 */
#include <linux/irqflags.h>

#include "gs_kunit.h"

#define GS_USERS_OBJECTS	200

/* Keeps its CPU from answering until it is let go, or the limit is over. */
struct gs_deaf {
	bool is_deaf;
	bool let_go;
	bool gave_up;
	struct gs_thread *thread;
};

static void gs_deaf_run(void *data)
{
	struct gs_deaf *deaf = data;
	unsigned int ms = 0;
	unsigned long flags;

	local_irq_save(flags);
	/* Pairs with gs_deaf_hold(). */
	smp_store_release(&deaf->is_deaf, true);
	/* Pairs with gs_deaf_end(). */
	while (!smp_load_acquire(&deaf->let_go) && !deaf->gave_up) {
		mdelay(1);
		if (++ms == GS_READER_LIMIT_MS)
			WRITE_ONCE(deaf->gave_up, true);
	}
	local_irq_restore(flags);
}

static void gs_deaf_let_go(void *data)
{
	struct gs_deaf *deaf = data;

	/* Pairs with gs_deaf_run(). */
	smp_store_release(&deaf->let_go, true);
}

/* Has @cpu, which is not the test's, go deaf. */
static struct gs_deaf *gs_deaf_hold(struct kunit *test, int cpu)
{
	struct gs_deaf *deaf;

	deaf = kunit_kzalloc(test, sizeof(*deaf), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, deaf);
	deaf->thread = gs_thread_run(test, cpu, gs_deaf_run, deaf);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_deaf_let_go, deaf));
	/* Pairs with gs_deaf_run(). */
	KUNIT_ASSERT_TRUE(test, gs_wait_until(smp_load_acquire(&deaf->is_deaf)));
	return deaf;
}

/* It was deaf up to now. */
static void gs_deaf_end(struct kunit *test, struct gs_deaf *deaf)
{
	KUNIT_EXPECT_FALSE(test, READ_ONCE(deaf->gave_up));
	kunit_release_action(test, gs_deaf_let_go, deaf);
	gs_thread_join(test, deaf->thread);
}

/* The CPU that is not the test's; the test is skipped where there is none. */
static int gs_users_other(struct kunit *test)
{
	int cpu = gs_pin_self(test);
	int other = gs_other_cpu(cpu);

	if (other == cpu)
		kunit_skip(test, "there is no other CPU");
	return other;
}

static struct gs_cache *gs_users_cache(struct kunit *test)
{
	return gs_test_cache(test, "gs_users", 64, NULL, gs_param_flags(test));
}

static void gs_users_use(struct kunit *test, struct gs_cache *c)
{
	gs_list_free(c, gs_test_list(test, c, GS_USERS_OBJECTS, NULL));
}

/* Nobody has used it. */
static void gs_users_none(struct kunit *test)
{
	int other = gs_users_other(test);
	struct gs_cache *c = gs_users_cache(test);
	struct gs_deaf *deaf = gs_deaf_hold(test, other);

	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).cached, 0);
	KUNIT_EXPECT_EQ(test, gs_cache_shrink(c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	gs_deaf_end(test, deaf);
}

/* This CPU has, and gives all of it back. */
static void gs_users_own(struct kunit *test)
{
	int other = gs_users_other(test);
	struct gs_cache *c = gs_users_cache(test);
	struct gs_cache_stats stats;
	struct gs_deaf *deaf;

	gs_users_use(test, c);
	deaf = gs_deaf_hold(test, other);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_GT(test, stats.cached, 0);
	KUNIT_EXPECT_GT(test, gs_cache_shrink(c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).slabs, 0);
	/* What the CPU has after it has given everything back is asked for, too. */
	gs_users_use(test, c);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	gs_deaf_end(test, deaf);
}

struct gs_users_there {
	struct gs_cache *c;
	struct gs_node *list;
};

static void gs_users_free(void *data)
{
	struct gs_users_there *there = data;

	gs_list_free(there->c, there->list);
}

/* Another one has, which did nothing but free; @mine: this one as well. */
static void gs_users_elsewhere(struct kunit *test, bool mine)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_users_there *there;
	int other = gs_users_other(test);

	there = kunit_kzalloc(test, sizeof(*there), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, there);
	there->c = gs_users_cache(test);
	there->list = gs_test_list(test, there->c, GS_USERS_OBJECTS, NULL);
	/* What this CPU has is taken from it before. */
	gs_cache_shrink(there->c);
	if (mine)
		gs_users_use(test, there->c);
	gs_thread_join(test, gs_thread_run(test, other, gs_users_free, there));
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, there->c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, there->c), 0);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies);
}

static void gs_users_another(struct kunit *test)
{
	gs_users_elsewhere(test, false);
}

static void gs_users_both(struct kunit *test)
{
	gs_users_elsewhere(test, true);
}

static struct kunit_case gs_users_cases[] = {
	KUNIT_CASE_PARAM(gs_users_none, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_users_own, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_users_another, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_users_both, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_users_suite = {
	.name = "gs_users",
	.test_cases = gs_users_cases,
};

kunit_test_suite(gs_users_suite);
