// SPDX-License-Identifier: GPL-2.0
/*
 * Caches destroyed by workers that memory reclaim relies on, shortly after
 * their objects were queued, several at a time and on every CPU: nothing is
 * lost, and no worker waits for one that cannot run.
 */
#include <linux/cpumask.h>
#include <linux/random.h>
#include <linux/workqueue.h>

#include "gs_kunit.h"

#define GS_WQ_CACHES	10
#define GS_WQ_ROUNDS	5
#define GS_WQ_DELAY_MS	30

struct gs_wq_one {
	struct delayed_work work;
	struct gs_cache *c;
	struct gs_node *list;
	atomic_t dtors;
	bool queued;
	bool held; /* the reader was inside when the worker ran, for sure */
	bool entered;
	u64 pending;
	int ret;
};

static void gs_wq_dtor(void *obj)
{
	struct gs_node *node = obj;
	struct gs_wq_one *one = node->priv;

	atomic_inc(&one->dtors);
}

static void gs_wq_fn(struct work_struct *work)
{
	struct gs_wq_one *one = container_of(to_delayed_work(work),
					     struct gs_wq_one, work);
	struct gs_cache_stats stats;

	if (!one->queued)
		gs_list_free_rcu(one->c, one->list);
	if (!gs_cache_stats(one->c, &stats))
		one->pending = stats.queued - stats.done;
	WRITE_ONCE(one->entered, true);
	one->ret = gs_cache_destroy(one->c);
}

static void gs_wq_gone(void *wq)
{
	destroy_workqueue(wq);
}

static const struct gs_wq_param {
	const char *name;
	unsigned int objects;
	bool dtor;
	unsigned long flags;
} gs_wq_params[] = {
	{ "1", 1 },
	{ "500", 500 },
	{ "500_dtor", 500, true },
	{ "500_consistency", 500, false, GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_wq, gs_wq_params, name);

static void gs_wq_destroy(struct kunit *test)
{
	static const struct gs_cache_args with_dtor = { .rcu_dtor = gs_wq_dtor };
	const struct gs_wq_param *param = test->param_value;
	unsigned int zombies = gs_cache_zombies(), round, i;
	struct workqueue_struct *wq;
	struct gs_wq_one *ones;
	int cpu = -1, self = gs_pin_self(test);

	ones = gs_test_array(test, GS_WQ_CACHES, sizeof(*ones));
	wq = alloc_workqueue("gs_wq_destroy", WQ_MEM_RECLAIM | WQ_PERCPU, 0);
	KUNIT_ASSERT_NOT_NULL(test, wq);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_wq_gone, wq));
	for (round = 0; round < GS_WQ_ROUNDS; round++) {
		struct gs_reader *reader = NULL;

		for (i = 0; i < GS_WQ_CACHES; i++) {
			struct gs_wq_one *one = &ones[i];
			char name[32];

			memset(one, 0, sizeof(*one));
			INIT_DELAYED_WORK(&one->work, gs_wq_fn);
			snprintf(name, sizeof(name), "gs_wq_%u", i);
			one->c = gs_cache_create(name, 64,
						 param->dtor ? &with_dtor : NULL,
						 param->flags);
			KUNIT_ASSERT_FALSE(test, IS_ERR(one->c));
			one->list = gs_test_list(test, one->c, param->objects,
						 one);
		}
		if (gs_can_hold_reader())
			reader = gs_reader_hold(test, NULL, NULL);
		for (i = 0; i < GS_WQ_CACHES; i++) {
			struct gs_wq_one *one = &ones[i];
			unsigned int ms = 0;

			cpu = cpumask_next_wrap(cpu, cpu_online_mask);
			if (reader) {
				ms = get_random_u32_below(GS_WQ_DELAY_MS + 1);
				gs_list_free_rcu(one->c, one->list);
				one->queued = true;
			}
			/* A reader that keeps its CPU keeps a worker from it. */
			one->held = IS_ENABLED(CONFIG_PREEMPT_RCU) || !reader ||
				    cpu == self;
			queue_delayed_work_on(cpu, wq, &one->work,
					      msecs_to_jiffies(ms));
		}
		/* Nothing can have come back before each has begun. */
		for (i = 0; reader && i < GS_WQ_CACHES; i++) {
			struct gs_wq_one *one = &ones[i];

			if (!one->held)
				continue;
			KUNIT_EXPECT_TRUE(test,
					  gs_wait_until(READ_ONCE(one->entered)));
		}
		if (reader)
			gs_reader_release(test, reader);
		for (i = 0; i < GS_WQ_CACHES; i++)
			flush_delayed_work(&ones[i].work);
		for (i = 0; i < GS_WQ_CACHES; i++) {
			if (ones[i].held)
				KUNIT_EXPECT_GT(test, ones[i].pending, 0);
			KUNIT_EXPECT_EQ(test, ones[i].ret, 0);
			KUNIT_EXPECT_EQ(test, atomic_read(&ones[i].dtors),
					param->dtor ? param->objects : 0);
		}
	}
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies);
}

static struct kunit_case gs_wq_cases[] = {
	KUNIT_CASE_PARAM(gs_wq_destroy, gs_wq_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_wq_suite = {
	.name = "gs_wq_destroy",
	.test_cases = gs_wq_cases,
};

kunit_test_suite(gs_wq_suite);
