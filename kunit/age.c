// SPDX-License-Identifier: GPL-2.0
/*
 * How long what was freed is held, in grace periods: the one that it needs, and
 * what is left of the one that runs when its batch is sealed. Not in time, which
 * depends on the machine, but by the kernel's own count.
 *
 * In most cases grace periods follow each other without a gap, as they do on a
 * busy system: whoever asks for one too late has to wait for one more.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/vmalloc.h>

#include "gs_kunit.h"

#define GS_AGE_NR	150	/* batches */
#define GS_AGE_BATCH	2	/* objects in each */
#define GS_AGE_SEEN	8

/*
 * A cookie is the number of the grace period that ends it, above the bits that
 * tell the state of one.
 */
static unsigned long gs_age_cookie(void)
{
	return get_state_synchronize_rcu() >> 2;
}

static unsigned long gs_age_wanted[GS_AGE_NR];
/* Objects by the grace periods that began after the one that they needed. */
static atomic_t gs_age_late[GS_AGE_SEEN], gs_age_back;

static void gs_age_take_down(unsigned long wanted)
{
	unsigned long late = gs_age_cookie() - wanted;

	atomic_inc(&gs_age_late[min(late, GS_AGE_SEEN - 1UL)]);
	atomic_inc(&gs_age_back);
}

static void gs_age_dtor(void *obj)
{
	gs_age_take_down(gs_age_wanted[((struct gs_node *)obj)->key]);
}

/*
 * How late somebody is who looks at each tick whether their grace period is
 * over: what a machine makes of that which is busy with something else.
 */
static unsigned long gs_age_looked[GS_AGE_SEEN];

static void gs_age_look(void *data)
{
	while (!kthread_should_stop()) {
		unsigned long cookie = get_state_synchronize_rcu(), late;

		while (!poll_state_synchronize_rcu(cookie))
			schedule_timeout_uninterruptible(1);
		late = gs_age_cookie() - (cookie >> 2);
		gs_age_looked[min(late, GS_AGE_SEEN - 1UL)]++;
	}
}

struct gs_age_wait {
	struct rcu_head head;
	struct completion over;
};

static void gs_age_over(struct rcu_head *head)
{
	complete(&container_of(head, struct gs_age_wait, head)->over);
}

/* Not by synchronize_rcu(), which may be told to expedite: those are counted too. */
static void gs_age_periods(void *data)
{
	struct gs_age_wait wait;

	init_rcu_head_on_stack(&wait.head);
	while (!kthread_should_stop()) {
		init_completion(&wait.over);
		call_rcu_hurry(&wait.head, gs_age_over);
		wait_for_completion(&wait.over);
	}
	destroy_rcu_head_on_stack(&wait.head);
}

static struct gs_cache *gs_age_start(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.sheaf_capacity = GS_AGE_BATCH,
		.rcu_dtor = gs_age_dtor,
	};
	struct gs_cache *c;
	int i, cpu;

	/* There each quiescent state counts, and none is waited for. */
	if (IS_ENABLED(CONFIG_TINY_RCU))
		kunit_skip(test, "grace periods take no time");
	for (i = 0; i < GS_AGE_SEEN; i++)
		atomic_set(&gs_age_late[i], 0);
	atomic_set(&gs_age_back, 0);
	cpu = gs_pin_self(test);
	c = gs_test_cache(test, "gs_age", sizeof(struct gs_node), &args,
			  GS_CONSISTENCY);
	gs_thread_run(test, cpu, gs_age_periods, NULL);
	gs_thread_run(test, gs_other_cpu(cpu), gs_age_periods, NULL);
	memset(gs_age_looked, 0, sizeof(gs_age_looked));
	gs_thread_run(test, cpu, gs_age_look, NULL);
	return c;
}

/*
 * At most one in three is later than it need be, and twice as many as are for
 * whoever looks at each tick: there are a timer and a worker to be scheduled.
 */
static void gs_age_judge(struct kunit *test, int nr, int most)
{
	unsigned long control = 0, others = 0;
	int i, late = 0;

	KUNIT_EXPECT_TRUE(test, gs_wait_until(atomic_read(&gs_age_back) == nr));
	for (i = 0; i < GS_AGE_SEEN; i++) {
		int n = atomic_read(&gs_age_late[i]);

		if (n)
			kunit_info(test,
				   "%d of %d: %d grace periods began after theirs\n",
				   n, nr, i - 1);
		others += READ_ONCE(gs_age_looked[i]);
		if (i > most) {
			late += n;
			control += READ_ONCE(gs_age_looked[i]);
		}
	}
	kunit_info(test, "%lu of %lu who looked at each tick were as late\n",
		   control, others);
	KUNIT_EXPECT_LE(test, late,
			nr / 3 + 2 * nr * control / max(others, 1UL));
}

/* A batch that is full is sealed at once. */
static void gs_age_batch(struct kunit *test, struct gs_cache *c)
{
	int k;

	for (k = 0; k < GS_AGE_BATCH; k++) {
		struct gs_node *obj = gs_cache_alloc(c, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, obj);
		obj->key = 0;
		gs_cache_free_rcu(c, obj);
	}
}

/* A reader that does not go, for whose end the kernel asks for grace periods. */
struct gs_age_reader {
	bool hold, inside;
};

static void gs_age_read(void *data)
{
	struct gs_age_reader *reader = data;

	while (!kthread_should_stop()) {
		rcu_read_lock();
		while (READ_ONCE(reader->hold) && !kthread_should_stop()) {
			WRITE_ONCE(reader->inside, true);
			cpu_relax();
		}
		rcu_read_unlock();
		WRITE_ONCE(reader->inside, false);
		fsleep(USEC_PER_MSEC);
	}
}

static bool gs_age_begins(unsigned long cookie)
{
	unsigned long end = jiffies + HZ / 5;

	while (gs_age_cookie() != cookie && time_before(jiffies, end))
		fsleep(USEC_PER_MSEC);
	return gs_age_cookie() == cookie;
}

/*
 * Nobody else asks for grace periods here: one begins when a batch is sealed,
 * and when it ends the next one, for a batch that was sealed meanwhile.
 */
static void gs_age_asked(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.sheaf_capacity = GS_AGE_BATCH,
	};
	struct gs_age_reader *reader;
	int round, first = 0, second = 0;
	unsigned long cookie;
	struct gs_cache *c;

	gs_need_reader(test);
	reader = kunit_kzalloc(test, sizeof(*reader), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, reader);
	c = gs_test_cache(test, "gs_age", sizeof(struct gs_node), &args, 0);
	gs_thread_run(test, gs_other_cpu(gs_pin_self(test)), gs_age_read,
		      reader);
	for (round = 0; round < 10; round++) {
		gs_cache_barrier(c);
		/* Whatever is under way ends. */
		fsleep(100 * USEC_PER_MSEC);
		WRITE_ONCE(reader->hold, true);
		KUNIT_EXPECT_TRUE(test,
				  gs_wait_until(READ_ONCE(reader->inside)));
		cookie = gs_age_cookie();
		gs_age_batch(test, c);
		first += gs_age_begins(cookie + 1);
		gs_age_batch(test, c);
		WRITE_ONCE(reader->hold, false);
		second += gs_age_begins(cookie + 2);
	}
	kunit_info(test, "%d and %d of %d began\n", first, second, round);
	KUNIT_EXPECT_GE(test, first, round / 2);
	KUNIT_EXPECT_GE(test, second, round / 2);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/*
 * When their grace period is over, a reader enters: none that begins from then on
 * ends before it leaves. They come back while it is inside, so they need none.
 */
static void gs_age_no_further(struct kunit *test)
{
	static const struct gs_cache_args args = {
		.sheaf_capacity = GS_AGE_BATCH,
		.rcu_dtor = gs_age_dtor,
	};
	struct gs_reader *reader;
	unsigned long cookie;
	struct gs_cache *c;
	int round;

	gs_need_reader(test);
	c = gs_test_cache(test, "gs_age", sizeof(struct gs_node), &args, 0);
	for (round = 0; round < 10; round++) {
		gs_cache_barrier(c);
		atomic_set(&gs_age_back, 0);
		cookie = gs_age_cookie();
		gs_age_batch(test, c);
		/* The second one needs the next one. */
		gs_age_begins(cookie + 1);
		gs_age_batch(test, c);
		cookie = get_state_synchronize_rcu();
		cond_synchronize_rcu(cookie);
		reader = gs_reader_hold(test, NULL, NULL);
		KUNIT_EXPECT_TRUE(test,
				  gs_wait_until(atomic_read(&gs_age_back) ==
						2 * GS_AGE_BATCH));
		KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
		gs_reader_release(test, reader);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Batches that are full are sealed at once: their cookie is known. */
static void gs_age_full(struct kunit *test)
{
	struct gs_cache *c = gs_age_start(test);
	int i, k;

	for (i = 0; i < GS_AGE_NR; i++) {
		for (k = 0; k < GS_AGE_BATCH; k++) {
			struct gs_node *obj = gs_cache_alloc(c, GFP_KERNEL);

			KUNIT_ASSERT_NOT_NULL(test, obj);
			obj->key = i;
			/* Good for both: the batch is sealed after it. */
			gs_age_wanted[i] = gs_age_cookie();
			gs_cache_free_rcu(c, obj);
		}
		fsleep(3 * USEC_PER_MSEC);
	}
	/* The next one may have begun, but has not ended. */
	gs_age_judge(test, GS_AGE_NR * GS_AGE_BATCH, 2);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/*
 * One that is not full stays open for seal_ms, in which a grace period or two
 * may pass: that of others is then as far away.
 */
static void gs_age_partly(struct kunit *test)
{
	struct gs_cache *c = gs_age_start(test);
	int i;

	for (i = 0; i < GS_AGE_NR; i++) {
		struct gs_node *obj = gs_cache_alloc(c, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, obj);
		obj->key = i;
		gs_age_wanted[i] = gs_age_cookie();
		gs_cache_free_rcu(c, obj);
		fsleep(15 * USEC_PER_MSEC);
	}
	gs_age_judge(test, GS_AGE_NR, 3);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/*
 * Where ticks are far apart, what has to be sealed by a tick is sealed before
 * it, as far as the machine lets the timer come in time.
 */
static void gs_age_early(struct kunit *test)
{
	/* seal_ms as it comes. */
	const unsigned long limit = max(10 * HZ / 1000, 1);
	struct gs_cache *c;
	int round, early = 0;

	if (HZ >= 1000)
		kunit_skip(test, "the next tick is soon enough");
	c = gs_test_cache(test, "gs_age", sizeof(struct gs_node), NULL, 0);
	gs_pin_self(test);
	for (round = 0; round < 100 && early < 5; round++) {
		struct gs_node *obj = gs_cache_alloc(c, GFP_KERNEL);
		u64 sealed = gs_test_stats(test, c).sealed;
		unsigned long tick = jiffies;

		KUNIT_ASSERT_NOT_NULL(test, obj);
		while (time_before_eq(jiffies, tick))
			cpu_relax();
		tick = jiffies;
		gs_cache_free_rcu(c, obj);
		while (gs_test_stats(test, c).sealed == sealed &&
		       jiffies - tick < HZ)
			fsleep(NSEC_PER_SEC / HZ / 50 / NSEC_PER_USEC);
		early += jiffies - tick < limit;
	}
	kunit_info(test, "%d of %d\n", early, round);
	KUNIT_EXPECT_GE(test, early, 5);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* The same for others' pointers: an area that is freed is not mapped any more. */
static void gs_age_others(struct kunit *test)
{
	unsigned int i, nr = GS_AGE_NR / 3;

	gs_age_start(test);
	for (i = 0; i < nr; i++) {
		void *area = vmalloc(1);
		unsigned long end = jiffies + msecs_to_jiffies(GS_WAIT_MS);
		unsigned long wanted;

		KUNIT_ASSERT_NOT_NULL(test, area);
		wanted = gs_age_cookie();
		gs_kvfree_rcu(area);
		while (vmalloc_to_page(area) && time_before(jiffies, end))
			usleep_range(200, 400);
		gs_age_take_down(wanted);
	}
	gs_age_judge(test, nr, 3);
}

static struct kunit_case gs_age_cases[] = {
	KUNIT_CASE_SLOW(gs_age_full),
	KUNIT_CASE_SLOW(gs_age_partly),
	KUNIT_CASE_SLOW(gs_age_early),
	KUNIT_CASE_SLOW(gs_age_others),
	KUNIT_CASE_SLOW(gs_age_asked),
	KUNIT_CASE(gs_age_no_further),
	{ /* sentinel */ },
};

static struct kunit_suite gs_age_suite = {
	.name = "gs_age",
	.test_cases = gs_age_cases,
};

kunit_test_suite(gs_age_suite);
