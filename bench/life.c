// SPDX-License-Identifier: GPL-2.0
/*
 * The life of caches that have nothing pending.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "gs_bench.h"

#define GS_USED		1000
#define GS_CACHES	1000
#define GS_NAME_LEN	24

static void **objects;

/* ---- destroy_idle --------------------------------------------------------- */

static int gs_destroy_idle(enum gs_bench_side side)
{
	struct gs_bench_caches c;
	u64 begin, took;
	int ret;

	ret = gs_bench_open(&c, "gs_bench", sizeof(struct gs_bench_obj), NULL);
	if (ret)
		return ret;
	ret = gs_bench_alloc_all(&c, side, objects, GS_USED);
	if (!ret)
		gs_bench_free_all(&c, side, objects, GS_USED);

	begin = gs_bench_now();
	if (side == OURS)
		gs_cache_destroy(c.ours);
	else
		kmem_cache_destroy(c.peer);
	took = gs_bench_now() - begin;

	if (side == OURS)
		kmem_cache_destroy(c.peer);
	else
		gs_cache_destroy(c.ours);
	if (!ret)
		gs_bench_each("destroy_idle", side, took, 1);
	return ret;
}

static int gs_destroy_idle_run(unsigned int repeats)
{
	int ret;

	objects = gs_bench_objects(GS_USED);
	if (!objects)
		return -ENOMEM;
	ret = gs_bench_repeat(repeats, gs_destroy_idle);
	vfree(objects);
	return ret;
}

/* ---- create_destroy ------------------------------------------------------- */

/*
 * Of the caches that there are at once, those that are destroyed one after the
 * other: the peer waits for grace periods each time. The others go side by
 * side, unmeasured.
 */
#define GS_DESTROYED	50

static char (*names)[GS_NAME_LEN];

struct gs_doomed {
	struct work_struct work;
	enum gs_bench_side side;
	void *cache;
};

static struct gs_doomed *doomed;
static struct workqueue_struct *destroyers;

static void *gs_create(enum gs_bench_side side, const char *name)
{
	const unsigned int size = sizeof(struct gs_bench_obj);
	void *cache;

	if (side == PEER)
		return gs_bench_peer_cache(name, size);
	cache = gs_cache_create(name, size, NULL, 0);
	return IS_ERR(cache) ? NULL : cache;
}

static void gs_destroy(enum gs_bench_side side, void *cache)
{
	if (side == OURS)
		gs_cache_destroy(cache);
	else
		kmem_cache_destroy(cache);
}

static void gs_destroy_work(struct work_struct *work)
{
	struct gs_doomed *d = container_of(work, struct gs_doomed, work);

	gs_destroy(d->side, d->cache);
}

static int gs_create_destroy(enum gs_bench_side side)
{
	u64 begin, create, destroy;
	size_t i, nr;
	int ret = 0;

	begin = gs_bench_now();
	for (nr = 0; nr < GS_CACHES; nr++) {
		objects[nr] = gs_create(side, names[nr]);
		if (!objects[nr]) {
			ret = -ENOMEM;
			break;
		}
	}
	create = gs_bench_now() - begin;

	begin = gs_bench_now();
	for (i = 0; i < min(nr, GS_DESTROYED); i++)
		gs_destroy(side, objects[i]);
	destroy = gs_bench_now() - begin;
	for (; i < nr; i++) {
		doomed[i].side = side;
		doomed[i].cache = objects[i];
		INIT_WORK(&doomed[i].work, gs_destroy_work);
		queue_work(destroyers, &doomed[i].work);
	}
	flush_workqueue(destroyers);
	if (!ret)
		gs_bench_each("create_destroy", side,
			      create / GS_CACHES + destroy / GS_DESTROYED, 1);
	return ret;
}

static int gs_create_destroy_run(unsigned int repeats)
{
	int i, ret = -ENOMEM;

	names = vmalloc(array_size(GS_CACHES, GS_NAME_LEN));
	doomed = vzalloc(array_size(GS_CACHES, sizeof(*doomed)));
	destroyers = alloc_workqueue("gs_bench", WQ_UNBOUND, 500);
	objects = gs_bench_objects(GS_CACHES);
	if (names && doomed && destroyers && objects) {
		for (i = 0; i < GS_CACHES; i++)
			scnprintf(names[i], GS_NAME_LEN, "gs_bench_%d", i);
		ret = gs_bench_repeat(repeats, gs_create_destroy);
	}
	if (destroyers)
		destroy_workqueue(destroyers);
	vfree(objects);
	vfree(doomed);
	vfree(names);
	return ret;
}

const struct gs_bench_row gs_bench_life_rows[] = {
	{ "destroy_idle", gs_destroy_idle_run },
	{ "create_destroy", gs_create_destroy_run },
	{ /* sentinel */ },
};
