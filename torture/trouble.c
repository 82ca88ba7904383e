// SPDX-License-Identifier: GPL-2.0
/*
 * Trouble: allocations that fail, and misuse, each in a cache of its own, which
 * has to get the warning that Documentation/misuse.rst promises, and no harm
 * beyond it. Whoever reads the log compares the warnings with what is printed
 * at the end.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "gs_torture.h"

enum gst_misuse {
	GST_TWICE,     /* freed twice */
	GST_TWICE_RCU, /* the second time deferred */
	GST_WRONG_CACHE,
	GST_BAD_POINTER,
	GST_DEAD_ALLOC,
	GST_DEAD_BARRIER,
	GST_NOBODYS, /* of the page allocator */
	GST_MISUSES
};

static const char * const gst_misuse_names[] = {
	"double free of object",
	"double free_rcu of object",
	"belongs to cache gst_misused",
	"is not an object of this cache",
	"allocation from a destroyed cache",
	"is no live cache",
	"is no allocator's",
};

static atomic_t gst_misused[GST_MISUSES];

/* Two reports at a time could not be told apart. */
static DEFINE_MUTEX(gst_report);

static struct gs_cache *gst_misused_cache(const char *name)
{
	struct gs_cache *c = gs_cache_create(name, 96, NULL, GS_CONSISTENCY);

	if (IS_ERR(c) && c != ERR_PTR(-ENOMEM))
		gst_error("%s: not created: %pe", name, c);
	return IS_ERR(c) ? NULL : c;
}

static unsigned long gst_misuse_left;

unsigned long gst_misuse_lost(void)
{
	return gst_misuse_left;
}

static void gst_misused_end(struct gs_cache *c, unsigned int live)
{
	int ret = gs_cache_destroy(c);

	if (ret != (live ? -EBUSY : 0))
		gst_error("a misused cache was destroyed with %d, %u objects live",
			  ret, live);
	if (ret == -EBUSY) {
		gst_misuse_left += live;
		gst_lost(live, 1);
	}
}

static void gst_free_twice(struct gst_who *who, struct gs_cache *c, void *obj,
			   bool second_rcu)
{
	if (gst_one_in(who, 2))
		gs_cache_free(c, obj);
	else
		gs_cache_free_rcu(c, obj);
	if (gst_one_in(who, 4))
		gs_cache_barrier(c);
	if (second_rcu)
		gs_cache_free_rcu(c, obj);
	else
		gs_cache_free(c, obj);
}

static void gst_free_elsewhere(struct gst_who *who, void *obj)
{
	struct gs_cache *other = gst_misused_cache("gst_innocent");

	if (!other)
		return;
	if (gst_one_in(who, 2))
		gs_cache_free(other, obj);
	else
		gs_cache_free_rcu(other, obj);
	atomic_inc(&gst_misused[GST_WRONG_CACHE]);
	gst_misused_end(other, 0);
}

static unsigned int gst_misuse_live(struct gs_cache *c)
{
	struct gs_cache_stats s;
	unsigned int i, none = 0;

	gs_cache_barrier(c);
	for (i = 0; i < 50 && none < 3; i++) {
		if (gs_cache_stats(c, &s))
			return 0;
		/* For a moment it may be wrong by those on their way. */
		none = s.live ? 0 : none + 1;
		schedule_timeout_uninterruptible(1);
	}
	return s.live;
}

static void gst_misuse_dead(enum gst_misuse what, struct gs_cache *c, void *obj)
{
	if (gs_cache_destroy(c) != -EBUSY)
		gst_error("an object in use was no leak");
	if (what == GST_DEAD_ALLOC) {
		if (gs_cache_alloc(c, GFP_KERNEL))
			gst_error("a destroyed cache gave an object");
	} else {
		gs_cache_barrier(c);
	}
	atomic_inc(&gst_misused[what]);
	gs_cache_free(c, obj);
}

/* The page allocator's memory has no size: nobody could free it. */
static void gst_misuse_page(void)
{
	unsigned long page = __get_free_page(GFP_KERNEL);

	if (!page)
		return;
	if (gs_try_kvfree_rcu((void *)page, GFP_KERNEL) != -EINVAL)
		gst_error("memory of no allocator was taken");
	atomic_inc(&gst_misused[GST_NOBODYS]);
	free_page(page);
}

static void gst_misuse(struct gst_who *who)
{
	enum gst_misuse what = gst_random(who, GST_MISUSES);
	struct gs_cache *c;
	void *obj;

	c = gst_misused_cache("gst_misused");
	if (!c)
		return;
	obj = gs_cache_alloc(c, GFP_KERNEL);
	if (!obj) {
		gst_misused_end(c, 0);
		return;
	}
	switch (what) {
	case GST_TWICE:
	case GST_TWICE_RCU:
		gst_free_twice(who, c, obj, what == GST_TWICE_RCU);
		atomic_inc(&gst_misused[what]);
		break;
	case GST_WRONG_CACHE:
		gst_free_elsewhere(who, obj);
		break;
	case GST_BAD_POINTER:
		gs_cache_free(c, obj + 8);
		atomic_inc(&gst_misused[what]);
		gs_cache_free(c, obj);
		break;
	case GST_NOBODYS:
		gst_misuse_page();
		gs_cache_free(c, obj);
		break;
	default:
		gst_misuse_dead(what, c, obj);
		return;
	}
	gst_misused_end(c, gst_misuse_live(c));
}

/* ---- calls that race with destroy ---------------------------------------- */

#define GST_RACES	2	/* for each misuse */

static atomic_t gst_raced;

/*
 * These look the address up before they follow it. That of a cache that is gone
 * gets a warning, or is another cache's by now, which is just as good.
 */
int gst_racer(void *arg)
{
	struct gst_who *who = arg;
	struct gs_cache_stats s;
	struct gs_cache *c;

	while (!kthread_should_stop()) {
		c = READ_ONCE(gst_doomed);
		if (!c || atomic_read(&gst_raced) >= GST_RACES * gst_misuses ||
		    !mutex_trylock(&gst_report)) {
			schedule_timeout_interruptible(1);
			continue;
		}
		atomic_inc(&gst_raced);
		switch (gst_random(who, 3)) {
		case 0:
			gs_cache_barrier(c);
			break;
		case 1:
			gs_cache_shrink(c);
			break;
		default:
			if (gs_cache_stats(c, &s) == 0 && s.queued < s.done)
				gst_error("%llu frees done of %llu", s.done,
					  s.queued);
		}
		mutex_unlock(&gst_report);
		schedule_timeout_interruptible(gst_random(who, 3));
	}
	return 0;
}

void gst_misuse_report(void)
{
	int i;

	pr_info("gs_torture: raced: %d calls\n", atomic_read(&gst_raced));

	for (i = 0; i < GST_MISUSES; i++)
		pr_info("gs_torture: misused: %d times '%s'\n",
			atomic_read(&gst_misused[i]), gst_misuse_names[i]);
}

int gst_trouble(void *arg)
{
	struct gst_who *who = arg;
	unsigned int left = gst_misuses, nr;

	while (!kthread_should_stop()) {
		nr = 1 + gst_random(who, 40);
		if (gs_inject(gst_random(who, GS_INJECT_WRAPPER + 1), nr))
			gst_error("an injection point is missing");
		gst_count_add(GST_INJECTED, nr);
		if (left && gst_one_in(who, 4)) {
			left--;
			mutex_lock(&gst_report);
			gst_misuse(who);
			mutex_unlock(&gst_report);
		}
		schedule_timeout_interruptible(1 + gst_random(who, HZ / 5));
	}
	for (nr = 0; nr <= GS_INJECT_WRAPPER; nr++)
		if (gs_inject(nr, 0))
			gst_error("an injection point is missing");
	return 0;
}
