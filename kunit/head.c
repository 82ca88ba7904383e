// SPDX-License-Identifier: GPL-2.0
/*
 * gs_kvfree_rcu_head() and gs_kfree_rcu_nolock(): any context, no memory
 * needed; the head links the object where there is nothing else, and is one
 * word in a gs_rcu_head and in an rcu_head alike.
 *
 * Every object is one of a kmem_cache, which says when it is destroyed whether
 * all have come back.
 */
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "gs_kunit.h"

#define GS_HEAD_NR	1500	/* more than two pages of pointers */

/* One whose head is small, and one whose head lies as far in as it may. */
struct gs_head_small {
	u64 key;
	struct gs_rcu_head head;
	u64 tail[4];
};

struct gs_head_far {
	u64 key[511];
	struct rcu_head head;
};

static_assert(sizeof(struct gs_rcu_head) == sizeof(void *));
static_assert(offsetof(struct gs_head_far, head) == 4088);

/* A lot, freed in one stay in a context. */
#define GS_HEAD_LOT	100

struct gs_head_lot {
	struct gs_head_small *p[GS_HEAD_LOT];
	bool nolock;
};

static void gs_head_lot_free(void *data)
{
	struct gs_head_lot *lot = data;
	int i;

	for (i = 0; i < GS_HEAD_LOT; i++) {
		if (lot->nolock)
			gs_kfree_rcu_nolock(lot->p[i], head);
		else
			gs_kvfree_rcu_head(lot->p[i], head);
	}
}

static void gs_head_memory_back(void *unused)
{
	gs_inject(GS_INJECT_CACHED_PAGE, 0);
	gs_inject(GS_INJECT_PAGE, 0);
	gs_inject(GS_INJECT_RESERVE, 0);
	gs_inject(GS_INJECT_WRAPPER, 0);
}

static void gs_head_no_memory(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_head_memory_back,
						  NULL));
	/* Pages that are open go on their way first. */
	gs_barrier();
	gs_inject(GS_INJECT_CACHED_PAGE, INT_MAX);
	gs_inject(GS_INJECT_PAGE, INT_MAX);
	gs_inject(GS_INJECT_RESERVE, INT_MAX);
	gs_inject(GS_INJECT_WRAPPER, INT_MAX);
}

static void gs_head_cache_gone(void *s)
{
	kmem_cache_destroy(s);
}

static struct kmem_cache *gs_head_cache(struct kunit *test, size_t size)
{
	struct kmem_cache *s = kmem_cache_create("gs_head_peer", size, 8,
						 SLAB_NO_MERGE, NULL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_head_cache_gone, s));
	return s;
}

/* What was freed has come back, or the kernel complains. */
static void gs_head_cache_end(struct kunit *test, struct kmem_cache *s)
{
	struct gs_log log;

	gs_barrier();
	gs_log_mark(&log);
	kunit_release_action(test, gs_head_cache_gone, s);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "gs_head_peer"), 0);
}

static void gs_head_lots(struct kunit *test, bool nolock, bool no_memory)
{
	const struct gs_place *place = test->param_value;
	struct gs_head_lot *lot;
	struct kmem_cache *s;
	u64 linked;
	int i, k;

	s = gs_head_cache(test, sizeof(struct gs_head_small));
	lot = kunit_kzalloc(test, sizeof(*lot), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, lot);
	lot->nolock = nolock;
	gs_pin_self(test);
	if (no_memory)
		gs_head_no_memory(test);
	linked = gs_steps(GS_STEP_LINKED);
	for (i = 0; i < GS_HEAD_NR; i += GS_HEAD_LOT) {
		for (k = 0; k < GS_HEAD_LOT; k++) {
			lot->p[k] = kmem_cache_alloc(s, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, lot->p[k]);
			gs_fill(lot->p[k], sizeof(*lot->p[k]), i + k);
		}
		place->call(gs_head_lot_free, lot);
	}
	linked = gs_steps(GS_STEP_LINKED) - linked;
	if (no_memory)
		KUNIT_EXPECT_EQ(test, linked, GS_HEAD_NR);
	else if (!nolock && !strcmp(place->name, "task"))
		KUNIT_EXPECT_EQ(test, linked, 0);
	gs_head_cache_end(test, s);
}

static void gs_head_context(struct kunit *test)
{
	gs_head_lots(test, false, false);
}

static void gs_head_context_no_memory(struct kunit *test)
{
	gs_head_lots(test, false, true);
}

static void gs_head_nolock(struct kunit *test)
{
	gs_head_lots(test, true, false);
}

static void gs_head_nolock_no_memory(struct kunit *test)
{
	gs_head_lots(test, true, true);
}

/* Readers have a linked object as it was, but for its head. */
struct gs_head_held {
	struct gs_head_small *p[40];
	unsigned int polls;
	unsigned int wrong;
};

static void gs_head_poll(void *data)
{
	struct gs_head_held *held = data;
	int i;

	for (i = 0; i < ARRAY_SIZE(held->p); i++)
		if (held->p[i]->key != i || held->p[i]->tail[3] != ~(u64)i)
			held->wrong++;
	held->polls++;
}

static void gs_head_held(struct kunit *test)
{
	struct gs_head_held *held;
	struct gs_reader *reader;
	struct kmem_cache *s;
	int i, n;

	gs_need_reader(test);
	s = gs_head_cache(test, sizeof(struct gs_head_small));
	held = kunit_kzalloc(test, sizeof(*held), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, held);
	for (i = 0; i < ARRAY_SIZE(held->p); i++) {
		held->p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, held->p[i]);
		held->p[i]->key = i;
		held->p[i]->tail[3] = ~(u64)i;
	}
	gs_head_no_memory(test);
	reader = gs_reader_hold(test, gs_head_poll, held);
	gs_reader_leave_in(reader, 100);
	for (i = 0; i < ARRAY_SIZE(held->p); i++)
		gs_kvfree_rcu_head(held->p[i], head);
	for (n = 0; n < 20 && gs_reader_inside(reader); n++) {
		void *hot[100];

		for (i = 0; i < ARRAY_SIZE(hot); i++) {
			hot[i] = kmem_cache_alloc(s, GFP_KERNEL);
			if (hot[i])
				memset(hot[i], 0xa5,
				       sizeof(struct gs_head_small));
		}
		for (i = 0; i < ARRAY_SIZE(hot); i++)
			if (hot[i])
				kmem_cache_free(s, hot[i]);
		fsleep(5 * USEC_PER_MSEC);
	}
	gs_reader_left(test, reader);
	KUNIT_EXPECT_EQ(test, held->wrong, 0);
	KUNIT_EXPECT_GT(test, held->polls, 1);
	gs_head_cache_end(test, s);
}

/* Heads far in, large objects, vmalloc, objects of ours, NULL. */
static void gs_head_kinds(struct kunit *test)
{
	struct gs_cache_stats stats;
	struct gs_head_far *far;
	struct kmem_cache *s;
	struct gs_cache *c;
	u64 linked;
	int i;

	s = gs_head_cache(test, sizeof(struct gs_head_far));
	c = gs_test_cache(test, "gs_head", sizeof(struct gs_head_far), NULL, 0);
	gs_head_no_memory(test);
	linked = gs_steps(GS_STEP_LINKED);
	for (i = 0; i < 50; i++) {
		far = kmem_cache_alloc(s, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, far);
		gs_kvfree_rcu_head(far, head);
		far = vmalloc(sizeof(*far));
		KUNIT_ASSERT_NOT_NULL(test, far);
		gs_kfree_rcu_nolock(far, head);
		far = kmalloc(4 * PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, far);
		gs_kvfree_rcu_head(far, head);
		far = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, far);
		gs_kvfree_rcu_head(far, head);
	}
	KUNIT_EXPECT_EQ(test, gs_steps(GS_STEP_LINKED) - linked, 150);
	far = NULL;
	gs_kvfree_rcu_head(far, head);
	gs_kfree_rcu_nolock(far, head);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.queued, 50);
	gs_head_cache_end(test, s);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.done, 50);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Nobody waits for them: the worker comes by itself, and memory comes back. */
static void gs_head_by_itself(struct kunit *test)
{
	struct gs_head_small *p;
	struct kmem_cache *s;
	unsigned long before;
	/* KASAN is slow, and keeps what was freed for a while. */
	int rounds = IS_ENABLED(CONFIG_KASAN) ? 1 : 8, round, i;

	s = gs_head_cache(test, sizeof(*p));
	gs_head_no_memory(test);
	before = gs_free_pages();
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < 20000; i++) {
			p = kmem_cache_alloc(s, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, p);
			gs_kvfree_rcu_head(p, head);
		}
		msleep(100);
	}
	/* 160,000 objects of 56 bytes are 2,200 pages, unless KASAN keeps them. */
	if (!IS_ENABLED(CONFIG_KASAN))
		KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_free_pages() + 1500 >
						      before));
	gs_head_cache_end(test, s);
}

static struct kunit_case gs_head_cases[] = {
	KUNIT_CASE_PARAM(gs_head_context, gs_places_gen_params),
	KUNIT_CASE_PARAM(gs_head_context_no_memory, gs_places_gen_params),
	KUNIT_CASE_PARAM(gs_head_nolock, gs_places_gen_params),
	KUNIT_CASE_PARAM(gs_head_nolock_no_memory, gs_places_gen_params),
	KUNIT_CASE(gs_head_held),
	KUNIT_CASE(gs_head_kinds),
	KUNIT_CASE(gs_head_by_itself),
	{ /* sentinel */ },
};

static struct kunit_suite gs_head_suite = {
	.name = "gs_head",
	.test_cases = gs_head_cases,
};

kunit_test_suite(gs_head_suite);
