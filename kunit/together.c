// SPDX-License-Identifier: GPL-2.0
/*
 * Caches that are destroyed at the same time wait at the same time: for the
 * same grace period, and not for each other.
 */
#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/rcupdate.h>

#include "gs_kunit.h"

#define GS_TOGETHER_NR	16

struct gs_together {
	struct gs_cache *c;
	atomic_t *begun;
	unsigned long over; /* the grace period when it was over */
	int ret;
};

/* Whoever asks for one now waits for this one's end. */
static unsigned long gs_grace_period(void)
{
	return get_state_synchronize_rcu() >> 2;
}

static void gs_together_destroy(void *data)
{
	struct gs_together *t = data;

	atomic_inc(t->begun);
	t->ret = gs_cache_destroy(t->c);
	t->over = gs_grace_period();
}

static atomic_t gs_together_dead;

static void gs_together_dtor(void *obj)
{
	atomic_inc(&gs_together_dead);
}

/* Each has frees pending, which a reader holds up until all of them wait. */
static void gs_together_one_wait(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.rcu_dtor = gs_together_dtor
	};
	struct gs_thread *threads[GS_TOGETHER_NR];
	unsigned int i, over = 0, later = 0;
	struct gs_together *all;
	struct gs_reader *reader;
	unsigned long from;
	char name[24];
	atomic_t *begun;
	int cpu;

	gs_need_reader(test);
	all = kunit_kcalloc(test, GS_TOGETHER_NR, sizeof(*all), GFP_KERNEL);
	begun = kunit_kzalloc(test, sizeof(*begun), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, all);
	KUNIT_ASSERT_NOT_NULL(test, begun);
	atomic_set(&gs_together_dead, 0);
	for (i = 0; i < GS_TOGETHER_NR; i++) {
		snprintf(name, sizeof(name), "gs_together_%u", i);
		all[i].begun = begun;
		all[i].c = gs_cache_create(name, 64, i & 1 ? &args : NULL,
					   gs_param_flags(test));
		KUNIT_ASSERT_FALSE(test, IS_ERR(all[i].c));
	}
	cpu = gs_pin_self(test);
	reader = gs_reader_hold(test, NULL, NULL);
	for (i = 0; i < GS_TOGETHER_NR; i++) {
		gs_list_free_rcu(all[i].c,
				 gs_test_list(test, all[i].c, 10, NULL));
		threads[i] = gs_thread_run(test, cpu, gs_together_destroy,
					   &all[i]);
	}
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(atomic_read(begun) == GS_TOGETHER_NR));
	KUNIT_EXPECT_TRUE(test, gs_threads_wait(threads, GS_TOGETHER_NR));
	for (i = 0; i < GS_TOGETHER_NR; i++)
		over += READ_ONCE(all[i].over) != 0;
	KUNIT_EXPECT_EQ(test, over, 0);
	from = gs_grace_period();
	gs_reader_release(test, reader);
	for (i = 0; i < GS_TOGETHER_NR; i++) {
		gs_thread_join(test, threads[i]);
		KUNIT_EXPECT_EQ(test, all[i].ret, 0);
		later = max_t(unsigned int, later, all[i].over - from);
	}
	kunit_info(test, "%d caches were destroyed in %u grace periods\n",
		   GS_TOGETHER_NR, later);
	/* One after the other would take one each. */
	KUNIT_EXPECT_LT(test, later, GS_TOGETHER_NR / 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_together_dead),
			GS_TOGETHER_NR / 2 * 10);
}

/* While one waits everything else goes on: no lock of all caches is held. */
static void gs_together_others(struct kunit *test)
{
	struct gs_together *one;
	struct gs_cache *root, *other;
	struct gs_reader *reader;
	struct gs_thread *thread;
	atomic_t *begun;
	int cpu, i;

	gs_need_reader(test);
	one = kunit_kzalloc(test, sizeof(*one), GFP_KERNEL);
	begun = kunit_kzalloc(test, sizeof(*begun), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, one);
	KUNIT_ASSERT_NOT_NULL(test, begun);
	one->begun = begun;
	one->c = gs_cache_create("gs_together", 64, NULL, gs_param_flags(test));
	KUNIT_ASSERT_FALSE(test, IS_ERR(one->c));
	root = gs_test_cache(test, "gs_together_root", 64, NULL,
			     gs_param_flags(test));
	cpu = gs_pin_self(test);
	reader = gs_reader_hold(test, NULL, NULL);
	gs_list_free_rcu(one->c, gs_test_list(test, one->c, 10, NULL));
	thread = gs_thread_run(test, cpu, gs_together_destroy, one);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(atomic_read(begun)));
	KUNIT_EXPECT_TRUE(test, gs_threads_wait(&thread, 1));

	for (i = 0; i < 5; i++) {
		/* The name is free already. */
		other = gs_test_cache(test, "gs_together", 64, NULL,
				      gs_param_flags(test));
		gs_list_free(other, gs_test_list(test, other, 100, NULL));
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, other).live, 0);
		gs_cache_barrier(other);
		gs_cache_shrink(other);
		KUNIT_EXPECT_EQ(test, gs_cache_set_sheaf_capacity(other, 5), 0);
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, other), 0);
		KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_child(root, i) !=
						      root));
		gs_reclaim(1);
	}
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	KUNIT_EXPECT_EQ(test, READ_ONCE(one->over), 0);
	gs_reader_release(test, reader);
	gs_thread_join(test, thread);
	KUNIT_EXPECT_EQ(test, one->ret, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

static struct kunit_case gs_together_cases[] = {
	KUNIT_CASE_PARAM(gs_together_one_wait, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_together_others, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_together_suite = {
	.name = "gs_together",
	.test_cases = gs_together_cases,
};

kunit_test_suite(gs_together_suite);
