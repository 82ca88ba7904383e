// SPDX-License-Identifier: GPL-2.0
/*
 * Whoever holds a lock that interrupts take may call us, and interrupts that
 * take it may come at any point of ours. Neither waits for the other: nobody is
 * interrupted who has a lock of ours that the holder of the caller's waits for.
 */
#include <linux/bottom_half.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "gs_kunit.h"

#define GS_CALLERS_SIZE		64
#define GS_CALLERS_BURST	12
#define GS_CALLERS_US		50
#define GS_CALLERS_TICKS	50	/* that found the lock held */
#define GS_CALLERS_LEAST	5	/* where a busy machine has no time for them */

static const struct gs_callers_way {
	const char *name;
	bool bh; /* a lock that softirqs take, not interrupts */
	bool rcu;
} gs_callers_ways[] = {
	{ "irq", false, false },
	{ "irq_rcu", false, true },
	{ "bh", true, false },
	{ "bh_rcu", true, true },
};

KUNIT_ARRAY_PARAM_DESC(gs_callers, gs_callers_ways, name);

struct gs_callers {
	const struct gs_callers_way *way;
	struct gs_cache *c;
	raw_spinlock_t lock;
	struct hrtimer timer;
	unsigned int waited;
	bool waits;
	bool stuck;
};

/* Comes to the node's lock, and that of sealed batches, again and again. */
static void gs_callers_use(struct gs_callers *l, gfp_t gfp)
{
	void *objs[GS_CALLERS_BURST];
	int i;

	for (i = 0; i < GS_CALLERS_BURST; i++) {
		objs[i] = gs_cache_alloc(l->c, gfp);
		if (!objs[i])
			break;
	}
	while (i--) {
		if (l->way->rcu)
			gs_cache_free_rcu(l->c, objs[i]);
		else
			gs_cache_free(l->c, objs[i]);
	}
}

static enum hrtimer_restart gs_callers_tick(struct hrtimer *timer)
{
	struct gs_callers *l = container_of(timer, struct gs_callers, timer);
	u64 entered = ktime_get_ns();
	u64 limit = entered + NSEC_PER_SEC;
	bool waited = false;

	while (!raw_spin_trylock(&l->lock)) {
		waited = true;
		WRITE_ONCE(l->waits, true);
		if (ktime_get_ns() > limit) {
			WRITE_ONCE(l->stuck, true);
			WRITE_ONCE(l->waits, false);
			return HRTIMER_NORESTART;
		}
		cpu_relax();
	}
	raw_spin_unlock(&l->lock);
	WRITE_ONCE(l->waits, false);
	WRITE_ONCE(l->waited, l->waited + waited);
	return gs_hrtimer_again(timer, GS_CALLERS_US, entered);
}

static void gs_callers_tick_end(void *data)
{
	struct gs_callers *l = data;

	hrtimer_cancel(&l->timer);
}

static void gs_callers_holder(void *data)
{
	struct gs_callers *l = data;
	unsigned long flags = 0;

	while (!kthread_should_stop()) {
		if (l->way->bh) {
			/* With PREEMPT_RT raw_spin_lock_bh() is not enough. */
			local_bh_disable();
			raw_spin_lock(&l->lock);
		} else {
			raw_spin_lock_irqsave(&l->lock, flags);
		}
		gs_callers_use(l, GS_GFP_ATOMIC);
		if (l->way->bh) {
			raw_spin_unlock(&l->lock);
			local_bh_enable();
		} else {
			raw_spin_unlock_irqrestore(&l->lock, flags);
		}
		cond_resched();
		/* Not so soon that nobody else ever finds it free. */
		while (READ_ONCE(l->waits))
			cpu_relax();
	}
}

static void gs_callers_lock(struct kunit *test)
{
	const struct gs_callers_way *way = test->param_value;
	enum hrtimer_mode mode = way->bh ? HRTIMER_MODE_REL_PINNED_SOFT :
					   HRTIMER_MODE_REL_PINNED_HARD;
	struct gs_cache_args args = { .sheaf_capacity = 4 };
	struct gs_thread *thread;
	struct gs_callers *l;
	int cpu;
	u64 end;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	cpu = gs_pin_self(test);
	l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, l);
	l->way = way;
	raw_spin_lock_init(&l->lock);
	l->c = gs_test_cache(test, "gs_callers", GS_CALLERS_SIZE, &args, 0);

	hrtimer_setup(&l->timer, gs_callers_tick, CLOCK_MONOTONIC, mode);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_callers_tick_end, l));
	hrtimer_start(&l->timer, us_to_ktime(GS_CALLERS_US), mode);
	thread = gs_thread_run(test, gs_other_cpu(cpu), gs_callers_holder, l);

	end = ktime_get_ns() + (u64)GS_WAIT_MS * NSEC_PER_MSEC;
	while (!READ_ONCE(l->stuck) &&
	       READ_ONCE(l->waited) < GS_CALLERS_TICKS &&
	       ktime_get_ns() < end) {
		gs_callers_use(l, GFP_KERNEL);
		cond_resched();
	}
	gs_thread_stop(test, thread);
	kunit_release_action(test, gs_callers_tick_end, l);

	KUNIT_EXPECT_FALSE(test, l->stuck);
	KUNIT_EXPECT_GE(test, l->waited, GS_CALLERS_LEAST);
	gs_cache_barrier(l->c);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, l->c), 0);
}

static struct kunit_case gs_callers_cases[] = {
	KUNIT_CASE_PARAM(gs_callers_lock, gs_callers_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_callers_suite = {
	.name = "gs_callers",
	.test_cases = gs_callers_cases,
};

kunit_test_suite(gs_callers_suite);
