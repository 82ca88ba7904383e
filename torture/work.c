// SPDX-License-Identifier: GPL-2.0
/*
 * One random operation on a random cache, as the context allows.
 */
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "gs_torture.h"

#define GST_BULK	24

gfp_t gst_gfp(struct gst_who *who)
{
	static const gfp_t sleeping[] = {
		GFP_KERNEL | __GFP_NORETRY, GFP_NOWAIT, GFP_ATOMIC, GFP_NOIO, 0,
	};
	static const gfp_t atomic[] = { GFP_ATOMIC, GFP_NOWAIT, 0 };

	switch (who->place) {
	case GST_TASK:
		return sleeping[gst_random(who, ARRAY_SIZE(sleeping))] |
		       __GFP_NORETRY | __GFP_NOWARN;
	case GST_ATOMIC:
		if (!GST_LOCKS_SLEEP)
			return atomic[gst_random(who, ARRAY_SIZE(atomic))] |
			       __GFP_NOWARN;
		fallthrough;
	default:
		return __GFP_NOWARN;
	}
}

/* Whoever allocates counts here, and looks at what it was given. */
void gst_took(struct gst_cache *gt, void *obj)
{
	atomic_long_inc(&gt->allocs);
	gst_count(GST_ALLOCS);
	if (gt->align && (uintptr_t)obj % gt->align)
		gst_error("%s: object %px is not aligned to %u", gt->name, obj,
			  gt->align);
	if (gt->word)
		gst_object_take(obj, gt, gst_own_kind(gt->size), gt->size,
				gt->ctor, gt->born);
}

void *gst_alloc(struct gst_who *who, struct gst_cache *gt)
{
	void *obj = gs_cache_alloc(gt->c, gst_gfp(who));

	if (obj)
		gst_took(gt, obj);
	else
		gst_count(GST_REFUSALS);
	return obj;
}

static bool gst_gives(struct gst_cache *gt, void *obj, enum gst_state state)
{
	enum gst_state mark = state;

	if (state == GST_FREED && gst_typesafe(gt))
		mark = GST_RELEASED;
	if (gt->word &&
	    !gst_object_give(obj, gst_own_kind(gt->size), gt->size, mark))
		return false;
	/* The last use of gt, which may go with its last object. */
	if (state == GST_FREED) {
		gst_count(GST_FREES);
		atomic_long_inc(&gt->frees);
	} else {
		gst_count(GST_DEFERS);
		gst_deferred(gt->size);
		atomic_long_inc(&gt->defers);
	}
	return true;
}

/* Neither of these two uses gt any more when the object has gone. */
void gst_free_some_way(struct gst_who *who, struct gst_cache *gt, void *obj)
{
	struct gs_cache *c = gt->c;

	if (!gst_gives(gt, obj, GST_FREED))
		return;
	if (gst_one_in(who, 8))
		gs_cache_free_bulk(c, 1, &obj);
	else
		gs_cache_free(c, obj);
}

void gst_defer_some_way(struct gst_who *who, struct gst_cache *gt, void *obj)
{
	struct gs_cache *c = gt->c;
	bool full = gt->full;

	if (!gst_gives(gt, obj, GST_DEFERRED))
		return;
	if (gst_one_in(who, 2) || !gst_others_give_own(who, obj, full)) {
		gst_record(obj, "free_rcu", who->place, NULL);
		gs_cache_free_rcu(c, obj);
	}
}

void gst_defer(struct gst_cache *gt, void *obj)
{
	struct gs_cache *c = gt->c;

	if (gst_gives(gt, obj, GST_DEFERRED))
		gs_cache_free_rcu(c, obj);
}

void gst_keep(struct gst_who *who, struct gst_cache *gt, void *obj)
{
	obj = xchg(&gt->kept[gst_random(who, gt->slots)], obj);
	if (!obj)
		return;
	if (gst_one_in(who, 2))
		gst_free_some_way(who, gt, obj);
	else
		gst_defer_some_way(who, gt, obj);
}

/* What readers could see has to wait for them, unless they know better. */
static void gst_unpublished(struct gst_who *who, struct gst_cache *gt, void *obj)
{
	if (obj && gst_typesafe(gt) && gst_one_in(who, 2))
		gst_free_some_way(who, gt, obj);
	else if (obj)
		gst_defer_some_way(who, gt, obj);
}

void gst_publish(struct gst_who *who, struct gst_cache *gt, void *obj)
{
	void __rcu **slot = &gt->published[gst_random(who, gt->slots)];

	if (gt->word || !obj)
		gst_unpublished(who, gt,
				unrcu_pointer(xchg(slot, RCU_INITIALIZER(obj))));
	else
		gst_keep(who, gt, obj);
}

static void gst_bulk(struct gst_who *who, struct gst_cache *gt)
{
	unsigned int nr = 1 + gst_random(who, min(gt->slots, GST_BULK)), i;
	void *objs[GST_BULK];
	int got;

	got = gs_cache_alloc_bulk(gt->c, gst_gfp(who), nr, objs);
	if (got && got != nr)
		gst_error("%s: %d objects in bulk instead of %u", gt->name, got,
			  nr);
	if (!got)
		gst_count(GST_REFUSALS);
	for (i = 0; i < got; i++)
		gst_took(gt, objs[i]);
	while (got > (int)nr / 2)
		gst_keep(who, gt, objs[--got]);
	for (i = 0; i < got; i++)
		if (!gst_gives(gt, objs[i], GST_FREED))
			return;
	gs_cache_free_bulk(gt->c, max(got, 0), objs);
	for (i = 0; i < got; i++)
		if (objs[i])
			gst_error("%s: freed in bulk, and the pointer is still there",
				  gt->name);
}

/* A sheaf is used by one context at a time: others do something else. */
static void gst_sheaf(struct gst_who *who, struct gst_cache *gt)
{
	unsigned int want = 1 + gst_random(who, gt->slots), use;
	bool full = true; /* or nobody knows how full */
	void *obj;

	if (atomic_xchg(&gt->sheaf_busy, 1))
		return;
	if (!gt->sheaf) {
		gt->sheaf = gs_sheaf_prefill(gt->c, gst_gfp(who), want);
		gt->in_sheaf = gt->sheaf ? want : 0;
	} else if (gst_one_in(who, 2)) {
		if (!gs_sheaf_refill(gt->c, gst_gfp(who), &gt->sheaf, want))
			gt->in_sheaf = max(gt->in_sheaf, want);
		else
			full = false;
	}
	if (!gt->sheaf)
		gst_count(GST_REFUSALS);
	for (use = gst_random(who, gt->in_sheaf + 1); use; use--) {
		obj = gs_sheaf_alloc(gt->c, gt->sheaf);
		if (!obj) {
			gst_error("%s: a sheaf lacks %u objects", gt->name,
				  gt->in_sheaf);
			break;
		}
		gt->in_sheaf--;
		gst_took(gt, obj);
		gst_keep(who, gt, obj);
	}
	if (!full || gst_one_in(who, 2)) {
		gs_sheaf_return(gt->c, gst_gfp(who), gt->sheaf);
		gt->sheaf = NULL;
		gt->in_sheaf = 0;
	}
	atomic_set_release(&gt->sheaf_busy, 0);
}

static void gst_zero(struct gst_who *who, struct gst_cache *gt)
{
	u8 *obj;

	if (gst_typesafe(gt))
		return;
	obj = gs_cache_alloc(gt->c, gst_gfp(who) | __GFP_ZERO);
	if (!obj)
		return;
	if (gt->ctor)
		gst_error("%s: zeroed memory from a cache with a constructor",
			  gt->name);
	else if (memchr_inv(obj, 0, min(gt->size, 512U)) || obj[gt->size - 1])
		gst_error("%s: object %px is not zeroed", gt->name, obj);
	gst_took(gt, obj);
	gst_keep(who, gt, obj);
}

/* What takes long, or asks every CPU. */
static void gst_task_only(struct gst_who *who, struct gst_cache *gt)
{
	struct gs_cache_stats stats;

	switch (gst_random(who, 8)) {
	case 0:
		gs_cache_barrier(gt->c);
		gst_count(GST_BARRIERS);
		break;
	case 1:
		gs_barrier();
		gst_count(GST_BARRIERS);
		break;
	case 2:
	case 3:
		gs_cache_shrink(gt->c);
		gst_count(GST_SHRINKS);
		break;
	default:
		if (gs_cache_stats(gt->c, &stats))
			gst_error("%s: no counters", gt->name);
		else if (stats.object_size < gt->size ||
			 stats.queued < stats.done)
			gst_error("%s: counters: size %zu, queued %llu, done %llu",
				  gt->name, stats.object_size, stats.queued,
				  stats.done);
	}
}

static void gst_one(struct gst_who *who, struct gst_cache *gt)
{
	unsigned int what = gst_random(who, 1000);
	void *obj;

	if (what < 340) {
		obj = gst_alloc(who, gt);
		if (obj)
			gst_publish(who, gt, obj);
	} else if (what < 560) {
		obj = gst_alloc(who, gt);
		if (obj)
			gst_keep(who, gt, obj);
	} else if (what < 740) {
		gst_keep(who, gt, NULL);
	} else if (what < 840) {
		gst_publish(who, gt, NULL);
	} else if (what < 880) {
		gst_bulk(who, gt);
	} else if (what < 930) {
		gst_sheaf(who, gt);
	} else if (what < 950) {
		gst_zero(who, gt);
	} else if (what < 970) {
		gst_reference(who, gt);
	} else if (what < 980) {
		gst_late_free(who);
	} else if (what < 985 && who->place == GST_TASK) {
		gst_task_only(who, gt);
	} else {
		gst_look(who, 0);
	}
}

void gst_step(struct gst_who *who)
{
	struct gst_cache *gt;

	gst_count(who->counter);
	if (gst_one_in(who, 8)) {
		gst_others_give(who);
		if (who->place == GST_TASK)
			gst_others_make(who);
		return;
	}
	gt = gst_cache_get(who);
	if (!gt)
		return;
	/* Large objects are rare, or there is no memory for anything else. */
	if (gt->size <= 2048 || gst_one_in(who, gt->size / 1024))
		gst_one(who, gt);
	gst_cache_put(gt);
}
