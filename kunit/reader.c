// SPDX-License-Identifier: GPL-2.0
/*
 * A reader never sees an object reused, nor its destructor's work: what was
 * given to gs_cache_free_rcu() stays as it was until every reader that may hold
 * it has left.
 *
 * Allocation is kept hot meanwhile, and each object that is allocated is
 * overwritten, so that an object which came back early is seen to change.
 */
#include <linux/cpumask.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "gs_kunit.h"

#define GS_READER_SLOTS	16
#define GS_READER_BURST	24
#define GS_READER_LOOK	40	/* times that a reader looks at an object */
#define GS_READER_MS	300
#define GS_READER_HELD_MS 1000
#define GS_READER_LIVE	0x600d0b1eU
#define GS_READER_DEAD	0xdeadbeefU
#define GS_READER_SIZE	96

struct gs_item {
	u32 magic;
	u32 seq;
	u32 echo;
};

struct gs_race {
	struct gs_cache *c;
	struct gs_item __rcu *slot[GS_READER_SLOTS];
	atomic_t seq;
	atomic_t wrong;
	atomic_t reads;
	atomic_t swaps;
	atomic_t allocs;
};

static void gs_item_dtor(void *obj)
{
	struct gs_item *item = obj;

	WRITE_ONCE(item->magic, GS_READER_DEAD);
}

static const struct gs_cache_args gs_item_args = {
	.rcu_dtor = gs_item_dtor,
};

/*
 * With lockdep, or where each reader that leaves is reported at once,
 * User-mode Linux takes milliseconds to save a stack.
 */
#define GS_READER_USER							\
	(IS_ENABLED(CONFIG_UML) &&					\
			 (IS_ENABLED(CONFIG_PROVE_LOCKING) ||		\
			  IS_ENABLED(CONFIG_RCU_STRICT_GRACE_PERIOD)) ?	\
		 0 :							\
		 GS_STORE_USER)

static const struct gs_reader_param {
	const char *name;
	const struct gs_cache_args *args;
	unsigned long flags;
} gs_reader_params[] = {
	{ "plain", NULL, 0 },
	{ "consistency", NULL, GS_CONSISTENCY },
	{ "dtor", &gs_item_args, 0 },
	{ "dtor_consistency", &gs_item_args, GS_CONSISTENCY },
	/* What is done to a free object shows in those that readers still have. */
	{ "poison", NULL, GS_CONSISTENCY | GS_POISON | GS_RED_ZONE },
	{ "dtor_poison", &gs_item_args, GS_POISON | GS_READER_USER },
};

KUNIT_ARRAY_PARAM_DESC(gs_reader, gs_reader_params, name);

static struct gs_race *gs_race_start(struct kunit *test)
{
	const struct gs_reader_param *param = test->param_value;
	struct gs_race *race;

	race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, race);
	race->c = gs_test_cache(test, "gs_reader", GS_READER_SIZE, param->args,
				param->flags);
	gs_test_warm(test, race->c);
	return race;
}

/* Publish a new item, queue the old one, and have others use what is free. */
static void gs_race_write(struct gs_race *race, unsigned int n, gfp_t gfp)
{
	struct gs_item *burst[GS_READER_BURST];
	struct gs_item *new, *old;
	int i;

	new = gs_cache_alloc(race->c, gfp);
	if (new) {
		atomic_inc(&race->allocs);
		new->magic = GS_READER_LIVE;
		new->seq = atomic_inc_return(&race->seq);
		new->echo = ~new->seq;
		old = unrcu_pointer(xchg(&race->slot[n % GS_READER_SLOTS],
					 RCU_INITIALIZER(new)));
		if (old) {
			gs_cache_free_rcu(race->c, old);
			atomic_inc(&race->swaps);
		}
	}

	for (i = 0; i < GS_READER_BURST; i++) {
		burst[i] = gs_cache_alloc(race->c, gfp);
		if (!burst[i])
			break;
		memset(burst[i], 0xa5, GS_READER_SIZE);
	}
	atomic_add(i, &race->allocs);
	while (i--)
		gs_cache_free(race->c, burst[i]);
}

/* Hold one item for a while; it must stay what it was. */
static void gs_race_read(struct gs_race *race, unsigned int n)
{
	struct gs_item *item;
	u32 seq;
	int i;

	rcu_read_lock();
	item = rcu_dereference(race->slot[n % GS_READER_SLOTS]);
	if (item) {
		seq = READ_ONCE(item->seq);
		for (i = 0; i < GS_READER_LOOK; i++) {
			if (READ_ONCE(item->magic) != GS_READER_LIVE ||
			    READ_ONCE(item->seq) != seq ||
			    READ_ONCE(item->echo) != ~seq) {
				atomic_inc(&race->wrong);
				break;
			}
			udelay(1);
		}
		atomic_inc(&race->reads);
	}
	rcu_read_unlock();
}

static void gs_race_end(struct kunit *test, struct gs_race *race)
{
	struct gs_cache_stats stats = gs_test_stats(test, race->c);
	int i;

	KUNIT_EXPECT_EQ(test, atomic_read(&race->wrong), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&race->reads), 100);
	KUNIT_EXPECT_GT(test, atomic_read(&race->swaps),
			IS_ENABLED(CONFIG_KASAN) ? 10 : 100);
	/* Memory did come back and was used again while all this ran. */
	KUNIT_EXPECT_GT(test, stats.done, 0);
	KUNIT_EXPECT_GT(test, (u64)atomic_read(&race->allocs),
			2 * stats.objects);

	for (i = 0; i < GS_READER_SLOTS; i++) {
		struct gs_item *item;

		item = unrcu_pointer(xchg(&race->slot[i], NULL));
		if (item)
			gs_cache_free(race->c, item);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, race->c), 0);
}

static void gs_race_reader(void *data)
{
	struct gs_race *race = data;
	unsigned int n = 0;

	while (!kthread_should_stop()) {
		gs_race_read(race, n++);
		cond_resched();
	}
}

static void gs_race_writer(void *data)
{
	struct gs_race *race = data;
	unsigned int n = 0;

	while (!kthread_should_stop()) {
		gs_race_write(race, n++, GFP_KERNEL);
		cond_resched();
	}
}

/* Readers and writers on every CPU. */
static void gs_reader_every_cpu(struct kunit *test)
{
	struct gs_race *race = gs_race_start(test);
	struct gs_thread *thread[2 * 8];
	int cpu, i = 0;

	for_each_online_cpu(cpu) {
		if (i == ARRAY_SIZE(thread))
			break;
		thread[i++] = gs_thread_run(test, cpu, gs_race_writer, race);
		thread[i++] = gs_thread_run(test, cpu, gs_race_reader, race);
	}
	msleep(GS_READER_MS);
	/* Until enough has happened, however slow the machine is. */
	gs_wait_until(atomic_read(&race->reads) > 100 &&
		      atomic_read(&race->swaps) > 100);
	while (i--)
		gs_thread_stop(test, thread[i]);
	gs_race_end(test, race);
}

struct gs_reader_irq {
	struct hrtimer timer;
	struct gs_race *race;
	bool inside;
	unsigned int hits;
	unsigned int n;
};

static enum hrtimer_restart gs_reader_tick(struct hrtimer *timer)
{
	struct gs_reader_irq *irq = container_of(timer, struct gs_reader_irq,
						 timer);
	u64 entered = ktime_get_ns();

	if (irq->inside)
		irq->hits++;
	gs_race_write(irq->race, irq->n++, GS_GFP_ATOMIC);
	return gs_hrtimer_again(timer, 100, entered);
}

static void gs_reader_tick_end(void *data)
{
	struct gs_reader_irq *irq = data;

	hrtimer_cancel(&irq->timer);
}

/* The writer interrupts the reader: all that one CPU can show. */
static void gs_reader_interrupted(struct kunit *test)
{
	struct gs_race *race = gs_race_start(test);
	struct gs_reader_irq *irq;
	unsigned int n = 0;
	u64 end, limit;

	irq = kunit_kzalloc(test, sizeof(*irq), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, irq);
	gs_pin_self(test);
	irq->race = race;
	hrtimer_setup(&irq->timer, gs_reader_tick, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_reader_tick_end,
						  irq));
	hrtimer_start(&irq->timer, us_to_ktime(100),
		      HRTIMER_MODE_REL_PINNED_HARD);

	end = ktime_get_ns() + GS_READER_MS * NSEC_PER_MSEC;
	limit = ktime_get_ns() + (u64)GS_WAIT_MS * NSEC_PER_MSEC;
	/* Until enough has happened, however slow the machine is. */
	while (ktime_get_ns() < end || ((READ_ONCE(irq->hits) <= 100 ||
					 atomic_read(&race->swaps) <= 100) &&
					ktime_get_ns() < limit)) {
		rcu_read_lock();
		WRITE_ONCE(irq->inside, true);
		/* Sections as long as several ticks of the timer. */
		for (int i = 0; i < GS_READER_SLOTS; i++)
			gs_race_read(race, n++);
		WRITE_ONCE(irq->inside, false);
		rcu_read_unlock();
		/* Let grace periods end, so that there is something to reuse. */
		if (!(n % (16 * GS_READER_SLOTS)))
			fsleep(USEC_PER_MSEC);
		cond_resched();
	}
	kunit_release_action(test, gs_reader_tick_end, irq);
	KUNIT_EXPECT_GT(test, irq->hits, 100);
	gs_race_end(test, race);
}

/* The reader is the one who frees and allocates. */
static void gs_reader_is_freer(struct kunit *test)
{
	const struct gs_reader_param *param = test->param_value;
	struct gs_item *held, *item;
	unsigned int nr = 5000, got = 0, same = 0, i;
	struct gs_cache *c;
	void **objs;

	c = gs_test_cache(test, "gs_reader", GS_READER_SIZE, param->args,
			  param->flags);
	objs = gs_test_array(test, nr, sizeof(*objs));

	rcu_read_lock();
	held = gs_cache_alloc(c, GFP_ATOMIC);
	if (held) {
		gs_fill(held, GS_READER_SIZE, 1);
		gs_cache_free_rcu(c, held);
		for (i = 0; i < nr; i++) {
			item = gs_cache_alloc(c, GFP_ATOMIC);
			if (!item)
				continue;
			same += item == held;
			memset(item, 0xa5, GS_READER_SIZE);
			/* Half of them stay out, the others are used hot. */
			if (i & 1)
				objs[got++] = item;
			else if (i & 2)
				gs_cache_free(c, item);
			else
				gs_cache_free_rcu(c, item);
		}
		same += !gs_filled(held, GS_READER_SIZE, 1);
	}
	rcu_read_unlock();

	KUNIT_EXPECT_NOT_NULL(test, held);
	KUNIT_EXPECT_GT(test, got, 100);
	KUNIT_EXPECT_EQ(test, same, 0);
	while (got--)
		gs_cache_free(c, objs[got]);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

struct gs_held {
	struct gs_item *item;
	unsigned int polls;
	unsigned int wrong;
};

static void gs_held_poll(void *data)
{
	struct gs_held *held = data;

	if (!gs_filled(held->item, GS_READER_SIZE, 7))
		held->wrong++;
	held->polls++;
}

/* One object is held while far more than its cache has are allocated. */
static void gs_reader_held(struct kunit *test)
{
	const struct gs_reader_param *param = test->param_value;
	unsigned int nr = 4000, same = 0, round, i;
	u64 enough = ktime_get_ns() + GS_READER_HELD_MS * NSEC_PER_MSEC;
	struct gs_held held = {};
	struct gs_reader *reader;
	struct gs_cache *c;
	void **objs;

	gs_need_reader(test);
	c = gs_test_cache(test, "gs_reader", GS_READER_SIZE, param->args,
			  param->flags);
	objs = gs_test_array(test, nr, sizeof(*objs));
	held.item = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, held.item);
	gs_fill(held.item, GS_READER_SIZE, 7);

	reader = gs_reader_hold(test, gs_held_poll, &held);
	gs_cache_free_rcu(c, held.item);
	/* A slow machine, and one that saves stacks, does fewer rounds. */
	for (round = 0; round < 6 && (!round || ktime_get_ns() < enough);
	     round++) {
		for (i = 0; i < nr; i++) {
			objs[i] = gs_cache_alloc(c, GFP_KERNEL);
			if (!objs[i])
				break;
			same += objs[i] == held.item;
			memset(objs[i], 0xa5, GS_READER_SIZE);
		}
		KUNIT_EXPECT_EQ(test, i, nr);
		while (i--) {
			/* Batches fill up with objects of the same slabs, */
			if (i % 16 == round)
				gs_cache_free_rcu(c, objs[i]);
			else
				gs_cache_free(c, objs[i]);
		}
		/* and are looked at when they could seem ripe. */
		msleep(20);
		gs_cache_shrink(c);
	}
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).done, 0);
	KUNIT_EXPECT_EQ(test, same, 0);
	gs_reader_release(test, reader);
	KUNIT_EXPECT_EQ(test, held.wrong, 0);
	KUNIT_EXPECT_GT(test, held.polls, 100);

	gs_cache_barrier(c);
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static struct kunit_case gs_reader_cases[] = {
	KUNIT_CASE_PARAM(gs_reader_every_cpu, gs_reader_gen_params),
	KUNIT_CASE_PARAM(gs_reader_interrupted, gs_reader_gen_params),
	KUNIT_CASE_PARAM(gs_reader_is_freer, gs_reader_gen_params),
	KUNIT_CASE_PARAM(gs_reader_held, gs_reader_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_reader_suite = {
	.name = "gs_reader",
	.test_cases = gs_reader_cases,
};

kunit_test_suite(gs_reader_suite);
