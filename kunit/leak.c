// SPDX-License-Identifier: GPL-2.0
/*
 * Objects that are still out when their cache is destroyed are reported, one
 * line each up to a limit and one summary; the cache's name is free at once,
 * and the objects can be freed later, which ends what is left of the cache.
 */
#include "gs_kunit.h"

#define GS_LEAK_LINES	16	/* objects that a report names */

static const char gs_leak_line[] = "graceslab: gs_leak: leaked object ";

static void gs_leak_destroy(struct kunit *test, struct gs_cache *c,
			    unsigned int nr)
{
	char summary[80];
	struct gs_log log;

	gs_log_mark(&log);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), -EBUSY);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, gs_leak_line),
			min(nr, GS_LEAK_LINES));
	scnprintf(summary, sizeof(summary),
		  "graceslab: gs_leak: destroyed with %u of ", nr);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, summary), 1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, " objects still in use"), 1);
	KUNIT_EXPECT_EQ(test,
			gs_log_count(&log, "graceslab: gs_leak: ... and "),
			nr > GS_LEAK_LINES);
}

static void gs_leak_report(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache *c, *again;
	void *obj[3], *other;
	struct gs_log log;
	int i;

	c = gs_test_cache(test, "gs_leak", 80, NULL, gs_param_flags(test));
	for (i = 0; i < ARRAY_SIZE(obj); i++) {
		obj[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, obj[i]);
		gs_fill(obj[i], 80, i);
	}
	gs_cache_free(c, obj[1]);

	gs_log_mark(&log);
	gs_leak_destroy(test, c, 2);
	KUNIT_EXPECT_EQ(test, gs_log_count_obj(&log, gs_leak_line, obj[0]), 1);
	KUNIT_EXPECT_EQ(test, gs_log_count_obj(&log, gs_leak_line, obj[1]), 0);
	KUNIT_EXPECT_EQ(test, gs_log_count_obj(&log, gs_leak_line, obj[2]), 1);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies + 1);

	/* The name is free, and what has it now is another cache. */
	again = gs_test_cache(test, "gs_leak", 80, NULL, gs_param_flags(test));
	other = gs_cache_alloc(again, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, other);
	if (other)
		gs_cache_free(again, other);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, again), 0);

	/* The objects are still their users'. */
	KUNIT_EXPECT_TRUE(test, gs_filled(obj[0], 80, 0));
	KUNIT_EXPECT_TRUE(test, gs_filled(obj[2], 80, 2));
	gs_cache_free(c, obj[0]);
	gs_barrier();
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies + 1);
	KUNIT_EXPECT_TRUE(test, gs_filled(obj[2], 80, 2));
	gs_cache_free(c, obj[2]);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

static void gs_leak_late_free_rcu(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_node *list;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_leak", 80, NULL, gs_param_flags(test));
	list = gs_test_list(test, c, 10, NULL);
	gs_leak_destroy(test, c, 10);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies + 1);
	gs_list_free_rcu(c, list);
	gs_barrier();
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

/* A late free waits for its readers as any other. */
static void gs_leak_late_reader(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_reader *reader;
	struct gs_node *node;
	struct gs_cache *c;

	gs_need_reader(test);
	c = gs_test_cache(test, "gs_leak", 80, NULL, gs_param_flags(test));
	node = gs_test_list(test, c, 1, NULL);
	gs_leak_destroy(test, c, 1);
	reader = gs_reader_hold(test, NULL, NULL);
	node->key = 0xfee1;
	gs_cache_free_rcu(c, node);
	msleep(50);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies + 1);
	KUNIT_EXPECT_EQ(test, READ_ONCE(node->key), 0xfee1);
	gs_reader_release(test, reader);
	gs_barrier();
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

static void gs_leak_many(struct kunit *test)
{
	static const unsigned int nr[] = { 1, 16, 17, 20, 1000 };
	unsigned int zombies = gs_cache_zombies();
	int i;

	for (i = 0; i < ARRAY_SIZE(nr); i++) {
		struct gs_node *list;
		struct gs_cache *c;

		c = gs_test_cache(test, "gs_leak", 64, NULL,
				  gs_param_flags(test));
		list = gs_test_list(test, c, nr[i], NULL);
		gs_leak_destroy(test, c, nr[i]);
		gs_list_free(c, list);
		KUNIT_EXPECT_TRUE(test,
				  gs_wait_until(gs_cache_zombies() == zombies));
	}
}

/* Frees that are pending come back first and are no leak. */
static void gs_leak_beside_pending(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_node *leaked, *pending;
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_leak", 64, NULL, gs_param_flags(test));
	pending = gs_test_list(test, c, 500, NULL);
	leaked = gs_test_list(test, c, 3, NULL);
	gs_list_free_rcu(c, pending);
	KUNIT_EXPECT_TRUE(test, gs_test_keep_pending(test, c));
	gs_leak_destroy(test, c, 3);
	gs_list_free(c, leaked);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

static atomic_t gs_leak_dtors;

static void gs_leak_dtor(void *obj)
{
	atomic_inc(&gs_leak_dtors);
}

/* An object that is freed late has its destructor called. */
static void gs_leak_late_dtor(struct kunit *test)
{
	static const struct gs_cache_args args = { .rcu_dtor = gs_leak_dtor };
	unsigned int zombies = gs_cache_zombies();
	struct gs_node *list, *first;
	struct gs_cache *c;

	atomic_set(&gs_leak_dtors, 0);
	c = gs_test_cache(test, "gs_leak", 64, &args, gs_param_flags(test));
	list = gs_test_list(test, c, 5, NULL);
	gs_leak_destroy(test, c, 5);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_leak_dtors), 0);
	first = list;
	list = list->next;
	gs_cache_free(c, first);
	gs_list_free_rcu(c, list);
	gs_barrier();
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_leak_dtors), 4);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

static struct kunit_case gs_leak_cases[] = {
	KUNIT_CASE_PARAM(gs_leak_report, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_leak_late_free_rcu, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_leak_late_reader, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_leak_many, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_leak_beside_pending, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_leak_late_dtor, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_leak_suite = {
	.name = "gs_leak",
	.test_cases = gs_leak_cases,
};

kunit_test_suite(gs_leak_suite);
