// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of other allocators, which graceslab frees after a grace period.
 *
 * One of them is a kmem_cache with a constructor: the kernel leaves its objects
 * as they were freed, so that the next one to have such an object can see whether
 * it came back too early.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "gs_torture.h"

#define GST_OTHER_SLOTS	128
#define GST_OTHER_SIZE	128U	/* the least, and what is checked of each */

static void __rcu *gst_published[GST_OTHER_SLOTS];
static void *gst_kept[GST_OTHER_SLOTS];
static struct kmem_cache *gst_kmem_cache;

static void gst_kmem_ctor(void *obj)
{
	gst_object_make(obj, GST_OTHERS);
}

int gst_others_init(void)
{
	gst_kmem_cache = kmem_cache_create("gst_others", GST_OTHER_SIZE, 0, 0,
					   gst_kmem_ctor);
	return gst_kmem_cache ? 0 : -ENOMEM;
}

static void *gst_memory(struct gst_who *who, bool *made)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;

	*made = false;
	switch (gst_random(who, 16)) {
	case 0:
		return __vmalloc(GST_OTHER_SIZE + gst_random(who, SZ_32K), gfp);
	case 1:
		return kvmalloc(GST_OTHER_SIZE + gst_random(who, SZ_64K), gfp);
	case 2:
		return kmalloc(GST_OTHER_SIZE + gst_random(who, SZ_16K), gfp);
	case 3 ... 8:
		return kmalloc(GST_OTHER_SIZE + gst_random(who, 512), gfp);
	default:
		*made = true;
		return kmem_cache_alloc(gst_kmem_cache, gfp);
	}
}

/* Ways that differ in what they may do, and in what they need of the object. */
static int gst_give(struct gst_who *who, struct gst_object *obj, bool head,
		    bool leaks)
{
	unsigned int how = gst_random(who, who->place == GST_TASK ? 8 : 6);

	if (who->place == GST_NMI)
		how = gst_random(who, 2);
	gst_record(obj, "by itself", how, NULL);
	if (!head && how < 4)
		return who->place == GST_NMI ?
			       -EOPNOTSUPP :
			       gs_try_kvfree_rcu(obj, gst_gfp(who));
	switch (how) {
	case 0:
		gs_kfree_rcu_nolock(obj, head.one);
		return 0;
	case 1:
		gs_kfree_rcu_nolock(obj, head.two);
		return 0;
	case 2:
		gs_kvfree_rcu_head(obj, head.one);
		return 0;
	case 3:
		gs_kvfree_rcu_head(obj, head.two);
		return 0;
	case 4:
		/* Others' memory can be leaked by this one. */
		if (leaks) {
			gs_kvfree_rcu_defer(obj);
			return 0;
		}
		fallthrough;
	case 5:
		return gs_try_kvfree_rcu(obj, gst_gfp(who));
	default:
		gs_kvfree_rcu(obj);
		return 0;
	}
}

/* One of ours by the ways that do not ask for the cache. */
bool gst_others_give_own(struct gst_who *who, struct gst_object *obj, bool full)
{
	int ret = gst_give(who, obj, full, true);

	if (ret && ret != -EOPNOTSUPP)
		gst_error("object %px of ours was not taken: %d", obj, ret);
	return !ret;
}

static void gst_other_free(struct gst_who *who, struct gst_object *obj)
{
	int ret;

	if (!obj ||
	    !gst_object_give(obj, GST_OTHERS, GST_OTHER_SIZE, GST_DEFERRED))
		return;
	gst_count(GST_POINTERS);
	gst_deferred(512);
	ret = gst_give(who, obj, true, false);
	if (!ret)
		return;
	if (ret != -ENOMEM)
		gst_error("pointer %px was not taken: %d", obj, ret);
	gst_count(GST_RETURNED);
	/* Still ours; this way always works. */
	gs_kfree_rcu_nolock(obj, head.one);
}

void gst_others_make(struct gst_who *who)
{
	bool made, publish;
	void *obj = gst_memory(who, &made);
	unsigned int slot;

	if (!obj)
		return;
	gst_object_take(obj, NULL, GST_OTHERS, GST_OTHER_SIZE, made, 0);
	publish = gst_one_in(who, 2);
	slot = gst_random(who, GST_OTHER_SLOTS);
	if (publish)
		obj = unrcu_pointer(xchg(&gst_published[slot],
					 RCU_INITIALIZER(obj)));
	else
		obj = xchg(&gst_kept[slot], obj);
	gst_other_free(who, obj);
}

void gst_others_give(struct gst_who *who)
{
	unsigned int slot = gst_random(who, GST_OTHER_SLOTS);

	if (gst_one_in(who, 2))
		gst_other_free(who,
			       unrcu_pointer(xchg(&gst_published[slot], NULL)));
	else
		gst_other_free(who, xchg(&gst_kept[slot], NULL));
}

void gst_others_look(struct gst_who *who, unsigned int dwell)
{
	void *obj;

	rcu_read_lock();
	obj = rcu_dereference(gst_published[gst_random(who, GST_OTHER_SLOTS)]);
	if (obj)
		gst_object_look(obj, GST_OTHERS, GST_OTHER_SIZE, false, dwell);
	rcu_read_unlock();
}

void gst_others_end(struct gst_who *who)
{
	unsigned int slot;

	for (slot = 0; slot < GST_OTHER_SLOTS; slot++) {
		gst_other_free(who,
			       unrcu_pointer(xchg(&gst_published[slot], NULL)));
		gst_other_free(who, xchg(&gst_kept[slot], NULL));
	}
	gs_barrier();
	/* The kernel complains if an object is missing. */
	kmem_cache_destroy(gst_kmem_cache);
}
