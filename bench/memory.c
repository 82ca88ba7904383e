// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that a live object takes: all that the page allocator gives for a
 * cache full of them, bookkeeping included.
 */
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "gs_bench.h"

#define GS_TOTAL	(32 << 20)

struct gs_linked {
	struct gs_linked *next;
};

static struct gs_bench_caches caches;

static int gs_bytes(enum gs_bench_side side)
{
	struct gs_linked *first = NULL, *obj;
	size_t nr = GS_TOTAL / caches.size, i;
	unsigned long before, after;
	char name[24];
	int ret = 0;

	before = gs_bench_free_pages();
	for (i = 0; i < nr; i++) {
		obj = side == OURS ? gs_cache_alloc(caches.ours, GFP_KERNEL) :
				     kmem_cache_alloc(caches.peer, GFP_KERNEL);
		if (!obj) {
			ret = -ENOMEM;
			break;
		}
		obj->next = first;
		first = obj;
		if (i % 8192 == 8191)
			cond_resched();
	}
	after = gs_bench_free_pages();
	while (first) {
		obj = first;
		first = obj->next;
		if (side == OURS)
			gs_cache_free(caches.ours, obj);
		else
			kmem_cache_free(caches.peer, obj);
		if (i-- % 8192 == 0)
			cond_resched();
	}
	if (ret)
		return ret;
	scnprintf(name, sizeof(name), "bytes_%u", caches.size);
	gs_bench_sample(name, "bytes", side,
			1000ULL * (before - after) * PAGE_SIZE / nr);
	/* The next round starts from nothing. */
	if (side == OURS)
		gs_cache_shrink(caches.ours);
	else
		kmem_cache_shrink(caches.peer);
	/* Slabs go after a grace period. */
	rcu_barrier();
	return 0;
}

static int gs_bytes_run(unsigned int repeats)
{
	static const unsigned int sizes[] = {
		8,   16,  24,  32,   64,   96,   128,
		192, 256, 512, 1024, 2048, 4096, 8192,
	};
	int i, ret = 0;

	for (i = 0; i < ARRAY_SIZE(sizes) && !ret; i++) {
		ret = gs_bench_open(&caches, "gs_bench", sizes[i], NULL);
		if (ret)
			break;
		ret = gs_bench_repeat(repeats, gs_bytes);
		gs_bench_close(&caches);
	}
	return ret;
}

const struct gs_bench_row gs_bench_memory_rows[] = {
	{ "bytes", gs_bytes_run },
	{ /* sentinel */ },
};
