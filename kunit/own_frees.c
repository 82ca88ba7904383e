// SPDX-License-Identifier: GPL-2.0
/*
 * Destroy and barrier of a cache wait for this cache's frees only: neither
 * another cache's destructor that hangs nor another cache's frees that cannot
 * become due hold them up.
 *
 * The order of events shows it: the other cache is let go only when the call
 * has returned.
 */
#include "gs_kunit.h"

struct gs_own {
	struct completion started;
	struct completion let_go;
	int resumed;
	atomic_t others;
};

static void gs_own_block(void *obj)
{
	struct gs_node *node = obj;
	struct gs_own *own = node->priv;

	complete(&own->started);
	wait_for_completion_timeout(&own->let_go,
				    msecs_to_jiffies(GS_READER_LIMIT_MS));
	WRITE_ONCE(own->resumed, gs_stamp());
}

static void gs_own_count(void *obj)
{
	struct gs_node *node = obj;
	struct gs_own *own = node->priv;

	atomic_inc(&own->others);
}

static void gs_own_let_go(void *data)
{
	struct gs_own *own = data;

	complete_all(&own->let_go);
}

static const struct gs_cache_args gs_own_blocks = {
	.rcu_dtor = gs_own_block,
};

static const struct gs_cache_args gs_own_counts = {
	.rcu_dtor = gs_own_count,
};

static const struct gs_own_param {
	const char *name;
	const struct gs_cache_args *args;
	unsigned long flags;
} gs_own_params[] = {
	{ "plain", NULL, 0 },
	{ "consistency", NULL, GS_CONSISTENCY },
	{ "dtor", &gs_own_counts, 0 },
	{ "dtor_consistency", &gs_own_counts, GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_own, gs_own_params, name);

/* A cache one of whose destructors has started and does not return. */
static struct gs_cache *gs_own_stuck(struct kunit *test, struct gs_own *own)
{
	const unsigned long limit = msecs_to_jiffies(GS_WAIT_MS);
	struct gs_cache *c;

	init_completion(&own->started);
	init_completion(&own->let_go);
	c = gs_test_cache(test, "gs_own_stuck", 64, &gs_own_blocks, 0);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_own_let_go, own));
	gs_list_free_rcu(c, gs_test_list(test, c, 1, own));
	KUNIT_ASSERT_NE(test, 0,
			wait_for_completion_timeout(&own->started, limit));
	return c;
}

/* The call has returned at @returned: only now may the destructor go on. */
static void gs_own_unstick(struct kunit *test, struct gs_own *own,
			   struct gs_cache *stuck, int returned)
{
	KUNIT_EXPECT_EQ_MSG(test, READ_ONCE(own->resumed), 0,
			    "the call waited for another cache's destructor");
	gs_own_let_go(own);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, stuck), 0);
	KUNIT_EXPECT_GT(test, READ_ONCE(own->resumed), returned);
}

static void gs_own_destroy(struct kunit *test)
{
	const struct gs_own_param *param = test->param_value;
	struct gs_cache *c, *stuck;
	struct gs_own *own;
	int returned;

	own = kunit_kzalloc(test, sizeof(*own), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, own);
	c = gs_test_cache(test, "gs_own", 64, param->args, param->flags);
	stuck = gs_own_stuck(test, own);

	gs_list_free_rcu(c, gs_test_list(test, c, 500, own));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	returned = gs_stamp();
	if (param->args)
		KUNIT_EXPECT_EQ(test, atomic_read(&own->others), 500);
	gs_own_unstick(test, own, stuck, returned);
}

static void gs_own_barrier(struct kunit *test)
{
	const struct gs_own_param *param = test->param_value;
	struct gs_cache *c, *stuck;
	struct gs_own *own;
	int returned;

	own = kunit_kzalloc(test, sizeof(*own), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, own);
	c = gs_test_cache(test, "gs_own", 64, param->args, param->flags);
	stuck = gs_own_stuck(test, own);

	gs_list_free_rcu(c, gs_test_list(test, c, 500, own));
	gs_cache_barrier(c);
	returned = gs_stamp();
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 0);
	if (param->args)
		KUNIT_EXPECT_EQ(test, atomic_read(&own->others), 500);
	gs_own_unstick(test, own, stuck, returned);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Frees of the stuck cache that are queued behind its destructor. */
static void gs_own_stuck_more(struct kunit *test)
{
	const struct gs_own_param *param = test->param_value;
	struct gs_cache *c, *stuck;
	struct gs_node *list;
	struct gs_own *own;
	int returned;

	own = kunit_kzalloc(test, sizeof(*own), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, own);
	c = gs_test_cache(test, "gs_own", 64, param->args, param->flags);
	stuck = gs_own_stuck(test, own);

	/* Taken in turns: the two share whatever a CPU gathers them in. */
	for (int i = 0; i < 300; i++) {
		list = gs_test_list(test, stuck, 1, own);
		gs_list_free_rcu(stuck, list);
		list = gs_test_list(test, c, 1, own);
		gs_list_free_rcu(c, list);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	returned = gs_stamp();
	KUNIT_EXPECT_GT(test, gs_test_pending(test, stuck), 0);
	gs_own_unstick(test, own, stuck, returned);
}

/* The other cache's frees are pending and a reader keeps them so. */
static void gs_own_others_pending(struct kunit *test)
{
	const struct gs_own_param *param = test->param_value;
	struct gs_cache *c, *other;
	struct gs_reader *reader;
	struct gs_node *list;
	struct gs_own *own;

	gs_need_reader(test);
	own = kunit_kzalloc(test, sizeof(*own), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, own);
	other = gs_test_cache(test, "gs_own_other", 64, NULL, param->flags);
	c = gs_test_cache(test, "gs_own", 64, param->args, param->flags);
	gs_list_free_rcu(c, gs_test_list(test, c, 500, own));
	gs_cache_barrier(c);
	list = gs_test_list(test, other, 1000, NULL);

	reader = gs_reader_hold(test, NULL, NULL);
	gs_list_free_rcu(other, list);
	gs_cache_barrier(c);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, other), 1000);
	gs_reader_release(test, reader);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, other), 0);
}

static struct kunit_case gs_own_cases[] = {
	KUNIT_CASE_PARAM(gs_own_destroy, gs_own_gen_params),
	KUNIT_CASE_PARAM(gs_own_barrier, gs_own_gen_params),
	KUNIT_CASE_PARAM(gs_own_stuck_more, gs_own_gen_params),
	KUNIT_CASE_PARAM(gs_own_others_pending, gs_own_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_own_suite = {
	.name = "gs_own_frees",
	.test_cases = gs_own_cases,
};

kunit_test_suite(gs_own_suite);
