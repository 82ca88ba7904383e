// SPDX-License-Identifier: GPL-2.0
/*
 * The contexts that a caller can be in, for tests of functions that may be
 * called in any: each calls a function there and returns when it has.
 */
#include <linux/bottom_half.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

#include "gs_kunit.h"

static void gs_place_task(void (*fn)(void *data), void *data)
{
	fn(data);
}

static void gs_place_preempt_off(void (*fn)(void *data), void *data)
{
	preempt_disable();
	fn(data);
	preempt_enable();
}

static void gs_place_bh_off(void (*fn)(void *data), void *data)
{
	local_bh_disable();
	fn(data);
	local_bh_enable();
}

static void gs_place_irqs_off(void (*fn)(void *data), void *data)
{
	unsigned long flags;

	local_irq_save(flags);
	fn(data);
	local_irq_restore(flags);
}

static DEFINE_RAW_SPINLOCK(gs_place_lock);

static void gs_place_raw_lock(void (*fn)(void *data), void *data)
{
	raw_spin_lock(&gs_place_lock);
	fn(data);
	raw_spin_unlock(&gs_place_lock);
}

static void gs_place_reader(void (*fn)(void *data), void *data)
{
	rcu_read_lock();
	fn(data);
	rcu_read_unlock();
}

struct gs_place_visit {
	struct irq_work work;
	void (*fn)(void *data);
	void *data;
};

static void gs_place_visited(struct irq_work *work)
{
	struct gs_place_visit *visit = container_of(work, struct gs_place_visit,
						    work);

	visit->fn(visit->data);
}

static void gs_place_hardirq(void (*fn)(void *data), void *data)
{
	struct gs_place_visit visit = {
		.work = IRQ_WORK_INIT_HARD(gs_place_visited),
		.fn = fn,
		.data = data,
	};

	irq_work_queue(&visit.work);
	irq_work_sync(&visit.work);
}

static const struct gs_place gs_places[] = {
	{ "task", gs_place_task },
	{ "preemption_off", gs_place_preempt_off },
	{ "softirqs_off", gs_place_bh_off },
	{ "interrupts_off", gs_place_irqs_off },
	{ "raw_lock", gs_place_raw_lock },
	{ "reader", gs_place_reader },
	{ "hardirq", gs_place_hardirq },
};

static void gs_place_desc(const struct gs_place *place, char *desc)
{
	strscpy(desc, place->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(gs_places_of, gs_places, gs_place_desc);

const void *gs_places_gen_params(struct kunit *test, const void *prev,
				 char *desc)
{
	return gs_places_of_gen_params(test, prev, desc);
}
