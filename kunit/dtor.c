// SPDX-License-Identifier: GPL-2.0
/*
 * A cache's destructor is called once for each object that was given to
 * gs_cache_free_rcu(), and for no other: after the grace period, before the
 * object is used again, and where it may sleep.
 */
#include <linux/err.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "gs_kunit.h"

#define GS_DTOR_SLEEPS	3	/* destructors that do sleep */

struct gs_dtor {
	atomic_t *called; /* one for each object, by key */
	unsigned int nr;
	atomic_t total;
	atomic_t misplaced;
	atomic_t early;
	int first; /* stamp of the first call */
	unsigned long cookie;
	struct gs_cache *c;
};

static void gs_dtor_call(void *obj)
{
	struct gs_node *node = obj;
	struct gs_dtor *dtor = node->priv;

	if (!in_task() || irqs_disabled() || rcu_preempt_depth())
		atomic_inc(&dtor->misplaced);
	might_sleep();
	/* Only there does a cookie never miss a grace period that has ended. */
	if (IS_ENABLED(CONFIG_TINY_RCU) && dtor->cookie &&
	    !poll_state_synchronize_rcu(dtor->cookie))
		atomic_inc(&dtor->early);
	cmpxchg(&dtor->first, 0, gs_stamp());
	if (node->key < dtor->nr)
		atomic_inc(&dtor->called[node->key]);
	if (atomic_inc_return(&dtor->total) <= GS_DTOR_SLEEPS)
		fsleep(USEC_PER_MSEC);
}

static const struct gs_cache_args gs_dtor_args = { .rcu_dtor = gs_dtor_call };

static struct gs_dtor *gs_dtor_start(struct kunit *test, unsigned int nr)
{
	struct gs_dtor *dtor;

	dtor = kunit_kzalloc(test, sizeof(*dtor), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dtor);
	dtor->called = gs_test_array(test, nr, sizeof(*dtor->called));
	dtor->nr = nr;
	dtor->c = gs_test_cache(test, "gs_dtor", 96, &gs_dtor_args,
				gs_param_flags(test));
	return dtor;
}

/* The objects with keys of @from and above were queued, and no others. */
static void gs_dtor_end(struct kunit *test, struct gs_dtor *dtor,
			unsigned int from)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < dtor->nr; i++)
		wrong += atomic_read(&dtor->called[i]) != (i >= from);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&dtor->total), dtor->nr - from);
	KUNIT_EXPECT_EQ(test, atomic_read(&dtor->misplaced), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&dtor->early), 0);
}

static void gs_dtor_once_each(struct kunit *test)
{
	struct gs_dtor *dtor = gs_dtor_start(test, 2000);
	struct gs_node *list, *next;

	gs_pin_self(test);
	list = gs_test_list(test, dtor->c, dtor->nr, dtor);
	dtor->cookie = get_state_synchronize_rcu();
	/* A list starts with its highest key. */
	for (; list; list = next) {
		next = list->next;
		if (list->key >= 500)
			gs_cache_free_rcu(dtor->c, list);
		else
			gs_cache_free(dtor->c, list);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, dtor->c), 0);
	gs_dtor_end(test, dtor, 500);
}

/* Queued in sections with interrupts off, and by interrupts. */
static void gs_dtor_irqs_off(struct kunit *test)
{
	struct gs_dtor *dtor = gs_dtor_start(test, 300);
	unsigned long flags;
	struct gs_node *list;

	gs_pin_self(test);
	list = gs_test_list(test, dtor->c, dtor->nr, dtor);
	local_irq_save(flags);
	gs_list_free_rcu(dtor->c, list);
	local_irq_restore(flags);
	gs_cache_barrier(dtor->c);
	gs_dtor_end(test, dtor, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, dtor->c), 0);
}

struct gs_dtor_irq {
	struct hrtimer timer;
	struct gs_dtor *dtor;
	struct gs_node *list;
};

/* A few at a time; what it interrupts uses the same cache. */
static enum hrtimer_restart gs_dtor_tick(struct hrtimer *timer)
{
	struct gs_dtor_irq *irq = container_of(timer, struct gs_dtor_irq, timer);
	u64 entered = ktime_get_ns();
	int i;

	for (i = 0; i < 5; i++) {
		struct gs_node *node = irq->list;

		if (!node)
			return HRTIMER_NORESTART;
		WRITE_ONCE(irq->list, node->next);
		gs_cache_free_rcu(irq->dtor->c, node);
	}
	return gs_hrtimer_again(timer, 100, entered);
}

static void gs_dtor_tick_end(void *data)
{
	struct gs_dtor_irq *irq = data;

	hrtimer_cancel(&irq->timer);
}

static void gs_dtor_from_irq(struct kunit *test)
{
	unsigned long end = jiffies + msecs_to_jiffies(GS_WAIT_MS);
	struct gs_dtor *dtor = gs_dtor_start(test, 2000);
	struct gs_dtor_irq *irq;

	irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, irq);
	gs_pin_self(test);
	irq->dtor = dtor;
	irq->list = gs_test_list(test, dtor->c, dtor->nr, dtor);
	hrtimer_setup(&irq->timer, gs_dtor_tick, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_dtor_tick_end, irq));
	hrtimer_start(&irq->timer, us_to_ktime(100),
		      HRTIMER_MODE_REL_PINNED_HARD);
	while (READ_ONCE(irq->list) && time_before(jiffies, end)) {
		struct gs_node *list = gs_test_list(test, dtor->c, 50, dtor);

		gs_list_free(dtor->c, list);
		cond_resched();
	}
	KUNIT_EXPECT_NULL(test, irq->list);
	kunit_release_action(test, gs_dtor_tick_end, irq);
	gs_cache_barrier(dtor->c);
	gs_dtor_end(test, dtor, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, dtor->c), 0);
}

static void gs_dtor_after_reader(struct kunit *test)
{
	struct gs_reader *reader;
	struct gs_dtor *dtor;
	struct gs_node *list;
	int left;

	gs_need_reader(test);
	dtor = gs_dtor_start(test, 200);
	list = gs_test_list(test, dtor->c, dtor->nr, dtor);
	reader = gs_reader_hold(test, NULL, NULL);
	gs_list_free_rcu(dtor->c, list);
	msleep(60);
	KUNIT_EXPECT_EQ(test, atomic_read(&dtor->total), 0);
	left = gs_reader_release(test, reader);
	gs_cache_barrier(dtor->c);
	KUNIT_EXPECT_GT(test, READ_ONCE(dtor->first), left);
	gs_dtor_end(test, dtor, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, dtor->c), 0);
}

/* Nobody has to ask: a destructor is called without a barrier, too. */
static void gs_dtor_by_itself(struct kunit *test)
{
	struct gs_dtor *dtor = gs_dtor_start(test, 7);
	struct gs_node *list;

	list = gs_test_list(test, dtor->c, dtor->nr, dtor);
	gs_list_free_rcu(dtor->c, list);
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(atomic_read(&dtor->total) == dtor->nr));
	gs_dtor_end(test, dtor, 0);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, dtor->c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, dtor->c), 0);
}

/* Before reuse: what is allocated was never queued, or was destructed since. */
#define GS_DTOR_FRESH	0x11111111U
#define GS_DTOR_QUEUED	0x22222222U
#define GS_DTOR_DONE	0x33333333U

struct gs_dtor_state {
	u32 state;
	u8 rest[60];
};

static void gs_dtor_state_ctor(void *obj)
{
	struct gs_dtor_state *s = obj;

	s->state = GS_DTOR_FRESH;
}

static void gs_dtor_state_call(void *obj)
{
	struct gs_dtor_state *s = obj;

	WRITE_ONCE(s->state, GS_DTOR_DONE);
}

static void gs_dtor_before_reuse(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.ctor = gs_dtor_state_ctor,
		.rcu_dtor = gs_dtor_state_call,
	};
	unsigned long end = jiffies + msecs_to_jiffies(GS_WAIT_MS);
	unsigned int done = 0, wrong = 0, i, nr;
	struct gs_dtor_state *s[64];
	struct gs_cache *c;

	c = gs_test_cache(test, "gs_dtor", sizeof(**s), &args,
			  gs_param_flags(test));
	/* Until some that were queued were seen again. */
	while (done < 2000 && time_before(jiffies, end)) {
		for (nr = 0; nr < ARRAY_SIZE(s); nr++) {
			s[nr] = gs_cache_alloc(c, GFP_KERNEL);
			if (!s[nr])
				break;
			wrong += s[nr]->state != GS_DTOR_FRESH &&
				 s[nr]->state != GS_DTOR_DONE;
			done += s[nr]->state == GS_DTOR_DONE;
		}
		for (i = 0; i < nr; i++) {
			if (i & 1) {
				s[i]->state = GS_DTOR_FRESH;
				gs_cache_free(c, s[i]);
			} else {
				s[i]->state = GS_DTOR_QUEUED;
				gs_cache_free_rcu(c, s[i]);
			}
		}
		usleep_range(100, 200);
	}
	KUNIT_EXPECT_GE(test, done, 2000);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* A tree: the destructor of a node queues the one below it. */
struct gs_dtor_tree {
	struct gs_dtor_tree *below;
	struct gs_cache *c;
	atomic_t *total;
};

static void gs_dtor_tree_call(void *obj)
{
	struct gs_dtor_tree *tree = obj;

	atomic_inc(tree->total);
	if (tree->below)
		gs_cache_free_rcu(tree->c, tree->below);
}

static void gs_dtor_queues(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.rcu_dtor = gs_dtor_tree_call,
	};
	struct gs_dtor_tree *tree, *below = NULL;
	atomic_t total = ATOMIC_INIT(0);
	struct gs_cache *c;
	int i;

	c = gs_test_cache(test, "gs_dtor", sizeof(*tree), &args,
			  gs_param_flags(test));
	for (i = 0; i < 12; i++) {
		tree = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, tree);
		tree->below = below;
		tree->c = c;
		tree->total = &total;
		below = tree;
	}
	gs_cache_free_rcu(c, below);
	/* Not a leak: what is left is on its way. */
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&total), 12);
}

/* A destructor that destroys another cache, with a free of that pending. */
struct gs_dtor_owner {
	struct gs_cache *owned;
	void *obj;
	atomic_t *total;
};

static atomic_t gs_dtor_owned;

static void gs_dtor_owned_call(void *obj)
{
	atomic_inc(&gs_dtor_owned);
}

static void gs_dtor_owner_call(void *obj)
{
	struct gs_dtor_owner *owner = obj;

	gs_cache_free_rcu(owner->owned, owner->obj);
	gs_cache_barrier(owner->owned);
	if (gs_cache_destroy(owner->owned) == 0)
		atomic_inc(owner->total);
}

static void gs_dtor_owns_cache(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.rcu_dtor = gs_dtor_owner_call,
	};
	static const struct gs_cache_args owned = {
		.rcu_dtor = gs_dtor_owned_call,
	};
	atomic_t total = ATOMIC_INIT(0);
	struct gs_dtor_owner *owner;
	char name[24];
	struct gs_cache *c;
	int i;

	atomic_set(&gs_dtor_owned, 0);
	c = gs_test_cache(test, "gs_dtor", sizeof(*owner), &args,
			  gs_param_flags(test));
	for (i = 0; i < 3; i++) {
		owner = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, owner);
		owner->total = &total;
		scnprintf(name, sizeof(name), "gs_dtor_owned_%d", i);
		owner->owned = gs_cache_create(name, 40, &owned,
					       gs_param_flags(test));
		KUNIT_ASSERT_FALSE(test, IS_ERR(owner->owned));
		owner->obj = gs_cache_alloc(owner->owned, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, owner->obj);
		gs_cache_free_rcu(c, owner);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&total), 3);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_dtor_owned), 3);
}

static struct kunit_case gs_dtor_cases[] = {
	KUNIT_CASE_PARAM(gs_dtor_once_each, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_dtor_irqs_off, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_dtor_from_irq, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_dtor_after_reader, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_dtor_by_itself, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_dtor_before_reuse, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_dtor_queues, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_dtor_owns_cache, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_dtor_suite = {
	.name = "gs_dtor",
	.test_cases = gs_dtor_cases,
};

kunit_test_suite(gs_dtor_suite);
