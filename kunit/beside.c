// SPDX-License-Identifier: GPL-2.0
/*
 * A barrier waits for what somebody else already has in hand: a worker that is
 * inside of a destructor when the barrier begins, with nothing left in queues.
 */
#include <linux/completion.h>

#include "gs_kunit.h"

struct gs_beside {
	struct gs_cache *c;
	bool all;
	struct completion started;
	struct completion let_go;
	int left;
	int returned;
};

static void gs_beside_linger(void *obj)
{
	struct gs_node *node = obj;
	struct gs_beside *beside = node->priv;

	complete(&beside->started);
	wait_for_completion_timeout(&beside->let_go,
				    msecs_to_jiffies(GS_READER_LIMIT_MS));
	WRITE_ONCE(beside->left, gs_stamp());
}

static void gs_beside_let_go(void *data)
{
	struct gs_beside *beside = data;

	complete_all(&beside->let_go);
}

static void gs_beside_wait(void *data)
{
	struct gs_beside *beside = data;

	if (beside->all)
		gs_barrier();
	else
		gs_cache_barrier(beside->c);
	WRITE_ONCE(beside->returned, gs_stamp());
}

static const struct gs_beside_param {
	const char *name;
	bool all;
	unsigned long flags;
} gs_beside_params[] = {
	{ "barrier", false, 0 },
	{ "barrier_consistency", false, GS_CONSISTENCY },
	{ "barrier_of_all", true, 0 },
	{ "barrier_of_all_consistency", true, GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_beside, gs_beside_params, name);

static void gs_beside_worker(struct kunit *test)
{
	const struct gs_beside_param *param = test->param_value;
	const struct gs_cache_args args = { .rcu_dtor = gs_beside_linger };
	const unsigned long limit = msecs_to_jiffies(GS_WAIT_MS);
	struct gs_beside *beside;
	struct gs_thread *thread;
	int cpu = gs_pin_self(test);

	beside = kunit_kzalloc(test, sizeof(*beside), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, beside);
	beside->all = param->all;
	init_completion(&beside->started);
	init_completion(&beside->let_go);
	beside->c = gs_test_cache(test, "gs_beside", 64, &args, param->flags);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_beside_let_go,
						  beside));
	gs_list_free_rcu(beside->c, gs_test_list(test, beside->c, 1, beside));
	KUNIT_ASSERT_NE(test, 0,
			wait_for_completion_timeout(&beside->started, limit));
	thread = gs_thread_run(test, gs_other_cpu(cpu), gs_beside_wait, beside);
	/* Long enough for a barrier that forgets the worker. */
	fsleep(200 * USEC_PER_MSEC);
	KUNIT_EXPECT_EQ(test, READ_ONCE(beside->returned), 0);
	kunit_release_action(test, gs_beside_let_go, beside);
	gs_thread_join(test, thread);
	KUNIT_EXPECT_GT(test, beside->left, 0);
	KUNIT_EXPECT_LT(test, beside->left, beside->returned);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, beside->c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, beside->c), 0);
}

static struct kunit_case gs_beside_cases[] = {
	KUNIT_CASE_PARAM(gs_beside_worker, gs_beside_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_beside_suite = {
	.name = "gs_beside",
	.test_cases = gs_beside_cases,
};

kunit_test_suite(gs_beside_suite);
