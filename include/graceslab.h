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
#include <linux/build_bug.h>
#include <linux/cleanup.h>
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/gfp_types.h>
#include <linux/stddef.h>
#include <linux/types.h>

struct gs_cache;
struct gs_sheaf;

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
/*
 * Be one cache with others that allow it, if their objects lie alike. Not with
 * a constructor or destructor, GS_TYPESAFE_BY_RCU, or flags for debugging.
 */
#define GS_MERGE		BIT(3)
/*
 * Debugging. What is found wrong is reported by one warning that names cache
 * and object, and repaired. The module's parameter "debug" gives these to every
 * cache (F consistency, Z red zone, P poison, U user).
 */
/*
 * Guard bytes on both sides of each object, the padding behind a short one
 * included: checked when it is freed, when it is allocated again, and when its
 * memory is given back.
 */
#define GS_RED_ZONE		BIT(4)
/*
 * A pattern in free objects, drawn after the grace period and the destructor
 * where there is one: checked when the object is allocated again, and when its
 * memory is given back. Not with a constructor, nor with GS_TYPESAFE_BY_RCU:
 * -EINVAL.
 */
#define GS_POISON		BIT(5)
/* One state byte per object: double and misdirected frees are caught. */
#define GS_CONSISTENCY		BIT(6)
/*
 * Who allocated each object and who freed it last (stack, task, CPU, age), for
 * every report about it, that of a leak included.
 */
#define GS_STORE_USER		BIT(7)

/**
 * struct gs_cache_args - what a cache may be told about its objects
 * @align: alignment in bytes, a power of two; 0 for the natural one
 * @sheaf_capacity: objects per sheaf, up to 1020; 0 for the default of the
 *	object size, which grows with use; 1 is 2
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
 * @queued_bits: of those ever queued, objects that found no sheaf and took the
 *	lock-free slab path
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
	u64 queued_bits;
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
 * (a name, size, flag or sheaf capacity that there is not, an alignment that is
 * no power of two or beyond a page, @rcu_dtor with GS_TYPESAFE_BY_RCU, GS_POISON with that or with
 * @ctor, GS_MERGE with what forbids it), -EEXIST if the name is taken, -ENOMEM.
 * With GS_MERGE it can be a cache that exists, which then has one more name and
 * one more owner.
 */
struct gs_cache *gs_cache_create(const char *name, unsigned int size,
				 const struct gs_cache_args *args,
				 unsigned long flags) __must_check;

/**
 * gs_cache_destroy() - wait for a cache's own pending frees, and destroy it
 * @c: the cache; gone whatever this returns
 *
 * Waits for no grace period when no free is pending, and never for another
 * cache's frees. Objects still in use are reported, one line each and a
 * summary; after that, @c is good for freeing them and nothing else, and its
 * memory goes with the last one. The name is free at once. A cache that several
 * owners share by GS_MERGE loses one of them, and is destroyed by the last one.
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
void *gs_cache_alloc(struct gs_cache *c, gfp_t gfp) __malloc __must_check;

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

/* private: without the checks of the functions that they are called after. */
void *__gs_cache_alloc(struct gs_cache *c, gfp_t gfp) __malloc __must_check;
void __gs_cache_free(struct gs_cache *c, void *obj);
void __gs_cache_free_rcu(struct gs_cache *c, void *obj);

/*
 * The checks are made by the caller, whose compiler knows some of the answers:
 * a gfp is a constant most of the time, and a pointer was often looked at.
 */
static __always_inline __malloc __must_check void *
gs_cache_alloc_checked(struct gs_cache *c, gfp_t gfp)
{
	if (__builtin_constant_p(gfp) && !(gfp & __GFP_ZERO) && likely(c))
		return __gs_cache_alloc(c, gfp);
	return gs_cache_alloc(c, gfp);
}

static __always_inline void gs_cache_free_checked(struct gs_cache *c, void *obj)
{
	if (likely(c && obj))
		__gs_cache_free(c, obj);
}

static __always_inline void gs_cache_free_rcu_checked(struct gs_cache *c,
						      void *obj)
{
	if (likely(c && obj))
		__gs_cache_free_rcu(c, obj);
}

#define gs_cache_alloc(c, gfp)		gs_cache_alloc_checked(c, gfp)
#define gs_cache_free(c, obj)		gs_cache_free_checked(c, obj)
#define gs_cache_free_rcu(c, obj)	gs_cache_free_rcu_checked(c, obj)

/* public: */

/**
 * gs_sheaf_prefill() - get a sheaf that has objects
 * @c: the cache
 * @gfp: as for gs_cache_alloc(), without __GFP_ZERO
 * @n: how many objects at least, up to 65536
 *
 * For callers that must not fail where they cannot wait: they fill a sheaf
 * where they can, and take objects from it where they cannot. A sheaf is used
 * by one context at a time. Its objects count as in use until it is returned.
 *
 * Context: As @gfp allows.
 * Return: the sheaf, or NULL; NULL for __GFP_ZERO, too.
 */
struct gs_sheaf *gs_sheaf_prefill(struct gs_cache *c, gfp_t gfp,
				  unsigned int n) __must_check;

/**
 * gs_sheaf_refill() - fill a sheaf up again
 * @c: the cache
 * @gfp: as for gs_sheaf_prefill()
 * @s: the sheaf; another one takes its place if it has no room for @n
 * @n: how many objects it is to have at least
 *
 * Context: As @gfp allows.
 * Return: 0; -ENOMEM, and the sheaf has what it had at least; -EINVAL for NULL
 * and for __GFP_ZERO.
 */
int gs_sheaf_refill(struct gs_cache *c, gfp_t gfp, struct gs_sheaf **s,
		    unsigned int n) __must_check;

/**
 * gs_sheaf_alloc() - take an object from a sheaf
 * @c: the cache
 * @s: a sheaf of it
 *
 * Context: Any context, by one user of the sheaf at a time. Asks for no memory.
 * Return: an object as long as the sheaf has one: it cannot fail as often as
 * the sheaf was filled for. NULL after that.
 */
void *gs_sheaf_alloc(struct gs_cache *c,
		     struct gs_sheaf *s) __malloc __must_check;

/**
 * gs_sheaf_return() - give a sheaf back with what is left in it
 * @c: the cache
 * @gfp: what the caller may do, for later: nothing is allocated
 * @s: the sheaf; NULL is fine
 *
 * Context: Any context.
 */
void gs_sheaf_return(struct gs_cache *c, gfp_t gfp, struct gs_sheaf *s);

/**
 * gs_cache_barrier() - wait for a cache's pending frees
 * @c: the cache
 *
 * Every object given to gs_cache_free_rcu() before the call has been destroyed
 * and can be allocated again when this returns. Later frees do not extend the
 * wait, other caches' frees have no part in it, and there is no grace period
 * where nothing is pending. That which is waited for is expedited, at most once
 * in expedite_ms.
 *
 * Context: Process context, may sleep. Not with the CPU hotplug lock held, nor
 * from a destructor of the same cache (which gets a warning).
 */
void gs_cache_barrier(struct gs_cache *c);

/**
 * gs_cache_shrink() - give a cache's unused memory back
 * @c: the cache
 *
 * Context: Process context, may sleep. Not with the CPU hotplug lock held.
 * Waits for no grace period, but for what the cache's own worker is just giving
 * back, which is not counted.
 * Return: pages given back. Those of a type-safe cache, and of slabs that were
 * allocated where nothing may be waited for, follow after a grace period.
 */
unsigned int gs_cache_shrink(struct gs_cache *c);

/**
 * gs_cache_set_sheaf_capacity() - change the capacity of a cache's sheaves
 * @c: the cache
 * @capacity: objects per sheaf, 2 to 1020
 *
 * The cache may be in use. Sheaves of another capacity stay valid where they
 * are, and are freed as they are met. From here on the capacity does not grow by
 * itself. The file sheaf_capacity of the cache in
 * debugfs does the same.
 *
 * Context: Process context, may sleep. Not with the CPU hotplug lock held.
 * Waits for no grace period.
 * Return: 0; -ERANGE for a capacity that there is not; -EINVAL if @c is no live
 * cache.
 */
int gs_cache_set_sheaf_capacity(struct gs_cache *c, unsigned int capacity);

/**
 * gs_cache_stats() - take a cache's counters
 * @c: the cache
 * @stats: where to put them
 *
 * Context: Process context, may sleep. Not with the CPU hotplug lock held.
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
 * gs_cache_child() - get the child cache of an owner
 * @parent: the cache, or any child of it
 * @key: the owner: a memory cgroup's id, a network namespace's, any number
 *
 * A child has slabs and sheaves of its own, for objects of the same kind: with
 * the same size, flags, constructor and destructor. It is made by a worker
 * after it was asked for the first time; until then, and when that fails, the
 * parent serves, and is returned. An object may be freed to any cache of the
 * family, whichever of them it came from. What is asked of the parent
 * (gs_cache_barrier(), gs_cache_stats(), gs_cache_shrink(),
 * gs_cache_set_sheaf_capacity()) is asked of all its children; a child goes
 * with its owner, or with the parent, and cannot be destroyed by itself.
 *
 * The child is there for whoever looks as long as nobody has called
 * gs_cache_child_gone() for it, and for an RCU reader until the end of its
 * read-side section; the reader may allocate from it that long.
 *
 * Context: Any context.
 * Return: the child or the parent (never a child that was given); NULL for NULL.
 */
struct gs_cache *gs_cache_child(struct gs_cache *parent, u64 key);

/**
 * gs_cache_child_gone() - let the child cache of an owner go
 * @parent: the cache, or any child of it
 * @key: the owner
 *
 * After a grace period a worker closes the child: nothing is allocated from it
 * any more, its unused memory goes, and it goes itself with its last object.
 * There may be none, or one that is just being made. The same key may be asked
 * for again, and gets another child.
 *
 * Context: Any context. Nobody asks for this key's child at the same time, or
 * uses it outside of an RCU read-side section that began before.
 */
void gs_cache_child_gone(struct gs_cache *parent, u64 key);

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
bool gs_cache_tryget(struct gs_cache *c) __must_check;

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
 * gs_try_kvfree_rcu() - free a pointer after a grace period, if that is possible
 * @p: as for gs_kvfree_rcu()
 * @gfp: what may be done to get memory: GFP_NOWAIT or GFP_ATOMIC where nobody
 *	may sleep; with a flag that allows sleeping, it waits for the grace
 *	period itself rather than fail
 *
 * An object of a cache of ours needs no memory, so that never fails.
 *
 * Context: As @gfp allows; not in NMI.
 * Return: 0; -ENOMEM if there is no memory, and @p is still the caller's;
 * -EINVAL, with a warning, if @p came from no allocator.
 */
int gs_try_kvfree_rcu(const void *p, gfp_t gfp) __must_check;

/**
 * gs_kvfree_rcu_defer() - free a pointer after a grace period, come what may
 * @p: as for gs_kvfree_rcu()
 *
 * For those who can neither sleep nor handle a failure nor have a head in the
 * object: where there is no page, no reserve and no slot left, @p is leaked
 * with a warning. Prefer gs_kvfree_rcu_head(), which always finds a place.
 *
 * Context: Any context but NMI.
 */
void gs_kvfree_rcu_defer(const void *p);

/* The offset of a head, which has to be of one of two types and near enough. */
#define GS_RCU_HEAD_OFFSET(type, field)					\
({									\
	static_assert(__same_type(((type *)0)->field, struct gs_rcu_head) || \
		      __same_type(((type *)0)->field, struct rcu_head),	\
		      "the head is neither a gs_rcu_head nor an rcu_head"); \
	static_assert(offsetof(type, field) < 4096 &&			\
		      offsetof(type, field) % 8 == 0,			\
		      "the head is not at a multiple of 8 below 4096");	\
	offsetof(type, field);						\
})

/**
 * gs_kvfree_rcu_head() - free an object that has a head, after a grace period
 * @p: the object, of any allocator that gs_kvfree_rcu() takes; NULL is fine
 * @field: its head, a struct gs_rcu_head or a struct rcu_head, at a multiple of
 *	8 in the first 4096 bytes, which one in a __packed struct can miss; else
 *	it does not compile
 *
 * The head is used where there is no memory, and is free for other uses until
 * this call.
 *
 * Context: Any context but NMI. Needs no memory, cannot fail.
 */
#define gs_kvfree_rcu_head(p, field)					\
	gs_kvfree_rcu_at((p), GS_RCU_HEAD_OFFSET(typeof(*(p)), field))

/**
 * gs_kfree_rcu_nolock() - the same, where not even a lock may be taken
 * @p: as for gs_kvfree_rcu_head(), or of kmalloc_nolock()
 * @field: as there
 *
 * Context: Any context, NMI included. Needs no memory, cannot fail.
 */
#define gs_kfree_rcu_nolock(p, field)					\
	gs_kfree_rcu_nolock_at((p), GS_RCU_HEAD_OFFSET(typeof(*(p)), field))

/* private: what the macros above call. */
void gs_kvfree_rcu_at(const void *p, size_t offset);
void gs_kfree_rcu_nolock_at(const void *p, size_t offset);

/* public: */

/**
 * gs_barrier() - wait for every pending free of every kind
 *
 * What was queued before the call has come back when this returns.
 *
 * Context: Process context, may sleep. Not with the CPU hotplug lock held, nor
 * from a destructor (which gets a warning, and no wait for its own cache).
 */
void gs_barrier(void);

/*
 * What served others' pointers when a CPU's page of them was full, from the
 * cheapest step to the last one.
 */
enum gs_step {
	GS_STEP_CACHED_PAGE, /* a page of the CPU's reserve */
	GS_STEP_PAGE,        /* a page by the caller's gfp */
	GS_STEP_RESERVE,     /* room for one pointer, of the reserve */
	GS_STEP_WRAPPER,     /* room for one pointer, by the caller's gfp */
	GS_STEP_WAITED,      /* the caller waited for the grace period */
	GS_STEP_REFUSED,     /* -ENOMEM: the caller kept its pointer */
	GS_STEP_LINKED,      /* the object's own head linked it */
	GS_STEP_SLOT,        /* a slot: no memory, or an open section met */
	GS_STEP_LEAKED,      /* not even that */
};

/**
 * gs_steps() - count how often a step served
 * @step: one of enum gs_step
 *
 * Context: Any context.
 * Return: the number, or 0 if there is no such step.
 */
u64 gs_steps(unsigned int step);

/* Where gs_inject() makes an attempt to get memory fail. */
enum gs_inject_point {
	GS_INJECT_SHEAF,       /* a sheaf */
	GS_INJECT_PAGE,        /* a page for others' pointers */
	GS_INJECT_SLAB,        /* a slab */
	GS_INJECT_CACHED_PAGE, /* a page of a CPU's reserve */
	GS_INJECT_RESERVE,     /* room for one pointer, of a CPU's reserve */
	GS_INJECT_WRAPPER,     /* memory for one pointer */
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

/**
 * gs_reclaim() - give unused memory back, as the kernel's shrinker asks for it
 * @pages: how many pages are wanted
 *
 * For tests, and for those who know that memory will be short. Objects in
 * spare sheaves, and those whose grace period is over, go back to their slabs,
 * and the pages of empty slabs to the system, from one cache after the other.
 * No destructor is called.
 *
 * Context: Process context, may sleep.
 * Return: pages given back; those of a type-safe cache follow after a grace
 * period.
 */
unsigned long gs_reclaim(unsigned long pages);

/* private: frees an object of any cache of ours, which is found by the object. */
void gs_object_free(void *obj);

/*
 * For __free() of linux/cleanup.h: what the variable holds is given back where
 * its scope ends, unless no_free_ptr() or return_ptr() has taken it. NULL and
 * errors are fine. An object of a cache is freed at once with gs_object, and
 * after a grace period with gs_kvfree_rcu.
 */
DEFINE_FREE(gs_object, void *, if (!IS_ERR_OR_NULL(_T)) gs_object_free(_T))
DEFINE_FREE(gs_kvfree_rcu, void *, if (!IS_ERR_OR_NULL(_T)) gs_kvfree_rcu(_T))
DEFINE_FREE(gs_cache_destroy, struct gs_cache *, if (!IS_ERR_OR_NULL(_T)) gs_cache_destroy(_T))
DEFINE_FREE(gs_cache_put, struct gs_cache *, if (!IS_ERR_OR_NULL(_T)) gs_cache_put(_T))

#endif /* _GRACESLAB_H */
