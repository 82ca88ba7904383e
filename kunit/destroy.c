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
		/* Nothing comes back before this thread sleeps. */
		gs_list_free_rcu(c, list);
		KUNIT_EXPECT_GT(test, gs_test_pending(test, c), 0);
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

static struct kunit_case gs_destroy_cases[] = {
	KUNIT_CASE_PARAM(gs_destroy_pending, gs_destroy_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_two_cpus, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_irqs_off, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_mixed, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_unused, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_destroy_again, gs_flags_gen_params),
	{}
};

static struct kunit_suite gs_destroy_suite = {
	.name = "gs_destroy",
	.test_cases = gs_destroy_cases,
};

kunit_test_suite(gs_destroy_suite);
