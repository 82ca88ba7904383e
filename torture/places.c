// SPDX-License-Identifier: GPL-2.0
/*
 * Where operations are done: in tasks with this or that held or off, and in
 * timers and interrupts on every CPU.
 */
#include <linux/cpu.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/spinlock.h>

#include "gs_torture.h"

#define GST_PERIOD_US	300

enum { GST_HARD, GST_SOFT, GST_TIMERS };

/* What a CPU has for each context; the timers may run on another one. */
struct gst_side {
	struct gst_ticker {
		struct hrtimer timer;
		struct gst_who who;
	} tickers[GST_TIMERS];
	struct irq_work work;
	struct gst_who by_work, by_call;
};

static DEFINE_PER_CPU(struct gst_side, gst_sides);
static DEFINE_RAW_SPINLOCK(gst_raw_lock);
static DEFINE_SPINLOCK(gst_lock);

static void gst_steps(struct gst_who *who)
{
	unsigned int n = 1 + gst_random(who, 8);

	while (n--)
		gst_step(who);
}

/* ---- interrupts ---------------------------------------------------------- */

static enum hrtimer_restart gst_tick(struct hrtimer *timer)
{
	struct gst_ticker *t = container_of(timer, struct gst_ticker, timer);
	u64 begin = ktime_get_ns(), took;

	gst_steps(&t->who);
	took = ktime_get_ns() - begin;
	hrtimer_forward_now(timer,
			    ns_to_ktime(max_t(u64, GST_PERIOD_US * NSEC_PER_USEC,
					      8 * took)));
	return HRTIMER_RESTART;
}

static void gst_worked(struct irq_work *work)
{
	gst_steps(&this_cpu_ptr(&gst_sides)->by_work);
}

static void gst_called(void *unused)
{
	gst_steps(&this_cpu_ptr(&gst_sides)->by_call);
}

static void gst_timers_here(void *unused)
{
	struct gst_side *side = this_cpu_ptr(&gst_sides);

	hrtimer_start(&side->tickers[GST_HARD].timer,
		      us_to_ktime(GST_PERIOD_US), HRTIMER_MODE_REL_PINNED_HARD);
	hrtimer_start(&side->tickers[GST_SOFT].timer,
		      us_to_ktime(GST_PERIOD_US), HRTIMER_MODE_REL_PINNED_SOFT);
}

void gst_timers_init(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct gst_side *side = per_cpu_ptr(&gst_sides, cpu);
		unsigned int id = 10000 + 10 * cpu;

		gst_who_init(&side->tickers[GST_HARD].who, id, GST_ATOMIC,
			     GST_IN_HARDIRQ);
		gst_who_init(&side->tickers[GST_SOFT].who, id + 1, GST_ATOMIC,
			     GST_IN_SOFTIRQ);
		gst_who_init(&side->by_work, id + 2, GST_ATOMIC, GST_IN_HARDIRQ);
		gst_who_init(&side->by_call, id + 3, GST_ATOMIC, GST_IN_HARDIRQ);
		side->work = IRQ_WORK_INIT_HARD(gst_worked);
		hrtimer_setup(&side->tickers[GST_HARD].timer, gst_tick,
			      CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
		hrtimer_setup(&side->tickers[GST_SOFT].timer, gst_tick,
			      CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_SOFT);
	}
}

void gst_timers_start(void)
{
	on_each_cpu(gst_timers_here, NULL, 1);
}

/* A CPU that goes leaves its timers to others. */
void gst_timers_restart(unsigned int cpu)
{
	struct gst_side *side = per_cpu_ptr(&gst_sides, cpu);
	int i;

	for (i = 0; i < GST_TIMERS; i++)
		hrtimer_cancel(&side->tickers[i].timer);
	smp_call_function_single(cpu, gst_timers_here, NULL, 1);
}

void gst_timers_stop(void)
{
	unsigned int cpu;
	int i;

	for_each_possible_cpu(cpu) {
		struct gst_side *side = per_cpu_ptr(&gst_sides, cpu);

		for (i = 0; i < GST_TIMERS; i++)
			hrtimer_cancel(&side->tickers[i].timer);
		irq_work_sync(&side->work);
	}
}

/* ---- tasks --------------------------------------------------------------- */

static void gst_interrupt_somebody(struct gst_who *who)
{
	unsigned int cpu;

	if (gst_one_in(who, 2)) {
		preempt_disable();
		irq_work_queue(&this_cpu_ptr(&gst_sides)->work);
		preempt_enable();
		return;
	}
	cpus_read_lock();
	cpu = cpumask_nth(gst_random(who, num_online_cpus()), cpu_online_mask);
	smp_call_function_single(cpu, gst_called, NULL, 1);
	cpus_read_unlock();
}

static void gst_somewhere(struct gst_who *who)
{
	unsigned long flags;

	switch (gst_random(who, 7)) {
	case 0:
		preempt_disable();
		gst_steps(who);
		preempt_enable();
		break;
	case 1:
		local_bh_disable();
		gst_steps(who);
		local_bh_enable();
		break;
	case 2:
		local_irq_save(flags);
		gst_steps(who);
		local_irq_restore(flags);
		break;
	case 3:
		raw_spin_lock_irqsave(&gst_raw_lock, flags);
		gst_steps(who);
		raw_spin_unlock_irqrestore(&gst_raw_lock, flags);
		break;
	case 4:
		raw_spin_lock(&gst_raw_lock);
		gst_steps(who);
		raw_spin_unlock(&gst_raw_lock);
		break;
	case 5:
		spin_lock(&gst_lock);
		gst_steps(who);
		spin_unlock(&gst_lock);
		break;
	default:
		rcu_read_lock();
		gst_steps(who);
		rcu_read_unlock();
	}
}

int gst_worker(void *arg)
{
	struct gst_who *who = arg;

	while (!kthread_should_stop()) {
		switch (gst_random(who, 16)) {
		case 0:
			gst_interrupt_somebody(who);
			break;
		case 1 ... 8:
			who->place = GST_ATOMIC;
			who->counter = GST_IN_ATOMIC;
			gst_somewhere(who);
			break;
		default:
			who->place = GST_TASK;
			who->counter = GST_IN_TASK;
			gst_steps(who);
		}
		gst_breathe(who);
	}
	return 0;
}
