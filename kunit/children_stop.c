// SPDX-License-Identifier: GPL-2.0
/*
 * A root is destroyed while its worker is at work: the worker alone changes the
 * table of children until it is done, and what it makes meanwhile goes as well.
 */
#include "gs_kunit.h"

struct gs_stop {
	struct kunit *test;
	struct gs_cache *root;
	struct completion let_go;
	bool ended;
	int ret;
};

/* Holds up whoever waits for the free of the object. */
static void gs_stop_dtor(void *obj)
{
	struct gs_node *node = obj;
	struct gs_stop *stop = node->priv;

	wait_for_completion_timeout(&stop->let_go,
				    msecs_to_jiffies(GS_READER_LIMIT_MS));
}

static void gs_stop_let_go(void *data)
{
	struct gs_stop *stop = data;

	complete_all(&stop->let_go);
}

static void gs_stop_destroy(void *data)
{
	struct gs_stop *stop = data;

	stop->ret = gs_test_destroy(stop->test, stop->root);
	WRITE_ONCE(stop->ended, true);
}

/* No more references are given: it is being destroyed, or closed. */
static bool gs_stop_ends(struct gs_cache *c)
{
	if (!gs_cache_tryget(c))
		return true;
	gs_cache_put(c);
	return false;
}

static void gs_stop_at_work(struct kunit *test)
{
	static const struct gs_cache_args args = { .rcu_dtor = gs_stop_dtor };
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache *root, *leaving, *stays;
	struct gs_thread *thread;
	struct gs_stop *stop;

	stop = kunit_kzalloc(test, sizeof(*stop), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, stop);
	init_completion(&stop->let_go);
	root = gs_test_cache(test, "gs_stop", 96, &args, gs_param_flags(test));
	stop->test = test;
	stop->root = root;
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_stop_let_go, stop));
	KUNIT_ASSERT_TRUE(test,
			  gs_wait_until((leaving = gs_cache_child(root, 1)) !=
					root));
	KUNIT_ASSERT_TRUE(test,
			  gs_wait_until((stays = gs_cache_child(root, 2)) !=
					root));

	/* The worker closes a child, and waits for an object of it. */
	gs_list_free_rcu(root, gs_test_list(test, leaving, 1, stop));
	gs_cache_child_gone(root, 1);
	KUNIT_ASSERT_TRUE(test, gs_wait_until(gs_stop_ends(leaving)));
	/* When it is done with that, it makes another one. */
	KUNIT_EXPECT_PTR_EQ(test, root, gs_cache_child(root, 3));

	thread = gs_thread_run(test, gs_pin_self(test), gs_stop_destroy, stop);
	KUNIT_ASSERT_TRUE(test, gs_wait_until(gs_stop_ends(root)));
	fsleep(50 * USEC_PER_MSEC);
	KUNIT_EXPECT_PTR_EQ(test, stays, gs_cache_child(root, 2));
	KUNIT_EXPECT_FALSE(test, READ_ONCE(stop->ended));

	kunit_release_action(test, gs_stop_let_go, stop);
	gs_thread_join(test, thread);
	KUNIT_EXPECT_EQ(test, stop->ret, 0);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies);
	/* Nothing of it is left that a cache of this name would meet. */
	root = gs_test_cache(test, "gs_stop", 96, NULL, gs_param_flags(test));
	KUNIT_ASSERT_TRUE(test, gs_wait_until(gs_cache_child(root, 3) != root));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

static struct kunit_case gs_stop_cases[] = {
	KUNIT_CASE_PARAM(gs_stop_at_work, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_stop_suite = {
	.name = "gs_children_stop",
	.test_cases = gs_stop_cases,
};

kunit_test_suite(gs_stop_suite);
