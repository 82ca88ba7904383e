// SPDX-License-Identifier: GPL-2.0
/*
 * Caches of random geometry: each has a place in a table for a while, is used by
 * everyone, and is destroyed at once when the last user is out, with frees on
 * their way. Then its accounts have to be square to the last object.
 *
 * A cache that others still free to is in the graveyard until they are done.
 */
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "gs_torture.h"

#define GST_LATE	64	/* objects of caches that are destroyed */
#define GST_REFS	16
#define GST_BUDGET	SZ_256K	/* bytes in the slots of a cache */

struct gst_cache __rcu *gst_caches[GST_MAX_CACHES];
struct gs_cache *gst_doomed;

static struct mutex gst_turning[GST_MAX_CACHES];
static DEFINE_MUTEX(gst_graves_mutex);
static LIST_HEAD(gst_graves);
static void *gst_late[GST_LATE];
static struct gs_cache *gst_refs[GST_REFS];
static atomic_long_t gst_lost_objs, gst_lost_cs;
static atomic_t gst_leaks_left;

void gst_lost(unsigned long objects, unsigned long caches)
{
	atomic_long_add(objects, &gst_lost_objs);
	atomic_long_add(caches, &gst_lost_cs);
}

unsigned long gst_lost_objects(void)
{
	return atomic_long_read(&gst_lost_objs);
}

unsigned long gst_lost_caches(void)
{
	return atomic_long_read(&gst_lost_cs);
}

/* ---- a new one ----------------------------------------------------------- */

static void gst_cache_ctor(void *obj)
{
	gst_object_make(obj, GST_OURS);
}

static void gst_cache_ctor_small(void *obj)
{
	gst_object_make(obj, GST_SMALL);
}

/*
 * A destructor may sleep, and may defer the free of another object of its cache,
 * as that of a tree's node would.
 */
static void gst_cache_dtor(void *p)
{
	struct gst_object *obj = p;
	struct gst_cache *gt = obj->cache;
	u64 life = gst_life_of(obj->word);
	void *other;

	gst_object_drop(obj);
	gst_count(GST_DTORS);
	if (!(life % (READ_ONCE(gt->closing) ? 8 : 1024)))
		schedule_timeout_uninterruptible(1);
	if (!(life % 32) && !READ_ONCE(gt->closing)) {
		other = xchg(&gt->kept[life / 32 % gt->slots], NULL);
		if (other)
			gst_defer(gt, other);
	}
	/* The last use of gt, which may go with its last object. */
	atomic_long_inc(&gt->dtors);
}

static unsigned int gst_size(struct gst_who *who)
{
	switch (gst_random(who, 20)) {
	case 0:
		return 1 + gst_random(who, 7);
	case 1 ... 4:
		return 8 + gst_random(who, GST_FULL - 8);
	case 5 ... 15:
		return GST_FULL + gst_random(who, 512);
	case 16 ... 18:
		return 512 + gst_random(who, 3584);
	default:
		return 4096 + gst_random(who, SZ_64K - 4096 + 1);
	}
}

static unsigned int gst_capacity(struct gst_who *who)
{
	switch (gst_random(who, 5)) {
	case 0:
	case 1:
		return 0;
	case 2:
	case 3:
		return 1 + gst_random(who, 8);
	default:
		return 1 + gst_random(who, gst_one_in(who, 4) ? 1020 : 64);
	}
}

/* What fits together. */
static void gst_geometry(struct gst_who *who, struct gst_cache *gt)
{
	gt->size = gst_size(who);
	gt->align = gst_one_in(who, 3) ? 1U << gst_random(who, 13) : 0;
	gt->capacity = gst_capacity(who);
	gt->word = gt->size >= GST_WORD;
	gt->full = gt->size >= GST_FULL;
	gt->ctor = gt->word && gst_one_in(who, 4);
	gt->dtor = gt->full && gst_one_in(who, 3);
	gt->flags = (gst_one_in(who, 4) ? GS_HWCACHE_ALIGN : 0) |
		    (gst_one_in(who, 6) ? GS_ACCOUNT : 0);
	if (gst_one_in(who, 8) && !gt->ctor && !gt->dtor) {
		gt->flags |= GS_MERGE;
	} else {
		gt->flags |= (gst_one_in(who, 2) ? GS_CONSISTENCY : 0) |
			     (gst_one_in(who, 6) ? GS_RED_ZONE : 0) |
			     (gst_one_in(who, 10) ? GS_STORE_USER : 0);
		if (!gt->dtor && gt->word && gst_one_in(who, 6))
			gt->flags |= GS_TYPESAFE_BY_RCU;
		else if (!gt->ctor && gst_one_in(who, 6))
			gt->flags |= GS_POISON;
	}
	gt->slots = clamp(GST_BUDGET / gt->size, 4U, GST_SLOTS);
}

static struct gst_cache *gst_new(struct gst_who *who, unsigned int place)
{
	struct gst_cache *gt = kzalloc_obj(*gt);
	struct gs_cache_args args = {};

	if (!gt)
		return NULL;
	gst_geometry(who, gt);
	gt->born = gst_next_life();
	atomic_set(&gt->users, 1);
	INIT_LIST_HEAD(&gt->grave);
	snprintf(gt->name, sizeof(gt->name), "gst_%u", place);
	args.align = gt->align;
	args.sheaf_capacity = gt->capacity;
	if (gt->ctor)
		args.ctor = gt->full ? gst_cache_ctor : gst_cache_ctor_small;
	args.rcu_dtor = gt->dtor ? gst_cache_dtor : NULL;
	gt->c = gs_cache_create(gt->name, gt->size, &args, gt->flags);
	if (IS_ERR(gt->c)) {
		if (gt->c != ERR_PTR(-ENOMEM))
			gst_error("%s: not created: %pe (size %u, align %u, flags %lx)",
				  gt->name, gt->c, gt->size, gt->align,
				  gt->flags);
		kfree(gt);
		return NULL;
	}
	gst_count(GST_CREATED);
	return gt;
}

/* ---- users --------------------------------------------------------------- */

struct gst_cache *gst_cache_get(struct gst_who *who)
{
	struct gst_cache *gt;

	rcu_read_lock();
	gt = rcu_dereference(gst_caches[gst_random(who, gst_ncaches)]);
	if (gt && !atomic_inc_not_zero(&gt->users))
		gt = NULL;
	rcu_read_unlock();
	return gt;
}

void gst_cache_put(struct gst_cache *gt)
{
	atomic_dec_return_release(&gt->users);
}

void gst_reference(struct gst_who *who, struct gst_cache *gt)
{
	if (!gs_cache_tryget(gt->c)) {
		gst_error("%s: no reference to a live cache", gt->name);
		return;
	}
	gst_count(GST_REFERENCES);
	gs_cache_put(xchg(&gst_refs[gst_random(who, GST_REFS)], gt->c));
}

static void gst_late_one(struct gst_who *who, struct gst_object *obj)
{
	if (!obj)
		return;
	if (gst_one_in(who, 2))
		gst_free_some_way(who, obj->cache, obj);
	else
		gst_defer_some_way(who, obj->cache, obj);
}

void gst_late_free(struct gst_who *who)
{
	gst_late_one(who, xchg(&gst_late[gst_random(who, GST_LATE)], NULL));
}

static void gst_late_add(struct gst_who *who, void *obj)
{
	gst_late_one(who, xchg(&gst_late[gst_random(who, GST_LATE)], obj));
}

/* ---- the end ------------------------------------------------------------- */

static long gst_out(struct gst_cache *gt)
{
	return atomic_long_read(&gt->allocs) - atomic_long_read(&gt->frees) -
	       atomic_long_read(&gt->defers);
}

/* Nobody uses it: its own counters and ours have to be the same. */
static void gst_compare(struct gst_who *who, struct gst_cache *gt,
			unsigned int in_sheaf)
{
	struct gs_cache_stats s;
	u64 out, defers;
	void *obj;
	int i;

	/* No destructor that began before this is left after the first one. */
	WRITE_ONCE(gt->closing, true);
	gs_cache_barrier(gt->c);
	/* The second one finds some open, sealed, or in a worker's hands. */
	for (i = 0; i < 24; i++) {
		obj = gst_alloc(who, gt);
		if (obj)
			gst_defer_some_way(who, gt, obj);
	}
	schedule_timeout_uninterruptible(gst_random(who, 6));
	gs_cache_barrier(gt->c);
	out = gst_out(gt) + in_sheaf;
	defers = atomic_long_read(&gt->defers);
	if (gt->dtor && atomic_long_read(&gt->dtors) != defers)
		gst_error("%s: %ld destructors after a barrier, %llu deferred frees",
			  gt->name, atomic_long_read(&gt->dtors), defers);
	for (i = 0; i < 200; i++) {
		if (gs_cache_stats(gt->c, &s)) {
			gst_error("%s: no counters", gt->name);
			return;
		}
		if (s.queued != defers || s.done != defers) {
			gst_error("%s: %llu frees queued, %llu done after a barrier, of %llu",
				  gt->name, s.queued, s.done, defers);
			return;
		}
		/* A worker that moves objects while they are counted has them twice. */
		if (s.live == out)
			break;
		schedule_timeout_uninterruptible(1);
	}
	gst_count(GST_ACCOUNTS);
	if (s.live != out)
		gst_error("%s: %llu objects are live, and %llu should be",
			  gt->name, s.live, out);
	if (s.objects < s.live + s.cached)
		gst_error("%s: %llu objects, but %llu live and %llu cached",
			  gt->name, s.objects, s.live, s.cached);
}

static void gst_empty(struct gst_who *who, struct gst_cache *gt)
{
	bool at_once = gst_typesafe(gt) && gst_one_in(who, 2);
	unsigned int i;
	void *obj;

	/* Nothing is pending then, and destroy waits for no grace period. */
	if (at_once)
		gs_cache_barrier(gt->c);
	for (i = 0; i < gt->slots; i++) {
		obj = unrcu_pointer(xchg(&gt->published[i], NULL));
		if (obj && at_once)
			gst_free_some_way(who, gt, obj);
		else if (obj)
			gst_defer_some_way(who, gt, obj);
		obj = xchg(&gt->kept[i], NULL);
		if (obj && (at_once || gst_one_in(who, 2)))
			gst_free_some_way(who, gt, obj);
		else if (obj)
			gst_defer_some_way(who, gt, obj);
	}
	gs_sheaf_return(gt->c, GFP_KERNEL, gt->sheaf);
	gt->sheaf = NULL;
	gt->in_sheaf = 0;
}

static enum gst_fate gst_fate(struct gst_who *who, struct gst_cache *gt)
{
	if (!gt->full || gt->flags & GS_MERGE)
		return GST_CLEAN;
	switch (gst_random(who, 16)) {
	case 0 ... 2:
		return GST_RACED;
	case 3:
		if (atomic_dec_if_positive(&gst_leaks_left) >= 0)
			return gst_one_in(who, 4) ? GST_LOST : GST_LEAKED;
		fallthrough;
	default:
		return GST_CLEAN;
	}
}

static void gst_name_is_taken(struct gst_cache *gt)
{
	struct gs_cache *c = gs_cache_create(gt->name, 64, NULL, 0);

	if (c == ERR_PTR(-EEXIST) || c == ERR_PTR(-ENOMEM))
		return;
	gst_error("%s: a name that is taken was had again: %pe", gt->name, c);
	if (!IS_ERR(c))
		gs_cache_destroy(c);
}

static void gst_destroy(struct gst_who *who, struct gst_cache *gt,
			enum gst_fate fate, bool left)
{
	bool merged = gt->flags & GS_MERGE, referenced;
	struct gs_cache *c = gt->c;
	struct gs_cache_stats s;
	int ret;

	if (gst_one_in(who, 2) && !gs_cache_stats(c, &s) && s.queued != s.done)
		gst_count(GST_PENDING);
	/* A merged cache that lost a handle may be asked to give up any name. */
	if (!merged && gst_one_in(who, 8))
		gst_name_is_taken(gt);
	referenced = gst_one_in(who, 4) && gs_cache_tryget(c);

	if (!merged)
		WRITE_ONCE(gst_doomed, c);
	ret = gs_cache_destroy(c);
	cmpxchg(&gst_doomed, c, NULL);
	gst_count(GST_DESTROYED);
	if (ret == -EBUSY)
		gst_count(GST_BUSY);
	if (fate == GST_RACED && left ? ret && ret != -EBUSY :
					ret != (left ? -EBUSY : 0))
		gst_error("%s: destroyed with %d (fate %d)", gt->name, ret,
			  fate);
	if (referenced) {
		if (!merged && gs_cache_tryget(c))
			gst_error("%s: a reference to a destroyed cache",
				  gt->name);
		gs_cache_put(xchg(&gst_refs[gst_random(who, GST_REFS)], c));
	}
}

static bool gst_square(struct gst_cache *gt)
{
	return gst_out(gt) == atomic_long_read(&gt->lost) &&
	       (!gt->dtor ||
		atomic_long_read(&gt->dtors) == atomic_long_read(&gt->defers));
}

/* Buried are those to which nobody comes any more, and none that lost something. */
static bool gst_bury(void)
{
	struct gst_cache *gt, *next;
	bool empty = true;

	mutex_lock(&gst_graves_mutex);
	list_for_each_entry_safe(gt, next, &gst_graves, grave) {
		if (gst_square(gt)) {
			list_del(&gt->grave);
			kfree_rcu(gt, rcu);
		} else {
			empty = false;
		}
	}
	mutex_unlock(&gst_graves_mutex);
	return empty;
}

static void gst_end(struct gst_who *who, struct gst_cache *gt,
		    enum gst_fate fate)
{
	struct gst_object *left[4];
	unsigned int nr = 0, want = 0, i;

	gst_cache_put(gt);
	while (atomic_read_acquire(&gt->users))
		schedule_timeout_uninterruptible(1);

	if (!(gt->flags & GS_MERGE) && gst_one_in(who, 4))
		gst_compare(who, gt, gt->in_sheaf);
	if (fate != GST_CLEAN)
		want = 1 + gst_random(who, ARRAY_SIZE(left));
	while (nr < want) {
		left[nr] = gst_alloc(who, gt);
		if (!left[nr])
			break;
		nr++;
	}
	gst_empty(who, gt);
	if (fate == GST_RACED)
		for (i = 0; i < nr; i++)
			gst_late_add(who, left[i]);
	if (fate == GST_LOST && nr) {
		atomic_long_set(&gt->lost, nr);
		gst_lost(nr, 1);
	}
	gst_destroy(who, gt, fate, nr);
	if (fate == GST_LEAKED)
		for (i = 0; i < nr; i++)
			gst_late_add(who, left[i]);
	if (nr && fate != GST_LOST) {
		mutex_lock(&gst_graves_mutex);
		list_add(&gt->grave, &gst_graves);
		mutex_unlock(&gst_graves_mutex);
		return;
	}
	if (!gst_square(gt))
		gst_error("%s: %ld allocations, %ld frees, %ld deferred, %ld destructors, %ld lost",
			  gt->name, atomic_long_read(&gt->allocs),
			  atomic_long_read(&gt->frees),
			  atomic_long_read(&gt->defers),
			  atomic_long_read(&gt->dtors),
			  atomic_long_read(&gt->lost));
	kfree_rcu(gt, rcu);
}

/* A place of the table gets another cache, under the same name. */
void gst_cache_turn(struct gst_who *who)
{
	unsigned int place = gst_random(who, gst_ncaches);
	struct gst_cache *gt;

	gst_bury();
	if (!mutex_trylock(&gst_turning[place]))
		return;
	gt = unrcu_pointer(xchg(&gst_caches[place], NULL));
	if (gt)
		gst_end(who, gt, gst_fate(who, gt));
	rcu_assign_pointer(gst_caches[place], gst_new(who, place));
	mutex_unlock(&gst_turning[place]);
}

void gst_caches_init(struct gst_who *who)
{
	unsigned int i;

	gst_ncaches = clamp(gst_ncaches, 1, GST_MAX_CACHES);
	atomic_set(&gst_leaks_left, gst_leaks);
	for (i = 0; i < gst_ncaches; i++) {
		mutex_init(&gst_turning[i]);
		rcu_assign_pointer(gst_caches[i], gst_new(who, i));
	}
}

void gst_caches_end(struct gst_who *who)
{
	struct gst_cache *gt;
	unsigned int i;

	for (i = 0; i < gst_ncaches; i++) {
		gt = unrcu_pointer(xchg(&gst_caches[i], NULL));
		if (gt)
			gst_end(who, gt, GST_CLEAN);
	}
	for (i = 0; i < GST_LATE; i++)
		gst_late_one(who, xchg(&gst_late[i], NULL));
	for (i = 0; i < GST_REFS; i++)
		gs_cache_put(xchg(&gst_refs[i], NULL));
	gs_barrier();
	for (i = 0; i < 1000 && !gst_bury(); i++)
		schedule_timeout_uninterruptible(1);
	list_for_each_entry(gt, &gst_graves, grave)
		gst_error("%s: destroyed, and never square: %ld allocations, %ld frees, %ld deferred, %ld destructors",
			  gt->name, atomic_long_read(&gt->allocs),
			  atomic_long_read(&gt->frees),
			  atomic_long_read(&gt->defers),
			  atomic_long_read(&gt->dtors));
}

int gst_churner(void *arg)
{
	struct gst_who *who = arg;

	while (!kthread_should_stop()) {
		gst_cache_turn(who);
		schedule_timeout_interruptible(1 + gst_random(who, HZ / 10 + 1));
	}
	return 0;
}
