// SPDX-License-Identifier: GPL-2.0
/*
 * What a caller waits for: allocation, free, and handing something over to be
 * freed after a grace period. Each sample is one operation's mean in a loop.
 *
 * The loops are written out for each side, so that both call what they
 * measure directly.
 */
#include <linux/vmalloc.h>

#include "gs_bench.h"

#define GS_PAIRS	10000
#define GS_BURST	20000
#define GS_POINTERS	20000
#define GS_POINTER_SIZE	128
#define GS_AREAS	2000
#define GS_BULK		64

static struct gs_bench_caches caches;
static void **objects;

/* ---- pair ----------------------------------------------------------------- */

static int gs_pair(enum gs_bench_side side)
{
	u64 begin;
	void *p;
	int i;

	begin = gs_bench_now();
	if (side == OURS) {
		for (i = 0; i < GS_PAIRS; i++) {
			p = gs_cache_alloc(caches.ours, GFP_KERNEL);
			if (!p)
				return -ENOMEM;
			gs_cache_free(caches.ours, p);
		}
	} else {
		for (i = 0; i < GS_PAIRS; i++) {
			p = kmem_cache_alloc(caches.peer, GFP_KERNEL);
			if (!p)
				return -ENOMEM;
			kmem_cache_free(caches.peer, p);
		}
	}
	gs_bench_each("pair", side, gs_bench_now() - begin, GS_PAIRS);
	return 0;
}

/* ---- burst ---------------------------------------------------------------- */

static int gs_take(enum gs_bench_side side, size_t nr)
{
	size_t i;

	if (side == OURS) {
		for (i = 0; i < nr; i++) {
			objects[i] = gs_cache_alloc(caches.ours, GFP_KERNEL);
			if (!objects[i])
				return -ENOMEM;
		}
	} else {
		for (i = 0; i < nr; i++) {
			objects[i] = kmem_cache_alloc(caches.peer, GFP_KERNEL);
			if (!objects[i])
				return -ENOMEM;
		}
	}
	return 0;
}

static void gs_give(enum gs_bench_side side, size_t nr)
{
	size_t i;

	if (side == OURS) {
		for (i = 0; i < nr; i++)
			gs_cache_free(caches.ours, objects[i]);
	} else {
		for (i = 0; i < nr; i++)
			kmem_cache_free(caches.peer, objects[i]);
	}
}

static int gs_burst(enum gs_bench_side side)
{
	u64 begin;
	int ret;

	begin = gs_bench_now();
	ret = gs_take(side, GS_BURST);
	if (ret)
		return ret;
	gs_bench_each("burst_alloc", side, gs_bench_now() - begin, GS_BURST);

	begin = gs_bench_now();
	gs_give(side, GS_BURST);
	gs_bench_each("burst_free", side, gs_bench_now() - begin, GS_BURST);
	return 0;
}

/* The same order each time, and for both sides. */
static void gs_shuffle(size_t nr)
{
	u64 state = 88172645463325252ULL;
	size_t i;

	for (i = nr - 1; i; i--) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		swap(objects[i], objects[state % (i + 1)]);
	}
}

static int gs_shuffled(enum gs_bench_side side)
{
	u64 begin;
	int ret;

	ret = gs_take(side, GS_BURST);
	if (ret)
		return ret;
	gs_shuffle(GS_BURST);
	begin = gs_bench_now();
	gs_give(side, GS_BURST);
	gs_bench_each("shuffled", side, gs_bench_now() - begin, GS_BURST);
	return 0;
}

/* ---- bulk ----------------------------------------------------------------- */

static int gs_bulk(const char *name, enum gs_bench_side side, size_t nr)
{
	void *p[GS_BULK];
	u64 begin;
	int i, rounds = GS_BURST / nr;

	begin = gs_bench_now();
	if (side == OURS) {
		for (i = 0; i < rounds; i++) {
			if (!gs_cache_alloc_bulk(caches.ours, GFP_KERNEL, nr, p))
				return -ENOMEM;
			gs_cache_free_bulk(caches.ours, nr, p);
		}
	} else {
		for (i = 0; i < rounds; i++) {
			if (!kmem_cache_alloc_bulk(caches.peer, GFP_KERNEL, nr,
						   p))
				return -ENOMEM;
			kmem_cache_free_bulk(caches.peer, nr, p);
		}
	}
	gs_bench_each(name, side, gs_bench_now() - begin, rounds * nr);
	return 0;
}

static int gs_bulk16(enum gs_bench_side side)
{
	return gs_bulk("bulk16", side, 16);
}

static int gs_bulk64(enum gs_bench_side side)
{
	return gs_bulk("bulk64", side, 64);
}

/* ---- deferred frees ------------------------------------------------------- */

static int gs_free_rcu(enum gs_bench_side side)
{
	u64 begin;
	int ret;

	ret = gs_bench_again(&caches) ?: gs_take(side, GS_BURST);
	if (ret)
		return ret;
	begin = gs_bench_now();
	gs_bench_free_rcu_all(&caches, side, objects, GS_BURST);
	gs_bench_each("free_rcu", side, gs_bench_now() - begin, GS_BURST);
	gs_bench_wait(&caches, side);
	return 0;
}

static void gs_give_pointers(enum gs_bench_side side, size_t nr)
{
	size_t i;

	if (side == OURS) {
		for (i = 0; i < nr; i++)
			gs_kvfree_rcu(objects[i]);
	} else {
		for (i = 0; i < nr; i++)
			kvfree_rcu_mightsleep(objects[i]);
	}
}

static int gs_kvfree(enum gs_bench_side side)
{
	u64 begin;
	size_t i;

	for (i = 0; i < GS_POINTERS; i++) {
		objects[i] = kmalloc(GS_POINTER_SIZE, GFP_KERNEL);
		if (!objects[i])
			goto nomem;
	}
	begin = gs_bench_now();
	gs_give_pointers(side, GS_POINTERS);
	gs_bench_each("kvfree_rcu", side, gs_bench_now() - begin, GS_POINTERS);
	gs_bench_wait_pointers(side);
	return 0;
nomem:
	while (i--)
		kfree(objects[i]);
	return -ENOMEM;
}

static int gs_kvfree_vmalloc(enum gs_bench_side side)
{
	u64 begin;
	size_t i;

	for (i = 0; i < GS_AREAS; i++) {
		objects[i] = vmalloc(PAGE_SIZE);
		if (!objects[i])
			goto nomem;
	}
	begin = gs_bench_now();
	gs_give_pointers(side, GS_AREAS);
	gs_bench_each("kvfree_rcu_vmalloc", side, gs_bench_now() - begin,
		      GS_AREAS);
	gs_bench_wait_pointers(side);
	return 0;
nomem:
	while (i--)
		vfree(objects[i]);
	return -ENOMEM;
}

/* ---- rows ----------------------------------------------------------------- */

static int gs_on_caches(unsigned int repeats, gs_bench_once once)
{
	int ret = -ENOMEM;

	objects = gs_bench_objects(GS_BURST);
	if (!objects)
		return ret;
	ret = gs_bench_open(&caches, "gs_bench", sizeof(struct gs_bench_obj),
			    NULL);
	if (!ret) {
		ret = gs_bench_repeat(repeats, once);
		gs_bench_close(&caches);
	}
	vfree(objects);
	return ret;
}

#define GS_ROW(row)							\
static int row##_run(unsigned int repeats)				\
{									\
	return gs_on_caches(repeats, row);				\
}

GS_ROW(gs_pair)
GS_ROW(gs_burst)
GS_ROW(gs_shuffled)
GS_ROW(gs_bulk16)
GS_ROW(gs_bulk64)
GS_ROW(gs_free_rcu)
GS_ROW(gs_kvfree)
GS_ROW(gs_kvfree_vmalloc)

const struct gs_bench_row gs_bench_fast_rows[] = {
	{ "pair", gs_pair_run },
	{ "burst", gs_burst_run },
	{ "shuffled", gs_shuffled_run },
	{ "bulk16", gs_bulk16_run },
	{ "bulk64", gs_bulk64_run },
	{ "free_rcu", gs_free_rcu_run },
	{ "kvfree_rcu", gs_kvfree_run },
	{ "kvfree_rcu_vmalloc", gs_kvfree_vmalloc_run },
	{ /* sentinel */ },
};
