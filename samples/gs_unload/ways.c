// SPDX-License-Identifier: GPL-2.0
/*
 * The same cache in three ways. What each of them must do when the module goes
 * is in its destroy().
 */
#include <linux/array_size.h>
#include <linux/err.h>
#include <linux/slab.h>

#include <graceslab.h>

#include "ways.h"

/* ---- graceslab ------------------------------------------------------------ */

static struct gs_cache *ours;
static atomic_t ours_seen;

/* Called on each entry before its memory is used again. */
static void ours_dtor(void *obj)
{
	struct gs_entry *entry = obj;

	if (entry->magic == GS_MAGIC)
		atomic_inc(&ours_seen);
	entry->magic = 0;
}

static int ours_create(void)
{
	static const struct gs_cache_args args = { .rcu_dtor = ours_dtor };

	atomic_set(&ours_seen, 0);
	/* It could do without an rcu_head: it has one to be of the same size. */
	ours = gs_cache_create("gs_unload", sizeof(struct gs_entry), &args, 0);
	return PTR_ERR_OR_ZERO(ours);
}

static struct gs_entry *ours_alloc(void)
{
	return gs_cache_alloc(ours, GFP_KERNEL);
}

static void ours_free_rcu(struct gs_entry *entry)
{
	gs_cache_free_rcu(ours, entry);
}

static u64 ours_pending(void)
{
	struct gs_cache_stats stats;

	return gs_cache_stats(ours, &stats) ? 0 : stats.queued - stats.done;
}

static int ours_destroy(void)
{
	/* All of it: it waits for this cache's frees and their destructors. */
	return gs_cache_destroy(ours);
}

/* ---- kmem_cache and call_rcu() --------------------------------------------- */

static struct kmem_cache *called;
static atomic_t called_seen;

static int called_create(void)
{
	atomic_set(&called_seen, 0);
	called = KMEM_CACHE(gs_entry, SLAB_NO_MERGE);
	return called ? 0 : -ENOMEM;
}

static struct gs_entry *called_alloc(void)
{
	return kmem_cache_alloc(called, GFP_KERNEL);
}

static void called_callback(struct rcu_head *rcu)
{
	struct gs_entry *entry = container_of(rcu, struct gs_entry, rcu);

	if (entry->magic == GS_MAGIC)
		atomic_inc(&called_seen);
	entry->magic = 0;
	kmem_cache_free(called, entry);
}

static void called_free_rcu(struct gs_entry *entry)
{
	call_rcu(&entry->rcu, called_callback);
}

static int called_destroy(void)
{
	/*
	 * Without this the cache would have objects left, and callbacks would
	 * run code that has gone. It waits for every callback that anyone had
	 * queued on any CPU.
	 */
	rcu_barrier();
	kmem_cache_destroy(called);
	return 0;
}

/* ---- kmem_cache and kfree_rcu() -------------------------------------------- */

static struct kmem_cache *batched;

static int batched_create(void)
{
	batched = kmem_cache_create("gs_entry_batched", sizeof(struct gs_entry),
				    0, SLAB_NO_MERGE, NULL);
	return batched ? 0 : -ENOMEM;
}

static struct gs_entry *batched_alloc(void)
{
	return kmem_cache_alloc(batched, GFP_KERNEL);
}

static void batched_free_rcu(struct gs_entry *entry)
{
	kfree_rcu(entry, rcu);
}

static int batched_destroy(void)
{
	/*
	 * Since 6.12 it waits by itself for what kfree_rcu() has pending, of
	 * any cache; before that, nothing that a module could do was enough.
	 */
	kmem_cache_destroy(batched);
	return 0;
}

const struct gs_way gs_ways[] = {
	{
		"gs_cache_free_rcu",
		ours_create,
		ours_alloc,
		ours_free_rcu,
		ours_destroy,
		ours_pending,
		&ours_seen,
	},
	{
		"call_rcu",
		called_create,
		called_alloc,
		called_free_rcu,
		called_destroy,
		NULL,
		&called_seen,
	},
	{
		"kfree_rcu",
		batched_create,
		batched_alloc,
		batched_free_rcu,
		batched_destroy,
		NULL,
		NULL,
	},
};

const unsigned int gs_nr_ways = ARRAY_SIZE(gs_ways);
