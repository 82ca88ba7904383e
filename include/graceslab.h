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
#define GS_HWCACHE_ALIGN	(1UL << 0)
/* An object's memory stays an object of this type for a grace period. */
#define GS_TYPESAFE_BY_RCU	(1UL << 1)
/* Charge slab pages to the allocating task's memory cgroup. */
#define GS_ACCOUNT		(1UL << 2)
/* Share slabs with other caches of the same geometry. */
#define GS_MERGE		(1UL << 3)
/* Guard bytes around each object, checked when it is freed. */
#define GS_RED_ZONE		(1UL << 4)
/* Fill free objects with a pattern, checked when they are allocated. */
#define GS_POISON		(1UL << 5)
/* One state byte per object: double and misdirected frees are caught. */
#define GS_CONSISTENCY		(1UL << 6)
/* Record who allocated and who freed each object. */
#define GS_STORE_USER		(1UL << 7)

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

struct gs_cache *gs_cache_create(const char *name, unsigned int size,
				 const struct gs_cache_args *args,
				 unsigned long flags);
int gs_cache_destroy(struct gs_cache *c);

void *gs_cache_alloc(struct gs_cache *c, gfp_t gfp) __must_check;
void gs_cache_free(struct gs_cache *c, void *obj);
int gs_cache_alloc_bulk(struct gs_cache *c, gfp_t gfp, size_t nr,
			void **p) __must_check;
void gs_cache_free_bulk(struct gs_cache *c, size_t nr, void **p);

void gs_cache_free_rcu(struct gs_cache *c, void *obj);
void gs_cache_barrier(struct gs_cache *c);
unsigned int gs_cache_shrink(struct gs_cache *c);
int gs_cache_stats(struct gs_cache *c, struct gs_cache_stats *stats);

unsigned int gs_cache_zombies(void);
bool gs_cache_tryget(struct gs_cache *c);
void gs_cache_put(struct gs_cache *c);

void gs_kvfree_rcu(const void *p);
void gs_barrier(void);

#endif /* _GRACESLAB_H */
