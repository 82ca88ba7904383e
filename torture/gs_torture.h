/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A torture test of the whole C interface, in the manner of rcutorture.
 *
 *  - objects.c: what is written into an object, and how it is checked
 *  - caches.c:  caches of random geometry, their lives and their accounts
 *  - others.c:  memory of other allocators
 *  - work.c:    one random operation, in any context
 *  - places.c:  the contexts: tasks, timers, interrupts of both kinds
 *  - probes.c:  the same from kprobes, which is like an NMI
 *  - record.c:  what happened to objects, for the report of an error
 *  - readers.c: those who look at published objects
 *  - trouble.c: failing allocations, stalled readers, misuse
 *  - onoff.c:   CPUs that go and come back
 *  - main.c:    parameters, start, progress, verdict
 *
 * Nobody owns an object by holding a pointer to it in a variable for long: it is
 * in a slot, or in the hands of who has taken it out of one by xchg(). So any
 * context can free what any other one has allocated, without a lock.
 */
#ifndef _GS_TORTURE_H
#define _GS_TORTURE_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/prandom.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/version.h>

#include <graceslab.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#define gst_grace rcu_gp_seq
#else
#define gst_grace rcu_gp_oldstate
#endif

/* Allocators sleep on their locks, or lockdep sees to it as if they did. */
#define GST_LOCKS_SLEEP							\
	(IS_ENABLED(CONFIG_PREEMPT_RT) ||				\
	 IS_ENABLED(CONFIG_PROVE_RAW_LOCK_NESTING))

/* ---- parameters, in main.c ----------------------------------------------- */

extern int gst_ncaches, gst_stall_ms, gst_misuses, gst_leaks;

/* ---- counts -------------------------------------------------------------- */

enum gst_count {
	GST_ALLOCS,   /* objects had */
	GST_REFUSALS, /* NULL */
	GST_FREES,    /* freed at once */
	GST_DEFERS,   /* freed after a grace period */
	GST_DTORS,
	GST_PROVEN, /* reuse after a grace period, shown by a cookie */
	GST_LOOKS,  /* objects that readers have checked */
	GST_CREATED,
	GST_DESTROYED,
	GST_PENDING, /* of those, with frees pending */
	GST_BUSY,    /* of those, with objects in use */
	GST_REFERENCES,
	GST_BARRIERS,
	GST_SHRINKS,
	GST_ACCOUNTS, /* caches whose counters were compared */
	GST_POINTERS, /* of others, given to be freed */
	GST_RETURNED, /* of others, not taken: -ENOMEM */
	GST_INJECTED,
	GST_STALLS,
	GST_ONOFF,   /* CPUs taken down and brought back */
	GST_IN_TASK, /* operations, by context */
	GST_IN_ATOMIC,
	GST_IN_SOFTIRQ,
	GST_IN_HARDIRQ,
	GST_IN_NMI,
	GST_COUNTS
};

DECLARE_PER_CPU(unsigned long[GST_COUNTS], gst_counts);

#define gst_count_add(which, n)	this_cpu_add(gst_counts[which], n)
#define gst_count(which)	gst_count_add(which, 1)

/*
 * Something that must not be. Says so, for the first ones, and counts; true for
 * the first one, which also gets a stack.
 */
__printf(1, 2) bool gst_error(const char *fmt, ...);
bool gst_has_failed(void);

/* ---- who does something, and where --------------------------------------- */

enum gst_place {
	GST_TASK,   /* may sleep */
	GST_ATOMIC, /* may not */
	GST_NMI,    /* nor take a lock */
};

struct gst_who {
	struct rnd_state rnd;
	enum gst_place place;
	enum gst_count counter;
};

void gst_who_init(struct gst_who *who, unsigned int id, enum gst_place place,
		  enum gst_count counter);
/* From 0 up to, but without, @below. */
u32 gst_random(struct gst_who *who, u32 below);
/* Once in @n times. */
bool gst_one_in(struct gst_who *who, u32 n);
gfp_t gst_gfp(struct gst_who *who);

/* Whether too much waits for a grace period for tasks to go on. */
bool gst_throttled(void);
void gst_throttle_tick(void);
void gst_deferred(size_t size);
/* For loops of threads: gives way, and sleeps while throttled. */
void gst_breathe(struct gst_who *who);

/* ---- what happened to an object lately ------------------------------------ */

struct gst_cache;

int gst_record_init(void);
void gst_record_end(void);
/* Any context, NMI included. @what is a literal. */
void gst_record(const void *obj, const char *what, u64 word,
		const struct gst_cache *cache);
void gst_record_say(const void *obj);

/* The same about an object: what happened to it before is said as well. */
#define gst_wrong(obj, fmt, ...)					\
do {									\
	const void *__obj = (obj);					\
									\
	if (gst_error("object %px " fmt, __obj, ##__VA_ARGS__))		\
		gst_record_say(__obj);					\
} while (0)

/* ---- objects ------------------------------------------------------------- */

enum gst_state {
	GST_MADE = 1, /* by a constructor, never used */
	GST_LIVE,
	GST_FREED,
	GST_DEFERRED,
	GST_DROPPED,  /* its destructor has run */
	GST_RELEASED, /* freed at once, but its memory is type-safe */
};

/* What a large enough object begins with. */
struct gst_object {
	u64 word;                /* state, life, and where it is */
	struct gst_grace due;    /* taken when its free was deferred */
	struct gst_cache *cache; /* NULL: of another allocator */
	union {
		struct gs_rcu_head one;
		struct rcu_head two;
	} head;
	u8 rest[];
};

/* Objects that have a word and nothing else are at least so large. */
#define GST_WORD	sizeof(u64)
#define GST_FULL	sizeof(struct gst_object)

/*
 * What kind of object it is. Each has words of its own, as memory goes from one to
 * another: behind a small one's word, there may be what was an older one's header.
 */
enum gst_kind { GST_OURS, GST_OTHERS, GST_SMALL };

#define gst_own_kind(size)	((size) >= GST_FULL ? GST_OURS : GST_SMALL)

void gst_objects_init(u64 seed);
u64 gst_next_life(void);
u64 gst_life_of(u64 word);
void gst_object_make(void *obj, enum gst_kind kind);
/* Called with an object that was just allocated, whatever is in it. */
void gst_object_take(void *obj, struct gst_cache *cache, enum gst_kind kind,
		     size_t size, bool made, u64 born);
/* Called by the owner, just before it gives the object up. */
bool gst_object_give(void *obj, enum gst_kind kind, size_t size,
		     enum gst_state state);
/* In a destructor. */
void gst_object_drop(void *obj);
/* By a reader that may see it: twice, with @dwell us in between. */
void gst_object_look(void *obj, enum gst_kind kind, size_t size, bool typesafe,
		     unsigned int dwell);

/* ---- caches -------------------------------------------------------------- */

#define GST_SLOTS	32
#define GST_MAX_CACHES	64

enum gst_fate {
	GST_CLEAN,  /* destroyed when nobody uses it */
	GST_RACED,  /* while others free the last objects */
	GST_LEAKED, /* with objects in use, which are freed later */
	GST_LOST,   /* with objects in use, which never are */
};

struct gst_cache {
	struct gs_cache *c;
	char name[32];
	unsigned int size, align, capacity, slots;
	unsigned long flags;
	bool word, full, ctor, dtor;
	bool closing; /* destructors leave other objects alone */
	u64 born;
	atomic_t users;
	atomic_long_t allocs, frees, defers, dtors, lost;
	atomic_t sheaf_busy;
	struct gs_sheaf *sheaf;
	unsigned int in_sheaf;
	struct rcu_head rcu;
	struct list_head grave;
	void __rcu *published[GST_SLOTS];
	void *kept[GST_SLOTS];
};

static inline bool gst_typesafe(const struct gst_cache *gt)
{
	return gt->flags & GS_TYPESAFE_BY_RCU;
}

extern struct gst_cache __rcu *gst_caches[GST_MAX_CACHES];

struct gst_cache *gst_cache_get(struct gst_who *who);
void gst_cache_put(struct gst_cache *gt);
void gst_cache_turn(struct gst_who *who);
void gst_caches_init(struct gst_who *who);
void gst_caches_end(struct gst_who *who);
void gst_lost(unsigned long objects, unsigned long caches);
void gst_late_free(struct gst_who *who);
/* One that is about to be destroyed, or is being so, or was. */
extern struct gs_cache *gst_doomed;
unsigned long gst_lost_objects(void);
unsigned long gst_lost_caches(void);

void *gst_alloc(struct gst_who *who, struct gst_cache *gt);
void gst_took(struct gst_cache *gt, void *obj);
void gst_free_some_way(struct gst_who *who, struct gst_cache *gt, void *obj);
void gst_defer_some_way(struct gst_who *who, struct gst_cache *gt, void *obj);
void gst_defer(struct gst_cache *gt, void *obj);
void gst_keep(struct gst_who *who, struct gst_cache *gt, void *obj);
void gst_publish(struct gst_who *who, struct gst_cache *gt, void *obj);
void gst_reference(struct gst_who *who, struct gst_cache *gt);

/* ---- others' memory ------------------------------------------------------ */

int gst_others_init(void);
void gst_others_make(struct gst_who *who);
void gst_others_give(struct gst_who *who);
void gst_others_look(struct gst_who *who, unsigned int dwell);
void gst_others_end(struct gst_who *who);
bool gst_others_give_own(struct gst_who *who, struct gst_object *obj, bool full);

/* ---- the rest ------------------------------------------------------------ */

void gst_step(struct gst_who *who);
void gst_look(struct gst_who *who, unsigned int dwell);

int gst_worker(void *arg);
int gst_reader(void *arg);
int gst_churner(void *arg);
int gst_trouble(void *arg);
int gst_staller(void *arg);
int gst_racer(void *arg);
void gst_misuse_report(void);
unsigned long gst_misuse_lost(void);

void gst_timers_init(void);
void gst_timers_start(void);
void gst_timers_restart(unsigned int cpu);
void gst_timers_stop(void);

#ifdef CONFIG_HOTPLUG_CPU
int gst_onoff(void *arg);
#endif

#ifdef CONFIG_KPROBES
int gst_probes_start(unsigned long entries, unsigned int nr);
void gst_probes_stop(void);
#else
static inline int gst_probes_start(unsigned long entries, unsigned int nr)
{
	return 0;
}

static inline void gst_probes_stop(void)
{
}
#endif

#endif /* _GS_TORTURE_H */
