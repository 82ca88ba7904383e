// SPDX-License-Identifier: GPL-2.0
/*
 * A cache of each side: of ours without GS_CONSISTENCY, of the kernel's one
 * that is not merged with others, with sheaves as they come.
 */
#include <linux/err.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#include "gs_bench.h"

struct kmem_cache *gs_bench_peer_cache(const char *name, unsigned int size)
{
	return kmem_cache_create(name, size, 0, SLAB_NO_MERGE, NULL);
}

int gs_bench_open(struct gs_bench_caches *c, const char *name,
		  unsigned int size, void (*dtor)(void *obj))
{
	struct gs_cache_args args = { .rcu_dtor = dtor };

	c->name = name;
	c->size = size;
	c->peer = NULL;
	c->ours = gs_cache_create(name, size, &args, 0);
	if (IS_ERR(c->ours))
		return PTR_ERR(c->ours);
	if (gs_bench_again(c)) {
		gs_cache_destroy(c->ours);
		return -ENOMEM;
	}
	return 0;
}

int gs_bench_again(struct gs_bench_caches *c)
{
	if (!c->peer)
		c->peer = gs_bench_peer_cache(c->name, c->size);
	return c->peer ? 0 : -ENOMEM;
}

void gs_bench_close(struct gs_bench_caches *c)
{
	gs_cache_destroy(c->ours);
	kmem_cache_destroy(c->peer);
}

void gs_bench_wait(struct gs_bench_caches *c, enum gs_bench_side side)
{
	if (side == OURS) {
		gs_cache_barrier(c->ours);
		return;
	}
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
	kvfree_rcu_barrier_on_cache(c->peer);
#else
	kmem_cache_destroy(c->peer);
	c->peer = NULL;
#endif
}

void gs_bench_wait_pointers(enum gs_bench_side side)
{
	if (side == OURS) {
		gs_barrier();
		return;
	}
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 3, 0)
	kvfree_rcu_barrier();
#else
	/* Waits for the channels; of each kmalloc cache a sheaf may be left. */
	kmem_cache_destroy(gs_bench_peer_cache("gs_bench_wait", 64));
	rcu_barrier();
#endif
}

void **gs_bench_objects(size_t nr)
{
	return vzalloc(array_size(nr, sizeof(void *)));
}

int gs_bench_alloc_all(struct gs_bench_caches *c, enum gs_bench_side side,
		       void **p, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		p[i] = side == OURS ? gs_cache_alloc(c->ours, GFP_KERNEL) :
				      kmem_cache_alloc(c->peer, GFP_KERNEL);
		if (!p[i]) {
			gs_bench_free_all(c, side, p, i);
			return -ENOMEM;
		}
		if (i % 8192 == 8191)
			cond_resched();
	}
	return 0;
}

void gs_bench_free_all(struct gs_bench_caches *c, enum gs_bench_side side,
		       void **p, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (side == OURS)
			gs_cache_free(c->ours, p[i]);
		else
			kmem_cache_free(c->peer, p[i]);
	}
}
