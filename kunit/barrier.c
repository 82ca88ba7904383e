// SPDX-License-Identifier: GPL-2.0
/*
 * When gs_cache_barrier() returns, everything that was queued to the cache
 * before the call has come back, wherever it was queued; gs_barrier() says the
 * same of everything. What is queued after the call does not prolong it.
 */
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "gs_kunit.h"

static atomic_t gs_barrier_dtors;

static void gs_barrier_dtor(void *obj)
{
	atomic_inc(&gs_barrier_dtors);
}

static const struct gs_cache_args gs_barrier_args = {
	.rcu_dtor = gs_barrier_dtor,
};

static const struct gs_barrier_param {
	const char *name;
	const struct gs_cache_args *args;
	unsigned long flags;
} gs_barrier_params[] = {
	{ "plain", NULL, 0 },
	{ "consistency", NULL, GS_CONSISTENCY },
	{ "dtor", &gs_barrier_args, 0 },
	{ "dtor_consistency", &gs_barrier_args, GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_barrier, gs_barrier_params, name);

struct gs_barrier_queue {
	struct gs_cache *c;
	struct gs_node *list;
};

static void gs_barrier_queue(void *data)
{
	struct gs_barrier_queue *queue = data;

	gs_list_free_rcu(queue->c, queue->list);
}

/* From two CPUs, with and without interrupts, in every amount. */
static void gs_barrier_all_back(struct kunit *test)
{
	static const unsigned int nr[] = { 1, 2, 31, 64, 500, 3000 };
	const struct gs_barrier_param *param = test->param_value;
	struct gs_barrier_queue remote;
	struct gs_cache_stats stats;
	struct gs_thread *thread;
	struct gs_node *list, *off;
	bool held = gs_can_hold_reader();
	unsigned int total = 0, pending = 0;
	struct gs_reader *reader = NULL;
	unsigned long flags;
	struct gs_cache *c;
	int cpu, i;

	atomic_set(&gs_barrier_dtors, 0);
	cpu = gs_pin_self(test);
	c = gs_test_cache(test, "gs_barrier", 64, param->args, param->flags);
	for (i = 0; i < ARRAY_SIZE(nr); i++) {
		remote.c = c;
		remote.list = gs_test_list(test, c, nr[i], NULL);
		list = gs_test_list(test, c, nr[i], NULL);
		off = gs_test_list(test, c, min(nr[i], 100U), NULL);
		thread = gs_thread_run(test, gs_other_cpu(cpu),
				       gs_barrier_queue, &remote);
		gs_thread_join(test, thread);
		if (held)
			reader = gs_reader_hold(test, NULL, NULL);
		gs_list_free_rcu(c, list);
		local_irq_save(flags);
		gs_list_free_rcu(c, off);
		local_irq_restore(flags);
		total += 2 * nr[i] + min(nr[i], 100U);

		stats = gs_test_stats(test, c);
		KUNIT_EXPECT_EQ(test, stats.queued, total);
		pending += stats.done < total;
		if (held)
			gs_reader_release(test, reader);
		gs_cache_barrier(c);
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).done, total);
		if (param->args)
			KUNIT_EXPECT_EQ(test, atomic_read(&gs_barrier_dtors),
					total);
	}
	/* Without a reader, whoever looks may come late. */
	KUNIT_EXPECT_GE(test, pending, held ? ARRAY_SIZE(nr) : 1);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* A reader that was there before is waited for, and so is the destructor. */
static void gs_barrier_waits(struct kunit *test)
{
	const struct gs_barrier_param *param = test->param_value;
	struct gs_reader *reader;
	struct gs_cache *c;
	struct gs_node *list;
	int returned;

	gs_need_reader(test);
	atomic_set(&gs_barrier_dtors, 0);
	c = gs_test_cache(test, "gs_barrier", 64, param->args, param->flags);
	list = gs_test_list(test, c, 100, NULL);
	reader = gs_reader_hold(test, NULL, NULL);
	gs_list_free_rcu(c, list);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 100);
	gs_reader_leave_in(reader, 50);
	gs_cache_barrier(c);
	returned = gs_stamp();
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 0);
	if (param->args)
		KUNIT_EXPECT_EQ(test, atomic_read(&gs_barrier_dtors), 100);
	KUNIT_EXPECT_LT(test, gs_reader_left(test, reader), returned);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static bool gs_barrier_bits(struct gs_cache *c, struct gs_node *list)
{
	struct gs_cache_stats before, after;

	if (gs_cache_stats(c, &before))
		return false;
	gs_inject(GS_INJECT_SHEAF, INT_MAX);
	gs_list_free_rcu(c, list);
	gs_inject(GS_INJECT_SHEAF, 0);
	return !gs_cache_stats(c, &after) &&
	       after.queued_bits == before.queued_bits + 1;
}

/*
 * Objects of one slab that went by its bits, one after the other: the second one
 * can only begin to wait when the first has come back, and is waited for as well.
 */
static void gs_barrier_two_rounds(struct kunit *test)
{
	const struct gs_barrier_param *param = test->param_value;
	struct gs_node *first, *second;
	struct gs_reader *reader;
	struct gs_cache *c;

	gs_need_reader(test);
	atomic_set(&gs_barrier_dtors, 0);
	c = gs_test_cache(test, "gs_barrier", 64, param->args, param->flags);
	first = gs_test_list(test, c, 1, NULL);
	second = gs_test_list(test, c, 1, NULL);
	/* No sheaf is left that they could go to. */
	gs_cache_shrink(c);
	reader = gs_reader_hold(test, NULL, NULL);
	KUNIT_EXPECT_TRUE(test, gs_barrier_bits(c, first));
	/* The worker has the first one wait: it promotes what it finds. */
	fsleep(50 * USEC_PER_MSEC);
	KUNIT_EXPECT_TRUE(test, gs_barrier_bits(c, second));
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 2);
	gs_reader_leave_in(reader, 20);
	gs_cache_barrier(c);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 0);
	if (param->args)
		KUNIT_EXPECT_EQ(test, atomic_read(&gs_barrier_dtors), 2);
	gs_reader_left(test, reader);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

struct gs_barrier_forever {
	struct gs_cache *c;
	unsigned int queued;
	int ended;
};

static void gs_barrier_queue_forever(void *data)
{
	struct gs_barrier_forever *forever = data;
	unsigned long end = jiffies + msecs_to_jiffies(GS_READER_LIMIT_MS);

	while (!kthread_should_stop() && time_before(jiffies, end)) {
		void *obj = gs_cache_alloc(forever->c, GFP_KERNEL);

		if (obj) {
			gs_cache_free_rcu(forever->c, obj);
			WRITE_ONCE(forever->queued, forever->queued + 1);
		}
		/* Bound what is pending: this is no test of memory. */
		if (!(forever->queued % 256))
			usleep_range(100, 200);
	}
	WRITE_ONCE(forever->ended, gs_stamp());
}

/* Somebody else never stops to queue. */
static void gs_barrier_not_prolonged(struct kunit *test)
{
	const struct gs_barrier_param *param = test->param_value;
	struct gs_barrier_forever *forever;
	struct gs_cache_stats before, after;
	struct gs_thread *thread;
	struct gs_cache *c;
	int cpu, grown = 0;
	unsigned long end;

	forever = kunit_kzalloc(test, sizeof(*forever), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, forever);
	cpu = gs_pin_self(test);
	c = gs_test_cache(test, "gs_barrier", 64, param->args, param->flags);
	forever->c = c;
	thread = gs_thread_run(test, gs_other_cpu(cpu),
			       gs_barrier_queue_forever, forever);
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(READ_ONCE(forever->queued) > 1000));
	/* A few times with something pending, whose barrier saw more come. */
	end = jiffies + msecs_to_jiffies(GS_READER_LIMIT_MS / 2);
	while (grown < 4 && time_before(jiffies, end)) {
		before = gs_test_stats(test, c);
		if (grown & 1)
			gs_barrier();
		else
			gs_cache_barrier(c);
		KUNIT_ASSERT_EQ_MSG(test, READ_ONCE(forever->ended), 0,
				    "a barrier waited for later frees");
		after = gs_test_stats(test, c);
		KUNIT_EXPECT_GE(test, after.done, before.queued);
		/* Where nothing is waited for, nobody else runs meanwhile. */
		grown += before.done < before.queued &&
			 (before.queued < after.queued ||
			  IS_ENABLED(CONFIG_TINY_RCU));
		if (before.done == before.queued)
			fsleep(100);
	}
	/* One of each kind at least, however slow the machine. */
	KUNIT_EXPECT_GE(test, grown, 2);
	gs_thread_stop(test, thread);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* The destructor itself never stops to queue, to the same cache. */
struct gs_barrier_phoenix {
	struct gs_barrier_chain *chain;
};

struct gs_barrier_chain {
	struct gs_cache *c;
	unsigned long end;
	unsigned int rounds;
	bool stop;
	int ended;
};

static void gs_barrier_rise(void *obj)
{
	struct gs_barrier_phoenix *old = obj, *new;
	struct gs_barrier_chain *chain = old->chain;

	WRITE_ONCE(chain->rounds, chain->rounds + 1);
	if (!READ_ONCE(chain->stop) && time_before(jiffies, chain->end)) {
		new = gs_cache_alloc(chain->c, GFP_KERNEL);
		if (new) {
			new->chain = chain;
			gs_cache_free_rcu(chain->c, new);
			return;
		}
	}
	WRITE_ONCE(chain->ended, gs_stamp());
}

static void gs_barrier_dtor_queues(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.rcu_dtor = gs_barrier_rise,
	};
	struct gs_barrier_phoenix *first;
	struct gs_barrier_chain *chain;
	struct gs_cache *c;
	int i;

	chain = kunit_kzalloc(test, sizeof(*chain), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, chain);
	c = gs_test_cache(test, "gs_barrier", 64, &args, gs_param_flags(test));
	chain->c = c;
	chain->end = jiffies + msecs_to_jiffies(GS_READER_LIMIT_MS);
	first = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, first);
	first->chain = chain;
	gs_cache_free_rcu(c, first);
	for (i = 1; i < 4; i++) {
		gs_cache_barrier(c);
		KUNIT_EXPECT_GE(test, READ_ONCE(chain->rounds), i);
		KUNIT_EXPECT_EQ_MSG(test, READ_ONCE(chain->ended), 0,
				    "a barrier waited for later frees");
	}
	WRITE_ONCE(chain->stop, true);
	/* Destroy is what waits until there are no more. */
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	KUNIT_EXPECT_NE(test, READ_ONCE(chain->ended), 0);
}

static void gs_barrier_call(void *data)
{
	struct gs_barrier_queue *queue = data;

	gs_list_free_rcu(queue->c, queue->list);
	gs_cache_barrier(queue->c);
	/* Its own at least: for whom it looks, see below. */
	queue->list = NULL;
}

/* Several at a time, on every CPU, of one cache. */
static void gs_barrier_concurrent(struct kunit *test)
{
	const struct gs_barrier_param *param = test->param_value;
	struct gs_barrier_queue queue[6];
	struct gs_thread *thread[6];
	struct gs_cache *c;
	int cpu, i;

	atomic_set(&gs_barrier_dtors, 0);
	cpu = gs_pin_self(test);
	c = gs_test_cache(test, "gs_barrier", 64, param->args, param->flags);
	for (i = 0; i < ARRAY_SIZE(queue); i++) {
		queue[i].c = c;
		queue[i].list = gs_test_list(test, c, 200, NULL);
	}
	for (i = 0; i < ARRAY_SIZE(queue); i++)
		thread[i] = gs_thread_run(test, i & 1 ? gs_other_cpu(cpu) : cpu,
					  gs_barrier_call, &queue[i]);
	for (i = 0; i < ARRAY_SIZE(queue); i++)
		gs_thread_join(test, thread[i]);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).done, 1200);
	if (param->args)
		KUNIT_EXPECT_EQ(test, atomic_read(&gs_barrier_dtors), 1200);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Two caches and what the batcher has for others. */
static void gs_barrier_of_all(struct kunit *test)
{
	const struct gs_barrier_param *param = test->param_value;
	struct gs_cache *a, *b;
	int i;

	atomic_set(&gs_barrier_dtors, 0);
	gs_pin_self(test);
	a = gs_test_cache(test, "gs_barrier", 64, param->args, param->flags);
	b = gs_test_cache(test, "gs_barrier2", 256, param->args, param->flags);
	gs_list_free_rcu(a, gs_test_list(test, a, 700, NULL));
	for (i = 0; i < 100; i++)
		gs_kvfree_rcu(kmalloc(100, GFP_KERNEL));
	gs_list_free_rcu(b, gs_test_list(test, b, 50, NULL));
	gs_barrier();
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, a).done, 700);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, b).done, 50);
	if (param->args)
		KUNIT_EXPECT_EQ(test, atomic_read(&gs_barrier_dtors), 750);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, a), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, b), 0);
}

static struct kunit_case gs_barrier_cases[] = {
	KUNIT_CASE_PARAM(gs_barrier_all_back, gs_barrier_gen_params),
	KUNIT_CASE_PARAM(gs_barrier_waits, gs_barrier_gen_params),
	KUNIT_CASE_PARAM(gs_barrier_two_rounds, gs_barrier_gen_params),
	KUNIT_CASE_PARAM(gs_barrier_not_prolonged, gs_barrier_gen_params),
	KUNIT_CASE_PARAM(gs_barrier_dtor_queues, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_barrier_concurrent, gs_barrier_gen_params),
	KUNIT_CASE_PARAM(gs_barrier_of_all, gs_barrier_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_barrier_suite = {
	.name = "gs_barrier",
	.test_cases = gs_barrier_cases,
};

kunit_test_suite(gs_barrier_suite);
