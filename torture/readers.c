// SPDX-License-Identifier: GPL-2.0
/*
 * Readers: they look at an object that is published, for a short or a long time,
 * and at the end of it the object has to be the same.
 */
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "gs_torture.h"

void gst_look(struct gst_who *who, unsigned int dwell)
{
	struct gst_cache *gt;
	void *obj;

	if (gst_one_in(who, 4)) {
		gst_others_look(who, dwell);
		return;
	}
	rcu_read_lock();
	gt = rcu_dereference(gst_caches[gst_random(who, gst_ncaches)]);
	obj = gt ? rcu_dereference(gt->published[gst_random(who, gt->slots)]) :
		   NULL;
	if (obj)
		gst_object_look(obj, gst_own_kind(gt->size), gt->size,
				gst_typesafe(gt), dwell);
	rcu_read_unlock();
}

static unsigned int gst_dwell(struct gst_who *who)
{
	if (gst_one_in(who, 500))
		return 20000;
	if (gst_one_in(who, 50))
		return 1000 + gst_random(who, 3000);
	return gst_random(who, 60);
}

int gst_reader(void *arg)
{
	struct gst_who *who = arg;

	while (!kthread_should_stop()) {
		gst_look(who, gst_dwell(who));
		gst_breathe(who);
	}
	return 0;
}

/* One that stays inside for a long time, now and then. */
int gst_staller(void *arg)
{
	struct gst_who *who = arg;

	while (!kthread_should_stop()) {
		schedule_timeout_interruptible(5 * HZ + gst_random(who, 5 * HZ));
		if (kthread_should_stop())
			break;
		gst_look(who, gst_stall_ms * 1000);
		gst_count(GST_STALLS);
	}
	return 0;
}
