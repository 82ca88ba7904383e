/* SPDX-License-Identifier: GPL-2.0 */
/*
 * graceslab: object caches and headless RCU-deferred freeing for modules.
 *
 * Every function says from which contexts it may be called, whether it
 * sleeps or allocates, and how it can fail. "Any context" includes hard
 * interrupts, NMIs, RCU read-side sections and callers that hold raw
 * spinlocks.
 */
#ifndef _GRACESLAB_H
#define _GRACESLAB_H

#include <linux/bits.h>
#include <linux/compiler_attributes.h>
#include <linux/gfp_types.h>
#include <linux/types.h>

struct gs_cache;

/**
 * struct gs_rcu_head - one pointer inside an object that is to be freed
 * @next: links the object to the one that was freed before it
 *
 * The small alternative to struct rcu_head, for objects that are only ever
 * given to gs_kvfree_rcu_head() or gs_kfree_rcu_nolock().
 */
struct gs_rcu_head {
	struct gs_rcu_head *next;
};

/* Start each object on a cache line of its own where its size allows. */
#define GS_HWCACHE_ALIGN	BIT(0)
/* An object's memory stays an object of this type for a grace period. */
#define GS_TYPESAFE_BY_RCU	BIT(1)
/* Charge slab pages to the allocating task's memory cgroup. */
#define GS_ACCOUNT		BIT(2)
/* Share slabs with other caches of the same geometry. Not there yet: refused. */
#define GS_MERGE		BIT(3)
/* Guard bytes around each object, checked when freed. Not there yet: refused. */
#define GS_RED_ZONE		BIT(4)
/* A pattern in free objects, checked when allocated. Not there yet: refused. */
#define GS_POISON		BIT(5)
/* One state byte per object: double and misdirected frees are caught. */
#define GS_CONSISTENCY		BIT(6)
/* Record who allocated and freed each object. Not there yet: refused. */
#define GS_STORE_USER		BIT(7)

/**
 * struct gs_cache_args - what a cache may be told about its objects
 * @align: alignment in bytes, a power of two; 0 for the natural one
 * @sheaf_capacity: objects per sheaf; 0 for the default of the object size
 * @ctor: called once per object, when its slab is populated
 * @rcu_dtor: called on each object given to gs_cache_free_rcu(), after the
 *	grace period and before the object is used again, in process context
 */
struct gs_cache_args {
	unsigned int align;
	unsigned int sheaf_capacity;
	void (*ctor)(void *obj);
	void (*rcu_dtor)(void *obj);
};

/**
 * struct gs_cache_stats - a cache's counters, as gs_cache_stats() takes them
 * @object_size: bytes from one object to the next
 * @slabs: slabs held
 * @objects: objects in those slabs, in use or not
 * @live: objects in the hands of the cache's users
 * @cached: objects in sheaves and barns, ready to be allocated
 * @queued: objects ever given to a deferred free
 * @done: of those, objects that have come back
 * @frees_bits: frees and deferred frees that took the lock-free slab path
 * @swapped: ripe sheaves that an allocation took as they were
 * @sealed: batches sealed
 */
struct gs_cache_stats {
	size_t object_size;
	u64 slabs;
	u64 objects;
	u64 live;
	u64 cached;
	u64 queued;
	u64 done;
	u64 frees_bits;
	u64 swapped;
	u64 sealed;
};

/**
 * gs_cache_create() - make a cache of objects
 * @name: unique among caches that are not destroyed, 1 to 63 bytes; copied
 * @size: bytes in an object, 1 to 65536
 * @args: further wishes, or NULL
 * @flags: GS_* flags
 *
 * Context: Process context, may sleep.
 * Return: the cache, or ERR_PTR: -EINVAL for an argument that makes no sense
 * (a size or flag that there is not, an alignment that is no power of two or
 * beyond a page, @rcu_dtor with GS_TYPESAFE_BY_RCU), -EEXIST if the name is
 * taken, -ENOMEM.
 */
struct gs_cache *gs_cache_create(const char *name, unsigned int size,
				 const struct gs_cache_args *args,
				 unsigned long flags);

/**
 * gs_cache_destroy() - wait for a cache's own pending frees, and destroy it
 * @c: the cache; gone whatever this returns
 *
 * Waits for no grace period when no free is pending, and never for another
 * cache's frees. Objects still in use are reported, one line each and a
 * summary; after that, @c is good for freeing them and nothing else, and its
 * memory goes with the last one. The name is free at once.
 *
 * Context: Process context, may sleep. Not with the CPU hotplug lock held, nor
 * from a destructor of the same cache (which gets a warning and -EINVAL).
 * Return: 0; -EBUSY with a report if objects are still in use; -EINVAL if @c
 * is no live cache.
 */
int gs_cache_destroy(struct gs_cache *c);

/**
 * gs_cache_alloc() - allocate an object
 * @c: the cache
 * @gfp: as for kmalloc(); __GFP_ZERO is honoured, but not with a constructor
 *
 * Context: As @gfp allows; without a reclaim bit in it, any context.
 * Return: the object, or NULL.
 */
void *gs_cache_alloc(struct gs_cache *c, gfp_t gfp) __must_check;

/**
 * gs_cache_free() - free an object at once
 * @c: the cache that it came from
 * @obj: the object; NULL is fine
 *
 * Context: Any context. Needs no memory, cannot fail.
 */
void gs_cache_free(struct gs_cache *c, void *obj);

/**
 * gs_cache_alloc_bulk() - allocate several objects, or none
 * @c: the cache
 * @gfp: as for gs_cache_alloc()
 * @nr: how many
 * @p: where to put them
 *
 * Context: As gs_cache_alloc().
 * Return: @nr, or 0.
 */
int gs_cache_alloc_bulk(struct gs_cache *c, gfp_t gfp, size_t nr,
			void **p) __must_check;

/**
 * gs_cache_free_bulk() - free several objects at once
 * @c: the cache that all of them came from
 * @nr: how many
 * @p: the objects; set to NULL
 *
 * Context: Any context.
 */
void gs_cache_free_bulk(struct gs_cache *c, size_t nr, void **p);

/**
 * gs_cache_free_rcu() - free an object after a grace period
 * @c: the cache that it came from
 * @obj: the object, which readers may still be looking at; NULL is fine
 *
 * The cache's @rcu_dtor is called on it after the grace period, in process
 * context.
 *
 * Context: Any context. Needs no memory, cannot fail.
 */
void gs_cache_free_rcu(struct gs_cache *c, void *obj);

/**
 * gs_cache_barrier() - wait for a cache's pending frees
 * @c: the cache
 *
 * Every object given to gs_cache_free_rcu() before the call has been destroyed
 * and can be allocated again when this returns. Later frees do not extend the
 * wait, other caches' frees have no part in it, and there is no grace period
 * where nothing is pending.
 *
 * Context: Process context, may sleep. Not with the CPU hotplug lock held, nor
 * from a destructor of the same cache (which gets a warning).
 */
void gs_cache_barrier(struct gs_cache *c);

/**
 * gs_cache_shrink() - give a cache's unused memory back
 * @c: the cache
 *
 * Context: Process context, may sleep. Waits for no grace period.
 * Return: pages given back. Those of a type-safe cache, and of slabs that were
 * allocated where nothing may be waited for, follow after a grace period.
 */
unsigned int gs_cache_shrink(struct gs_cache *c);

/**
 * gs_cache_stats() - take a cache's counters
 * @c: the cache
 * @stats: where to put them
 *
 * Context: Process context, may sleep.
 * Return: 0, or -EINVAL if @c is no live cache.
 */
int gs_cache_stats(struct gs_cache *c, struct gs_cache_stats *stats);

/**
 * gs_cache_zombies() - count destroyed caches that still have objects out
 *
 * Context: Any context.
 * Return: their number.
 */
unsigned int gs_cache_zombies(void);

/**
 * gs_cache_tryget() - take a reference to a cache
 * @c: a cache whose memory is there: not destroyed yet, or referenced
 *
 * A reference keeps the memory of the cache, not its objects: allocating from
 * a cache that was destroyed meanwhile gives a warning and NULL.
 *
 * Context: Any context.
 * Return: false once the cache is being destroyed.
 */
bool gs_cache_tryget(struct gs_cache *c);

/**
 * gs_cache_put() - give a reference back
 * @c: the cache; NULL is fine
 *
 * Context: Any context.
 */
void gs_cache_put(struct gs_cache *c);

/**
 * gs_kvfree_rcu() - free a pointer after a grace period
 * @p: memory of kmalloc(), vmalloc(), kvmalloc(), any kmem_cache or any cache
 *	of ours; NULL is fine
 *
 * Called where nobody may sleep, as far as can be told, it leaks @p and warns
 * once. Before a kmem_cache is destroyed whose objects came this way, its
 * owner calls gs_barrier().
 *
 * Context: Process context, may sleep. Without memory it waits for the grace
 * period itself, so it cannot fail.
 */
void gs_kvfree_rcu(const void *p);

/**
 * gs_barrier() - wait for every pending free of every kind
 *
 * What was queued before the call has come back when this returns.
 *
 * Context: Process context, may sleep. Not with the CPU hotplug lock held.
 */
void gs_barrier(void);

/**
 * gs_pointers_waited() - count the calls that waited for want of memory
 *
 * Context: Any context.
 * Return: calls of gs_kvfree_rcu() so far that got no page and waited for the
 * grace period themselves.
 */
u64 gs_pointers_waited(void);

/* Where gs_inject() makes an attempt to get memory fail. */
enum gs_inject_point {
	GS_INJECT_SHEAF,	/* a sheaf, or the page behind one */
	GS_INJECT_PAGE,		/* a page for others' pointers */
	GS_INJECT_SLAB,		/* a slab */
};

/**
 * gs_inject() - make attempts to get memory fail, for tests
 * @point: one of enum gs_inject_point
 * @nr: how many of the next attempts; 0 for none any more
 *
 * Context: Any context.
 * Return: 0, or -EINVAL if there is no such point.
 */
int gs_inject(unsigned int point, int nr);

#endif /* _GRACESLAB_H */
