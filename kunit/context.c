// SPDX-License-Identifier: GPL-2.0
/*
 * Allocation and both ways to free may be called in any context, and may
 * interrupt themselves: an interrupt that finds its CPU in the middle of an
 * operation takes another path, and nothing is lost or handed out twice.
 *
 * What is allocated is filled with a key of its own and looked at before it is
 * freed, so that an object with two owners is seen.
 */
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/timer.h>

#include "gs_kunit.h"

#define GS_CONTEXT_DEBUG \
	(GS_RED_ZONE | GS_POISON | GS_CONSISTENCY | GS_STORE_USER)

#define GS_RING		48
#define GS_RING_SIZE	64
#define GS_CALLER_STEPS	600	/* steps in one stay in a context */
#define GS_CALLER_STAYS	10

/* Objects in the hands of one context. */
struct gs_ring {
	struct gs_cache *c;
	void *obj[GS_RING];
	u32 key[GS_RING];
	u32 id;
	u32 n;
	u32 allocs;
	u32 frees;
	u32 queued;
	u32 wrong;
};

static void gs_ring_step(struct gs_ring *ring, gfp_t gfp)
{
	u32 n = ring->n++, i = n % GS_RING;
	void *obj = ring->obj[i];

	if (!obj) {
		obj = gs_cache_alloc(ring->c, gfp);
		if (!obj)
			return;
		ring->allocs++;
		ring->key[i] = ring->id << 24 | (n & 0xffffff);
		gs_fill(obj, GS_RING_SIZE, ring->key[i]);
		ring->obj[i] = obj;
		return;
	}

	if (!gs_filled(obj, GS_RING_SIZE, ring->key[i]))
		ring->wrong++;
	ring->obj[i] = NULL;
	if ((n / GS_RING) & 2) {
		ring->frees++;
		gs_cache_free(ring->c, obj);
	} else {
		ring->queued++;
		gs_cache_free_rcu(ring->c, obj);
	}
}

static void gs_ring_steps(struct gs_ring *ring, gfp_t gfp, unsigned int nr)
{
	while (nr--)
		gs_ring_step(ring, gfp);
}

static struct gs_ring *gs_ring_start(struct kunit *test, struct gs_cache *c,
				     u32 id)
{
	struct gs_ring *ring;

	ring = kunit_kzalloc(test, sizeof(*ring), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ring);
	ring->c = c;
	ring->id = id;
	return ring;
}

/* Every way was gone, and every object was its context's own. */
static void gs_ring_end(struct kunit *test, struct gs_ring *ring)
{
	int i;

	for (i = 0; i < GS_RING; i++) {
		void *obj = ring->obj[i];

		if (!obj)
			continue;
		if (!gs_filled(obj, GS_RING_SIZE, ring->key[i]))
			ring->wrong++;
		gs_cache_free(ring->c, obj);
	}
	KUNIT_EXPECT_EQ(test, ring->wrong, 0);
	KUNIT_EXPECT_GT(test, ring->allocs, 100);
	KUNIT_EXPECT_GT(test, ring->frees, 10);
	KUNIT_EXPECT_GT(test, ring->queued, 10);
}

/* Contexts that a caller enters by itself */

static void gs_call_task(struct gs_ring *ring)
{
	gs_ring_steps(ring, GFP_KERNEL, GS_CALLER_STEPS);
}

static void gs_call_preempt_off(struct gs_ring *ring)
{
	preempt_disable();
	gs_ring_steps(ring, __GFP_NOWARN, GS_CALLER_STEPS);
	preempt_enable();
}

static void gs_call_bh_off(struct gs_ring *ring)
{
	local_bh_disable();
	gs_ring_steps(ring, GFP_ATOMIC, GS_CALLER_STEPS);
	local_bh_enable();
}

static void gs_call_irqs_off(struct gs_ring *ring)
{
	unsigned long flags;

	local_irq_save(flags);
	gs_ring_steps(ring, __GFP_NOWARN, GS_CALLER_STEPS);
	local_irq_restore(flags);
}

static DEFINE_RAW_SPINLOCK(gs_call_lock);

static void gs_call_raw_lock(struct gs_ring *ring)
{
	raw_spin_lock(&gs_call_lock);
	gs_ring_steps(ring, __GFP_NOWARN, GS_CALLER_STEPS);
	raw_spin_unlock(&gs_call_lock);
}

static void gs_call_raw_lock_irq(struct gs_ring *ring)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&gs_call_lock, flags);
	gs_ring_steps(ring, __GFP_NOWARN, GS_CALLER_STEPS);
	raw_spin_unlock_irqrestore(&gs_call_lock, flags);
}

static void gs_call_reader(struct gs_ring *ring)
{
	rcu_read_lock();
	gs_ring_steps(ring, GFP_ATOMIC, GS_CALLER_STEPS);
	rcu_read_unlock();
}

static const struct gs_caller_param {
	const char *name;
	void (*call)(struct gs_ring *ring);
	unsigned long flags;
} gs_caller_params[] = {
	{ "task", gs_call_task, 0 },
	{ "task_consistency", gs_call_task, GS_CONSISTENCY },
	{ "task_debug", gs_call_task, GS_CONTEXT_DEBUG },
	{ "preemption_off", gs_call_preempt_off, 0 },
	{ "softirqs_off", gs_call_bh_off, GS_CONSISTENCY },
	{ "interrupts_off", gs_call_irqs_off, 0 },
	{ "interrupts_off_consistency", gs_call_irqs_off, GS_CONSISTENCY },
	{ "interrupts_off_debug", gs_call_irqs_off, GS_CONTEXT_DEBUG },
	{ "raw_lock", gs_call_raw_lock, 0 },
	{ "raw_lock_consistency", gs_call_raw_lock, GS_CONSISTENCY },
	{ "raw_lock_interrupts_off", gs_call_raw_lock_irq, 0 },
	{ "raw_lock_interrupts_off_consistency", gs_call_raw_lock_irq,
	  GS_CONSISTENCY },
	{ "raw_lock_interrupts_off_debug", gs_call_raw_lock_irq,
	  GS_CONTEXT_DEBUG },
	{ "reader", gs_call_reader, 0 },
	{ "reader_consistency", gs_call_reader, GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_caller, gs_caller_params, name);

static void gs_context_caller(struct kunit *test)
{
	const struct gs_caller_param *param = test->param_value;
	struct gs_cache_stats stats;
	struct gs_ring *ring;
	struct gs_cache *c;
	int i;

	c = gs_test_cache(test, "gs_context", GS_RING_SIZE, NULL, param->flags);
	ring = gs_ring_start(test, c, 1);
	for (i = 0; i < GS_CALLER_STAYS; i++) {
		param->call(ring);
		fsleep(USEC_PER_MSEC);
	}
	gs_ring_end(test, ring);
	gs_cache_barrier(c);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.queued, ring->queued);
	KUNIT_EXPECT_EQ(test, stats.done, ring->queued);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Contexts that come from outside */

struct gs_visitor {
	struct hrtimer hrtimer;
	struct timer_list timer;
	struct irq_work work;
	struct gs_ring *ring;
	unsigned int period_us;
	unsigned int steps;
	unsigned int visits;
	unsigned int misplaced;
};

static void gs_visit(struct gs_visitor *visitor, bool placed)
{
	if (!placed)
		visitor->misplaced++;
	gs_ring_steps(visitor->ring, GS_GFP_ATOMIC, visitor->steps);
	WRITE_ONCE(visitor->visits, visitor->visits + 1);
}

static enum hrtimer_restart gs_visit_hardirq(struct hrtimer *hrtimer)
{
	struct gs_visitor *visitor = container_of(hrtimer, struct gs_visitor,
						  hrtimer);
	u64 entered = ktime_get_ns();

	gs_visit(visitor, in_hardirq());
	return gs_hrtimer_again(hrtimer, visitor->period_us, entered);
}

static void gs_hardirq_start(struct gs_visitor *visitor)
{
	hrtimer_setup(&visitor->hrtimer, gs_visit_hardirq, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(&visitor->hrtimer, us_to_ktime(visitor->period_us),
		      HRTIMER_MODE_REL_PINNED_HARD);
}

static void gs_hardirq_end(void *data)
{
	struct gs_visitor *visitor = data;

	hrtimer_cancel(&visitor->hrtimer);
}

static void gs_visit_softirq(struct timer_list *timer)
{
	struct gs_visitor *visitor = container_of(timer, struct gs_visitor,
						  timer);

	gs_visit(visitor, in_serving_softirq() || IS_ENABLED(CONFIG_PREEMPT_RT));
	mod_timer(timer, jiffies + 1);
}

static void gs_softirq_start(struct gs_visitor *visitor)
{
	timer_setup(&visitor->timer, gs_visit_softirq, TIMER_PINNED);
	mod_timer(&visitor->timer, jiffies + 1);
}

static void gs_softirq_end(void *data)
{
	struct gs_visitor *visitor = data;

	timer_shutdown_sync(&visitor->timer);
}

static void gs_visit_irq_work(struct irq_work *work)
{
	struct gs_visitor *visitor = container_of(work, struct gs_visitor, work);

	gs_visit(visitor, in_hardirq());
}

static void gs_irq_work_start(struct gs_visitor *visitor)
{
	visitor->work = IRQ_WORK_INIT_HARD(gs_visit_irq_work);
}

static void gs_irq_work_invite(struct gs_visitor *visitor)
{
	irq_work_queue(&visitor->work);
}

static void gs_irq_work_end(void *data)
{
	struct gs_visitor *visitor = data;

	irq_work_sync(&visitor->work);
}

static const struct gs_visitor_param {
	const char *name;
	void (*start)(struct gs_visitor *visitor);
	void (*invite)(struct gs_visitor *visitor);
	void (*end)(void *data);
	unsigned long flags;
} gs_visitor_params[] = {
	{ "softirq", gs_softirq_start, NULL, gs_softirq_end, 0 },
	{ "softirq_consistency", gs_softirq_start, NULL, gs_softirq_end,
	  GS_CONSISTENCY },
	{ "hardirq", gs_hardirq_start, NULL, gs_hardirq_end, 0 },
	{ "hardirq_consistency", gs_hardirq_start, NULL, gs_hardirq_end,
	  GS_CONSISTENCY },
	{ "hardirq_debug", gs_hardirq_start, NULL, gs_hardirq_end,
	  GS_CONTEXT_DEBUG },
	{ "irq_work", gs_irq_work_start, gs_irq_work_invite, gs_irq_work_end,
	  0 },
	{ "irq_work_consistency", gs_irq_work_start, gs_irq_work_invite,
	  gs_irq_work_end, GS_CONSISTENCY },
	{ "irq_work_debug", gs_irq_work_start, gs_irq_work_invite,
	  gs_irq_work_end, GS_CONTEXT_DEBUG },
};

KUNIT_ARRAY_PARAM_DESC(gs_visitor, gs_visitor_params, name);

/* Only the visitor uses the cache. */
static void gs_context_visitor(struct kunit *test)
{
	const struct gs_visitor_param *param = test->param_value;
	unsigned long end = jiffies + msecs_to_jiffies(GS_WAIT_MS);
	struct gs_visitor *visitor;
	struct gs_cache *c;

	visitor = kunit_kzalloc(test, sizeof(*visitor), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, visitor);
	gs_pin_self(test);
	c = gs_test_cache(test, "gs_context", GS_RING_SIZE, NULL, param->flags);
	gs_test_warm(test, c);
	visitor->ring = gs_ring_start(test, c, 2);
	visitor->period_us = 1000;
	visitor->steps = 3 * GS_RING;

	param->start(visitor);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, param->end, visitor));
	while (READ_ONCE(visitor->visits) < 15 && time_before(jiffies, end)) {
		if (param->invite)
			param->invite(visitor);
		fsleep(USEC_PER_MSEC);
	}
	KUNIT_EXPECT_GE(test, READ_ONCE(visitor->visits), 15);
	kunit_release_action(test, param->end, visitor);

	KUNIT_EXPECT_EQ(test, visitor->misplaced, 0);
	gs_ring_end(test, visitor->ring);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static void gs_churn_elsewhere(void *data)
{
	struct gs_ring *ring = data;

	while (!kthread_should_stop()) {
		gs_ring_steps(ring, GFP_KERNEL, 500);
		cond_resched();
	}
}

/*
 * The interrupt hits a task, of the same CPU and the same cache, in the middle
 * of an operation: it is repeated until the statistics say that it did.
 */
static void gs_context_reentry(struct kunit *test)
{
	unsigned long end = jiffies + msecs_to_jiffies(GS_WAIT_MS);
	struct gs_ring *ring, *elsewhere;
	struct gs_cache_stats stats;
	struct gs_visitor *visitor;
	struct gs_thread *thread;
	struct gs_cache *c;
	int cpu;

	visitor = kunit_kzalloc(test, sizeof(*visitor), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, visitor);
	cpu = gs_pin_self(test);
	c = gs_test_cache(test, "gs_context", GS_RING_SIZE, NULL,
			  gs_param_flags(test));
	ring = gs_ring_start(test, c, 3);
	elsewhere = gs_ring_start(test, c, 4);
	visitor->ring = gs_ring_start(test, c, 5);
	visitor->period_us = 100;
	visitor->steps = 7;

	thread = gs_thread_run(test, gs_other_cpu(cpu), gs_churn_elsewhere,
			       elsewhere);
	gs_hardirq_start(visitor);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_hardirq_end,
						  visitor));
	do {
		gs_ring_steps(ring, GFP_KERNEL, 2000);
		cond_resched();
		stats = gs_test_stats(test, c);
	} while ((stats.frees_bits < 50 || READ_ONCE(visitor->visits) < 2000 ||
		  READ_ONCE(elsewhere->queued) < 100) &&
		 time_before(jiffies, end));
	kunit_release_action(test, gs_hardirq_end, visitor);
	gs_thread_stop(test, thread);

	KUNIT_EXPECT_GE_MSG(test, stats.frees_bits, 50,
			    "%u interrupts never hit an operation",
			    visitor->visits);
	KUNIT_EXPECT_EQ(test, visitor->misplaced, 0);
	gs_ring_end(test, ring);
	gs_ring_end(test, elsewhere);
	gs_ring_end(test, visitor->ring);

	gs_cache_barrier(c);
	stats = gs_test_stats(test, c);
	KUNIT_EXPECT_EQ(test, stats.queued,
			ring->queued + elsewhere->queued +
				visitor->ring->queued);
	KUNIT_EXPECT_EQ(test, stats.done, stats.queued);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Destroy right after an interrupt queued its objects. */
static void gs_context_destroy(struct kunit *test)
{
	struct gs_visitor *visitor;
	struct gs_reader *reader;
	struct gs_ring *ring;
	struct gs_cache *c;
	u64 queued;
	int returned;

	gs_need_reader(test);
	visitor = kunit_kzalloc(test, sizeof(*visitor), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, visitor);
	c = gs_test_cache(test, "gs_context", GS_RING_SIZE, NULL,
			  gs_param_flags(test));
	ring = gs_ring_start(test, c, 6);
	visitor->ring = gs_ring_start(test, c, 7);
	visitor->period_us = 100;
	visitor->steps = 7;

	reader = gs_reader_hold(test, NULL, NULL);
	gs_hardirq_start(visitor);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_hardirq_end,
						  visitor));
	while (READ_ONCE(visitor->visits) < 500) {
		gs_ring_steps(ring, GFP_KERNEL, 100);
		if (!gs_reader_inside(reader))
			break;
	}
	kunit_release_action(test, gs_hardirq_end, visitor);
	gs_ring_end(test, ring);
	gs_ring_end(test, visitor->ring);

	queued = ring->queued + visitor->ring->queued;
	KUNIT_EXPECT_EQ(test, gs_test_pending(test, c), queued);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	gs_reader_leave_in(reader, 30);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	returned = gs_stamp();
	KUNIT_EXPECT_LT(test, gs_reader_left(test, reader), returned);
}

static struct kunit_case gs_context_cases[] = {
	KUNIT_CASE_PARAM(gs_context_caller, gs_caller_gen_params),
	KUNIT_CASE_PARAM(gs_context_visitor, gs_visitor_gen_params),
	KUNIT_CASE_PARAM(gs_context_reentry, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_context_destroy, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_context_suite = {
	.name = "gs_context",
	.test_cases = gs_context_cases,
};

kunit_test_suite(gs_context_suite);
