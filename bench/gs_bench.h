/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rows of the benchmark share: a clock, samples, a cache of each
 * side, and the order in which the sides take turns.
 */
#ifndef _GS_BENCH_H
#define _GS_BENCH_H

#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/types.h>

#include <graceslab.h>

enum gs_bench_side { OURS, PEER, SIDES };

/* Objects of most rows: 128 bytes, of which the peer needs a head. */
struct gs_bench_obj {
	struct rcu_head rcu;
	u64 data[14];
};

/* Measures one side once and takes its samples. */
typedef int (*gs_bench_once)(enum gs_bench_side side);

struct gs_bench_row {
	const char *name;
	int (*run)(unsigned int repeats);
};

extern const struct gs_bench_row gs_bench_fast_rows[];
extern const struct gs_bench_row gs_bench_grace_rows[];
extern const struct gs_bench_row gs_bench_insert_rows[];
extern const struct gs_bench_row gs_bench_life_rows[];
extern const struct gs_bench_row gs_bench_load_rows[];
extern const struct gs_bench_row gs_bench_memory_rows[];
extern const struct gs_bench_row gs_bench_peers_rows[];
extern const struct gs_bench_row gs_bench_scale_rows[];

/* ---- measure.c: clocks and samples --------------------------------------- */

/* Whether the guest's nanoseconds are instructions. */
extern bool gs_bench_insn;

/* Nanoseconds, or instructions where those are counted. */
u64 gs_bench_now(void);

/* "ns", or "insn" where instructions are counted. */
const char *gs_bench_unit(void);

/* Takes a sample of a thousandth of @unit each, unless this is a warm-up. */
void gs_bench_sample(const char *name, const char *unit,
		     enum gs_bench_side side, u64 milli);

/* Takes a sample of @spent for @nr operations. */
void gs_bench_each(const char *name, enum gs_bench_side side, u64 spent, u64 nr);

/* A point of a curve that is plotted. */
void gs_bench_point(const char *curve, enum gs_bench_side side, u64 x, u64 y);

/* Runs @once for both sides in turn, @repeats times after a warm-up. */
int gs_bench_repeat(unsigned int repeats, gs_bench_once once);

/* Orders @nr values, for medians and the like. */
void gs_bench_sort(u64 *values, size_t nr);

/* Pages that the page allocator has, lists of each CPU included. */
unsigned long gs_bench_free_pages(void);

/* Grace periods that have gone by, and expedited ones; one that runs has not. */
unsigned long gs_bench_grace_periods(void);
unsigned long gs_bench_expedited(void);

#ifdef CONFIG_TINY_RCU
#define rcu_get_gp_seq() 0UL
#define rcu_exp_batches_completed() 0UL
#else
/* Exported for tests; no header for modules has them. */
unsigned long rcu_get_gp_seq(void);
unsigned long rcu_exp_batches_completed(void);
#endif

/* Something else for each grace period that runs, 0 where none does. */
unsigned long gs_bench_period_now(void);

/* The lines taken so far, for main.c. */
extern char *gs_bench_lines;
extern size_t gs_bench_length;
extern int gs_bench_lost;
int gs_bench_measure_init(void);
void gs_bench_measure_exit(void);

/* ---- caches.c: a cache of each side --------------------------------------- */

struct gs_bench_caches {
	const char *name;
	unsigned int size;
	struct gs_cache *ours;
	struct kmem_cache *peer;
};

struct kmem_cache *gs_bench_peer_cache(const char *name, unsigned int size);
int gs_bench_open(struct gs_bench_caches *c, const char *name,
		  unsigned int size, void (*dtor)(void *obj));
void gs_bench_close(struct gs_bench_caches *c);

/*
 * Waits for what one side has been given to free later. Where modules have no
 * barrier of the peer's, its cache is destroyed, which waits as well;
 * gs_bench_again() then makes it anew, outside of the time measured.
 */
void gs_bench_wait(struct gs_bench_caches *c, enum gs_bench_side side);
int gs_bench_again(struct gs_bench_caches *c);

/* Waits for pointers given to either side. */
void gs_bench_wait_pointers(enum gs_bench_side side);

/* Objects for a row to work on, in no cache: room for @nr. */
void **gs_bench_objects(size_t nr);

/* All of them from a side's cache, and back. */
int gs_bench_alloc_all(struct gs_bench_caches *c, enum gs_bench_side side,
		       void **p, size_t nr);
void gs_bench_free_all(struct gs_bench_caches *c, enum gs_bench_side side,
		       void **p, size_t nr);

/* Gives @nr objects to a side to free after a grace period. */
static __always_inline void gs_bench_free_rcu_all(struct gs_bench_caches *c,
						  enum gs_bench_side side,
						  void **p, size_t nr)
{
	size_t i;

	if (side == OURS) {
		for (i = 0; i < nr; i++)
			gs_cache_free_rcu(c->ours, p[i]);
	} else {
		for (i = 0; i < nr; i++) {
			struct gs_bench_obj *obj = p[i];

			kfree_rcu(obj, rcu);
		}
	}
}

#endif /* _GS_BENCH_H */
