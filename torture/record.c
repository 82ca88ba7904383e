// SPDX-License-Identifier: GPL-2.0
/*
 * What happened to objects lately: said of the one with which the first error is.
 */
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/slab.h>

#include "gs_torture.h"

#define GST_EVENTS	BIT(17)
#define GST_SAID	40

struct gst_event {
	const void *obj;
	const char *what;
	const struct gst_cache *cache;
	u64 word, at;
	int cpu, in;
};

static struct gst_event *gst_events;
static atomic_t gst_newest;

int gst_record_init(void)
{
	gst_events = kvcalloc(GST_EVENTS, sizeof(*gst_events), GFP_KERNEL);
	return gst_events ? 0 : -ENOMEM;
}

void gst_record_end(void)
{
	kvfree(gst_events);
}

void gst_record(const void *obj, const char *what, u64 word,
		const struct gst_cache *cache)
{
	unsigned int nr = (unsigned int)atomic_inc_return_relaxed(&gst_newest);
	struct gst_event *event = &gst_events[nr % GST_EVENTS];

	event->what = what;
	event->word = word;
	event->cache = cache;
	event->at = ktime_get_mono_fast_ns();
	event->cpu = raw_smp_processor_id();
	event->in = preempt_count();
	event->obj = obj;
}

/* Those of the last ones that are of @obj, oldest first. */
void gst_record_say(const void *obj)
{
	unsigned int newest = (unsigned int)atomic_read(&gst_newest);
	unsigned int nr, left = 0;

	for (nr = 0; nr < GST_EVENTS; nr++)
		left += gst_events[nr].obj == obj;
	for (nr = newest + 1; nr != newest + 1 + GST_EVENTS; nr++) {
		const struct gst_event *event = &gst_events[nr % GST_EVENTS];

		if (event->obj != obj || left-- > GST_SAID)
			continue;
		pr_alert("gs_torture: %px: %llu ns: %s, %llx, cache %px, on CPU %d in %x\n",
			 obj, event->at, event->what, event->word, event->cache,
			 event->cpu, event->in);
	}
}
