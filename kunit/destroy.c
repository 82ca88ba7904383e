// SPDX-License-Identifier: GPL-2.0
/*
 * A cache can be destroyed right after its objects were queued: destroy waits
 * for all of them, loses none, and only then says that the cache was empty.
 *
 * A reader on another CPU is held until destroy is under way, so that nothing
 * that was queued can have come back before.
 */
#include <linux/irqflags.h>

#include "gs_kunit.h"

#define GS_DESTROY_MS	30

static const struct gs_destroy_param {
	const char *name;
	unsigned int nr;
	unsigned long flags;
} gs_destroy_params[] = {
	{ "1", 1, 0 },
	{ "1_consistency", 1, GS_CONSISTENCY },
	{ "60", 60, 0 },
	{ "60_consistency", 60, GS_CONSISTENCY },
	{ "1000", 1000, 0 },
	{ "1000_consistency", 1000, GS_CONSISTENCY },
	{ "100000", 100000, 0 },
	{ "100000_consistency", 100000, GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_destroy, gs_destroy_params, name);

/* Destroy @c, whose @nr objects are pending while @reader is inside. */
static void gs_destroy_now(struct kunit *test, struct gs_cache *c, u64 nr,
			   struct gs_reader *reader)
{
	int returned;

	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), nr);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	gs_reader_leave_in(reader, GS_DESTROY_MS);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	returned = gs_stamp();
	KUNIT_EXPECT_LT(test, gs_reader_left(test, reader), returned);
}

static void gs_destroy_pending(struct kunit *test)
{
	const struct gs_destroy_param *param = test->param_value;
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache *c;
	struct gs_node *list;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_destroy", 64, NULL, param->flags);
	list = gs_test_list(test, c, param->nr, NULL);

	if (gs_can_hold_reader()) {
		struct gs_reader *reader = gs_reader_hold(test, NULL, NULL);

		gs_list_free_rcu(c, list);
		gs_destroy_now(test, c, param->nr, reader);
	} else {
		gs_list_free_rcu(c, list);
		KUNIT_EXPECT_TRUE(test, gs_test_keep_pending(test, c));
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	}
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies);

	/* The name is free again. */
	c = gs_test_cache(test, "gs_destroy", 64, NULL, param->flags);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

struct gs_destroy_queue {
	struct gs_cache *c;
	struct gs_node *list;
	bool queued;
};

static void gs_destroy_queue_once(void *data)
{
	struct gs_destroy_queue *queue = data;

	if (queue->queued)
		return;
	gs_list_free_rcu(queue->c, queue->list);
	/* Pairs with gs_destroy_queued(): what is queued is seen as counted. */
	smp_store_release(&queue->queued, true);
}

static bool gs_destroy_queued(struct gs_destroy_queue *queue)
{
	/* Pairs with gs_destroy_queue_once(). */
	return smp_load_acquire(&queue->queued);
}

/* Some of the objects are pending on a CPU that destroy does not run on. */
static void gs_destroy_two_cpus(struct kunit *test)
{
	struct gs_destroy_queue queue = {};
	struct gs_reader *reader;
	struct gs_node *mine;

	gs_need_reader(test);
	queue.c = gs_test_cache(test, "gs_destroy", 64, NULL,
				gs_param_flags(test));
	queue.list = gs_test_list(test, queue.c, 1000, NULL);
	mine = gs_test_list(test, queue.c, 1000, NULL);
	reader = gs_reader_hold(test, gs_destroy_queue_once, &queue);
	gs_list_free_rcu(queue.c, mine);
	KUNIT_ASSERT_TRUE(test, gs_wait_until(gs_destroy_queued(&queue)));
	gs_destroy_now(test, queue.c, 2000, reader);
}

/* Queued with interrupts off, where nothing can be armed at once. */
static void gs_destroy_irqs_off(struct kunit *test)
{
	struct gs_reader *reader;
	struct gs_node *list;
	unsigned long flags;
	struct gs_cache *c;

	gs_need_reader(test);
	c = gs_test_cache(test, "gs_destroy", 64, NULL, gs_param_flags(test));
	list = gs_test_list(test, c, 200, NULL);
	reader = gs_reader_hold(test, NULL, NULL);
	local_irq_save(flags);
	gs_list_free_rcu(c, list);
	local_irq_restore(flags);
	gs_destroy_now(test, c, 200, reader);
}

/* What came back before, and what was freed without a grace period. */
static void gs_destroy_mixed(struct kunit *test)
{
	struct gs_node *list, *pending, *early;
	struct gs_reader *reader;
	struct gs_cache *c;

	gs_need_reader(test);
	c = gs_test_cache(test, "gs_destroy", 192, NULL, gs_param_flags(test));
	early = gs_test_list(test, c, 300, NULL);
	list = gs_test_list(test, c, 300, NULL);
	pending = gs_test_list(test, c, 300, NULL);
	gs_list_free_rcu(c, early);
	gs_cache_barrier(c);
	reader = gs_reader_hold(test, NULL, NULL);
	gs_list_free_rcu(c, pending);
	gs_list_free(c, list);
	gs_destroy_now(test, c, 300, reader);
}

static void gs_destroy_unused(struct kunit *test)
{
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_destroy", 64, NULL, gs_param_flags(test));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* The same name over and over, each time with frees pending. */
static void gs_destroy_again(struct kunit *test)
{
	int i;

	gs_pin_self(test);
	for (i = 0; i < 10; i++) {
		struct gs_cache *c;

		c = gs_test_cache(test, "gs_destroy", 64, NULL,
				  gs_param_flags(test));
		gs_list_free_rcu(c, gs_test_list(test, c, 60, NULL));
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	}
}

/*
 * A worker is still busy with the cache, after the destructor of its last
 * object: what it has in hand for a moment is no leak.
 */
#define GS_WORKERS	16
#define GS_WORKER_ROUNDS	6

struct gs_destroy_worker {
	struct gs_cache *c;
	struct completion started;
	struct completion let_go;
	char name[24];
};

static void gs_destroy_linger(void *obj)
{
	struct gs_node *node = obj;
	struct gs_destroy_worker *worker = node->priv;

	complete(&worker->started);
	wait_for_completion_timeout(&worker->let_go,
				    msecs_to_jiffies(GS_READER_LIMIT_MS));
}

static void gs_destroy_let_go(void *data)
{
	struct gs_destroy_worker *worker = data;

	complete_all(&worker->let_go);
}

static void gs_destroy_beside_worker(struct kunit *test)
{
	/* Sheaves that are not given back in no time. */
	static const struct gs_cache_args args = {
		.sheaf_capacity = 500,
		.rcu_dtor = gs_destroy_linger,
	};
	const unsigned long limit = msecs_to_jiffies(GS_WAIT_MS);
	struct gs_destroy_worker *worker, *w;
	unsigned int round, i;

	gs_pin_self(test);
	worker = gs_test_array(test, GS_WORKERS, sizeof(*worker));
	for (round = 0; round < GS_WORKER_ROUNDS; round++) {
		for (i = 0; i < GS_WORKERS; i++) {
			w = &worker[i];
			init_completion(&w->started);
			init_completion(&w->let_go);
			scnprintf(w->name, sizeof(w->name), "gs_destroy_%u", i);
			w->c = gs_test_cache(test, w->name, 64, &args,
					     gs_param_flags(test));
			KUNIT_ASSERT_EQ(test, 0,
					kunit_add_action_or_reset(test,
								  gs_destroy_let_go,
								  w));
			gs_list_free(w->c, gs_test_list(test, w->c, 450, w));
			gs_list_free_rcu(w->c, gs_test_list(test, w->c, 1, w));
		}
		for (i = 0; i < GS_WORKERS; i++) {
			w = &worker[i];
			KUNIT_ASSERT_NE(test, 0,
					wait_for_completion_timeout(&w->started,
								    limit));
			kunit_release_action(test, gs_destroy_let_go, w);
			/* The worker wakes up before destroy, or beside it. */
			udelay(5 * ((i + 3 * round) % GS_WORKERS));
			KUNIT_EXPECT_EQ(test, gs_test_destroy(test, w->c), 0);
		}
	}
}

static struct kunit_case gs_destroy_cases[] = {
	KUNIT_CASE_PARAM(gs_destroy_pending, gs_destroy_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_two_cpus, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_irqs_off, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_mixed, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_unused, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_again, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_beside_worker, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_destroy_suite = {
	.name = "gs_destroy",
	.test_cases = gs_destroy_cases,
};

kunit_test_suite(gs_destroy_suite);
