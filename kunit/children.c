// SPDX-License-Identifier: GPL-2.0
/*
 * Child caches: made when they are asked for, closed when their owner goes,
 * while the cache that they belong to may be destroyed at any moment.
 */
#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "gs_kunit.h"

#define GS_CHILD_SIZE	96

static struct gs_cache *gs_children_root(struct kunit *test)
{
	return gs_test_cache(test, "gs_children", GS_CHILD_SIZE, NULL,
			     gs_param_flags(test));
}

/* Ask until it is there. */
static struct gs_cache *gs_child(struct kunit *test, struct gs_cache *root,
				 u64 key)
{
	struct gs_cache *child = root;

	KUNIT_ASSERT_TRUE(test,
			  gs_wait_until((child = gs_cache_child(root, key)) !=
					root));
	KUNIT_ASSERT_NOT_NULL(test, child);
	return child;
}

static void *gs_child_alloc(struct kunit *test, struct gs_cache *c)
{
	void *obj = gs_cache_alloc(c, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, obj);
	return obj;
}

/* One for each key, and always the same. */
static void gs_children_made(struct kunit *test)
{
	static const u64 keys[] = {
		0, 1, 2, 63, 64, 4711, U64_MAX, U64_MAX - 1
	};
	struct gs_cache *root, *children[ARRAY_SIZE(keys)];
	int i, k;

	root = gs_children_root(test);
	/* More than can be asked for at a time: those are asked for again. */
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		gs_cache_child(root, keys[i]);
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		children[i] = gs_child(test, root, keys[i]);
		for (k = 0; k < i; k++)
			KUNIT_EXPECT_PTR_NE(test, children[i], children[k]);
	}
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		KUNIT_EXPECT_PTR_EQ(test, children[i],
				    gs_cache_child(root, keys[i]));
		/* A child's children are its parent's. */
		KUNIT_EXPECT_PTR_EQ(test, children[i],
				    gs_cache_child(children[0], keys[i]));
	}
	KUNIT_EXPECT_NULL(test, gs_cache_child(NULL, 1));
	gs_cache_child_gone(NULL, 1);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

/* Until it is there the root serves; what it gave is freed to either. */
static void gs_children_serves(struct kunit *test)
{
	struct gs_cache *root, *first, *child;
	void *objs[4];
	int i;

	root = gs_children_root(test);
	first = gs_cache_child(root, 5);
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		objs[i] = gs_child_alloc(test, first);
	child = gs_child(test, root, 5);
	gs_cache_free(child, objs[0]);
	gs_cache_free_rcu(child, objs[1]);
	gs_cache_free(root, objs[2]);
	gs_cache_free_rcu(root, objs[3]);
	gs_cache_barrier(child);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, root).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

/* Memory is each one's own, ownership and counters are the root's. */
static void gs_children_own(struct kunit *test)
{
	enum { NR = 300 };
	struct gs_cache *root, *a, *b;
	struct gs_cache_stats stats;
	void **objs;
	int i;

	root = gs_children_root(test);
	a = gs_child(test, root, 1);
	b = gs_child(test, root, 2);
	objs = gs_test_array(test, 2 * NR, sizeof(*objs));
	for (i = 0; i < 2 * NR; i++) {
		objs[i] = gs_child_alloc(test, i < NR ? a : b);
		gs_fill(objs[i], GS_CHILD_SIZE, i);
	}
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, a).live, NR);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, b).live, NR);
	stats = gs_test_stats(test, root);
	KUNIT_EXPECT_EQ(test, stats.live, 2 * NR);
	KUNIT_EXPECT_EQ(test, stats.slabs,
			gs_test_stats(test, a).slabs +
				gs_test_stats(test, b).slabs);
	for (i = 0; i < 2 * NR; i++)
		KUNIT_EXPECT_TRUE(test, gs_filled(objs[i], GS_CHILD_SIZE, i));
	/* Through the root, the sibling, and itself; at once, later and in bulk. */
	gs_cache_free_bulk(root, 100, objs);
	for (i = 100; i < NR; i++) {
		if (i % 2)
			gs_cache_free(i % 3 ? root : b, objs[i]);
		else
			gs_cache_free_rcu(i % 3 ? root : b, objs[i]);
	}
	gs_cache_barrier(root);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, a).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, b).live, NR);
	/* What came home is used again by whose it is. */
	stats = gs_test_stats(test, a);
	for (i = 0; i < NR / 2; i++)
		objs[i] = gs_child_alloc(test, a);
	KUNIT_EXPECT_LE(test, gs_test_stats(test, a).slabs, stats.slabs);
	gs_cache_free_bulk(a, NR / 2, objs);
	gs_cache_free_bulk(a, NR, objs + NR);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, root).live, 0);
	KUNIT_EXPECT_GT(test, gs_cache_shrink(root), 0);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, root).slabs, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

/* Nothing but one object in use. */
static bool gs_child_left(struct kunit *test, struct gs_cache *root,
			  struct gs_cache_stats *stats)
{
	*stats = gs_test_stats(test, root);
	return stats->cached == 0 && stats->live == 1;
}

/* Whose owner has gone is not found; it goes with its last object. */
static void gs_children_gone(struct kunit *test)
{
	struct gs_cache *root, *old, *next;
	struct gs_cache_stats stats;
	void *obj;

	root = gs_children_root(test);
	old = gs_child(test, root, 9);
	obj = gs_child_alloc(test, old);
	gs_fill(obj, GS_CHILD_SIZE, 9);
	gs_cache_child_gone(root, 9);
	next = gs_cache_child(root, 9);
	KUNIT_EXPECT_PTR_NE(test, next, old);
	next = gs_child(test, root, 9);
	KUNIT_EXPECT_PTR_NE(test, next, old);
	/* The one slab that has the object is left of it, by and by. */
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(gs_child_left(test, root, &stats)));
	KUNIT_EXPECT_EQ(test, stats.slabs, 1);
	KUNIT_EXPECT_TRUE(test, gs_filled(obj, GS_CHILD_SIZE, 9));
	gs_cache_free(root, obj);
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(gs_test_stats(test, root).slabs == 0));
	/* There is none for these, which is fine. */
	gs_cache_child_gone(root, 9);
	gs_cache_child_gone(root, 9);
	gs_cache_child_gone(root, 10);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

/* Whose owner goes before it is made is not made. */
static void gs_children_cancelled(struct kunit *test)
{
	struct gs_cache *root;
	unsigned long flags;

	gs_pin_self(test);
	root = gs_children_root(test);
	/* The worker does not get to know meanwhile. */
	local_irq_save(flags);
	gs_cache_child(root, 1);
	gs_cache_child_gone(root, 1);
	gs_cache_child(root, 2);
	local_irq_restore(flags);
	gs_child(test, root, 2);
	KUNIT_EXPECT_PTR_EQ(test, root, gs_cache_child(root, 1));
	gs_child(test, root, 1);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

/* Asks in a hurry, for as long as the worker may take to come. */
static struct gs_cache *gs_child_soon(struct gs_cache *root, u64 key)
{
	unsigned long end = jiffies + msecs_to_jiffies(50);
	struct gs_cache *child;

	while ((child = gs_cache_child(root, key)) == root &&
	       time_before(jiffies, end))
		cond_resched();
	return child;
}

/*
 * An owner goes while its child is asked for, made, or there, and its key is
 * used again at once: the child of the next owner stays.
 */
static void gs_children_reused(struct kunit *test)
{
	enum { NR = 45 };
	struct gs_cache *root, **children;
	int i;

	children = gs_test_array(test, NR, sizeof(*children));
	root = gs_children_root(test);
	for (i = 0; i < NR; i++) {
		/* The worker comes in microseconds, or at a tick. */
		u64 wait = i & 1 ? i % 25 * NSEC_PER_MSEC :
				   NSEC_PER_USEC << i % 16;
		u64 end = ktime_get_ns() + wait;

		gs_cache_child(root, i);
		while (ktime_get_ns() < end)
			cond_resched();
		gs_cache_child_gone(root, i);
		children[i] = gs_child_soon(root, i);
		gs_cache_free(root, gs_child_alloc(test, children[i]));
	}
	/* For the worker to mark what it has made for nobody. */
	fsleep(50 * USEC_PER_MSEC);
	for (i = 0; i < NR; i++) {
		struct gs_cache *child = gs_child(test, root, i);

		if (children[i] != root)
			KUNIT_EXPECT_PTR_EQ(test, child, children[i]);
		gs_cache_free(root, gs_child_alloc(test, child));
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

struct gs_child_reader {
	struct gs_cache *child;
	unsigned int nr;
	unsigned int wrong;
};

static void gs_child_poll(void *data)
{
	struct gs_child_reader *r = data;
	void *obj = gs_cache_alloc(r->child, GS_GFP_ATOMIC);

	r->nr++;
	if (obj)
		gs_cache_free(r->child, obj);
	else
		r->wrong++;
}

/* A reader that has found it may allocate from it until it leaves. */
static void gs_children_reader(struct kunit *test)
{
	struct gs_child_reader *r;
	struct gs_reader *reader;
	struct gs_cache *root;
	unsigned int nr;

	r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	gs_need_reader(test);
	root = gs_children_root(test);
	r->child = gs_child(test, root, 3);
	reader = gs_reader_hold(test, gs_child_poll, r);
	gs_cache_child_gone(root, 3);
	nr = READ_ONCE(r->nr);
	fsleep(100 * USEC_PER_MSEC);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(READ_ONCE(r->nr) > nr + 10));
	gs_reader_release(test, reader);
	KUNIT_EXPECT_EQ(test, r->wrong, 0);
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(gs_test_stats(test, root).slabs == 0));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

static atomic_t gs_children_dead;

static void gs_children_dtor(void *obj)
{
	atomic_inc(&gs_children_dead);
}

/* The root's destructor, and the root's barrier, are its children's. */
static void gs_children_dtors(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.rcu_dtor = gs_children_dtor
	};
	struct gs_cache *root, *a, *b;
	int i;

	root = gs_test_cache(test, "gs_children", GS_CHILD_SIZE, &args,
			     gs_param_flags(test));
	a = gs_child(test, root, 1);
	b = gs_child(test, root, 2);
	atomic_set(&gs_children_dead, 0);
	for (i = 0; i < 100; i++) {
		gs_cache_free_rcu(root, gs_child_alloc(test, a));
		gs_cache_free_rcu(a, gs_child_alloc(test, b));
		gs_cache_free_rcu(b, gs_child_alloc(test, root));
	}
	gs_cache_barrier(root);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_children_dead), 300);
	for (i = 0; i < 100; i++)
		gs_cache_free_rcu(root, gs_child_alloc(test, i & 1 ? a : b));
	gs_cache_child_gone(root, 1);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_children_dead), 400);
}

/* The root answers for what its children leak, whether they are closed or not. */
static void gs_children_leak(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache *root, *gone, *child;
	struct gs_log log;
	void *objs[2];

	root = gs_children_root(test);
	gone = gs_child(test, root, 4);
	objs[0] = gs_child_alloc(test, gone);
	gs_cache_child_gone(root, 4);
	child = gs_child(test, root, 5);
	objs[1] = gs_child_alloc(test, child);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
	gs_log_mark(&log);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), -EBUSY);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies + 1);
	KUNIT_EXPECT_EQ(test, 1,
			gs_log_count_obj(&log, "gs_children:4: leaked object ",
					 objs[0]));
	KUNIT_EXPECT_EQ(test, 1,
			gs_log_count_obj(&log, "gs_children:5: leaked object ",
					 objs[1]));
	/* The name is free, and the zombies are good for their objects. */
	root = gs_children_root(test);
	gs_cache_free(child, objs[1]);
	gs_cache_free(child, objs[0]);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
}

/* A child is not its user's to destroy, and its name is nobody's. */
static void gs_children_names(struct kunit *test)
{
	struct gs_cache *root, *child, *other;

	root = gs_children_root(test);
	child = gs_child(test, root, 12);
	other = gs_test_cache(test, "gs_children:12", GS_CHILD_SIZE, NULL, 0);
	KUNIT_EXPECT_PTR_NE(test, other, child);
	GS_EXPECT_SPLAT_BEGIN("is no live cache");
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(child), -EINVAL);
	GS_EXPECT_SPLAT_END();
	KUNIT_EXPECT_PTR_EQ(test, child, gs_cache_child(root, 12));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, other), 0);
}

/*
 * The root is destroyed while the callback that ends its child's grace period,
 * and the work that follows, are on their way: both find their root.
 */
static void gs_children_in_flight(struct kunit *test)
{
	struct gs_reader *reader;
	struct gs_cache *root;
	unsigned int round;

	gs_need_reader(test);
	for (round = 0; round < 4; round++) {
		root = gs_children_root(test);
		gs_child(test, root, 1);
		reader = gs_reader_hold(test, NULL, NULL);
		gs_cache_child_gone(root, 1);
		/* For the worker to take the child off the table. */
		fsleep(20 * USEC_PER_MSEC);
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
		KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
		gs_reader_release(test, reader);
		rcu_barrier();
	}
}

#define GS_CHILD_KEYS	6

struct gs_child_user {
	struct gs_cache *root;
	unsigned int cpu;
	unsigned int rounds;
	unsigned int wrong;
	unsigned int made;
};

/* The thread is the owner of keys that nobody else has. */
static void gs_child_use(void *data)
{
	struct gs_child_user *user = data;

	while (!kthread_should_stop()) {
		u64 key = user->cpu * GS_CHILD_KEYS +
			  user->rounds++ % GS_CHILD_KEYS;
		struct gs_cache *child = gs_cache_child(user->root, key);
		void *obj = gs_cache_alloc(child, GFP_KERNEL);

		user->made += child != user->root;
		if (!obj)
			user->wrong++;
		else if (user->rounds & 1)
			gs_cache_free(user->root, obj);
		else
			gs_cache_free_rcu(user->root, obj);
		if (user->rounds % 3 == 0)
			gs_cache_child_gone(user->root, key);
		if (user->rounds % 16 == 0)
			usleep_range(100, 200);
		cond_resched();
	}
}

/*
 * Roots are destroyed while children of theirs are being made and closed:
 * whatever is on its way then finds its root.
 */
static void gs_children_race(struct kunit *test)
{
	const int rounds = 8;
	struct gs_child_user *users;
	struct gs_thread *threads[2];
	unsigned int made = 0;
	int cpu, i, k;

	users = kunit_kcalloc(test, ARRAY_SIZE(threads), sizeof(*users),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, users);
	cpu = gs_pin_self(test);
	for (i = 0; i < rounds; i++) {
		struct gs_cache *root = gs_children_root(test);

		for (k = 0; k < ARRAY_SIZE(threads); k++) {
			users[k] = (struct gs_child_user){
				.root = root,
				.cpu = k,
			};
			threads[k] = gs_thread_run(test, cpu, gs_child_use,
						   &users[k]);
			cpu = gs_other_cpu(cpu);
		}
		/* The worker may be told at a tick, and not before. */
		fsleep((5 + 10 * (i % 4)) * USEC_PER_MSEC);
		for (k = 0; k < ARRAY_SIZE(threads); k++)
			gs_thread_stop(test, threads[k]);
		for (k = 0; k < GS_CHILD_KEYS; k++) {
			gs_cache_child_gone(root, k);
			gs_cache_child(root, 100 + k);
		}
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, root), 0);
		for (k = 0; k < ARRAY_SIZE(threads); k++) {
			KUNIT_EXPECT_EQ(test, users[k].wrong, 0);
			made += users[k].made;
		}
	}
	KUNIT_EXPECT_GT(test, made, 0);
}

static struct kunit_case gs_children_cases[] = {
	KUNIT_CASE_PARAM(gs_children_made, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_serves, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_own, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_gone, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_cancelled, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_reused, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_reader, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_dtors, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_leak, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_names, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_in_flight, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_children_race, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_children_suite = {
	.name = "gs_children",
	.test_cases = gs_children_cases,
};

kunit_test_suite(gs_children_suite);
