// SPDX-License-Identifier: GPL-2.0
/*
 * A module that goes with its frees pending: it queues them all when it is
 * unloaded, under a reader that it lets go at the last moment, then destroys its
 * caches at once or, with forget=1, just leaves.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include <graceslab.h>

#include "gs_witness.h"

#define GS_MAGIC	0x6c6976652d2d2d21ULL

static unsigned int objects = 300;
module_param(objects, uint, 0444);
MODULE_PARM_DESC(objects, "Objects in each of the two caches");

static unsigned int pointers = 100;
module_param(pointers, uint, 0444);
MODULE_PARM_DESC(pointers, "Pointers for gs_kvfree_rcu()");

static unsigned int keep;
module_param(keep, uint, 0444);
MODULE_PARM_DESC(keep, "Objects of each cache that are never freed");

static bool forget;
module_param(forget, bool, 0444);
MODULE_PARM_DESC(forget, "Leave without destroying the caches");

struct gs_object {
	u64 magic;
	u64 fill[5];
};

static struct gs_cache *with_dtor, *plain;
static struct gs_object **objs; /* of the first cache, then of the second */

static void gs_pending_dtor(void *p)
{
	struct gs_object *obj = p;

	if (WARN_ON_ONCE(obj->magic != GS_MAGIC))
		return;
	obj->magic = 0;
	gs_witness_dtor();
}

static int gs_alloc_all(void)
{
	unsigned int i;

	objs = kvcalloc(2 * objects, sizeof(*objs), GFP_KERNEL);
	if (!objs)
		return -ENOMEM;
	for (i = 0; i < 2 * objects; i++) {
		objs[i] = gs_cache_alloc(i < objects ? with_dtor : plain,
					 GFP_KERNEL);
		if (!objs[i])
			return -ENOMEM;
		objs[i]->magic = GS_MAGIC;
	}
	return 0;
}

static void gs_free_all(void)
{
	unsigned int i;

	for (i = 0; i < pointers; i++)
		gs_kvfree_rcu(kvmalloc(i % 10 ? 100 : 20000, GFP_KERNEL));
	for (i = keep; objs && i < objects; i++) {
		if (objs[i])
			gs_cache_free_rcu(with_dtor, objs[i]);
		if (objs[objects + i])
			gs_cache_free_rcu(plain, objs[objects + i]);
	}
	kvfree(objs);
}

static u64 gs_frees_pending(struct gs_cache *c)
{
	struct gs_cache_stats s;

	return gs_cache_stats(c, &s) ? 0 : s.queued - s.done;
}

static int __init gs_pending_init(void)
{
	struct gs_cache_args args = { .rcu_dtor = gs_pending_dtor };
	int ret;

	if (keep > objects)
		return -EINVAL;
	with_dtor = gs_cache_create("gs_pending", sizeof(struct gs_object),
				    &args, GS_CONSISTENCY);
	if (IS_ERR(with_dtor))
		return PTR_ERR(with_dtor);
	plain = gs_cache_create("gs_pending_plain", sizeof(struct gs_object),
				NULL, 0);
	if (IS_ERR(plain)) {
		gs_cache_destroy(with_dtor);
		return PTR_ERR(plain);
	}
	ret = gs_alloc_all();
	if (ret) {
		gs_free_all();
		gs_cache_destroy(plain);
		gs_cache_destroy(with_dtor);
	}
	return ret;
}
module_init(gs_pending_init);

static void __exit gs_pending_exit(void)
{
	u64 pending[2];
	int held = gs_witness_enter();

	gs_free_all();
	pending[0] = gs_frees_pending(with_dtor);
	pending[1] = gs_frees_pending(plain);
	if (!held)
		gs_witness_leave();
	if (!forget) {
		int ret[2];

		ret[0] = gs_cache_destroy(with_dtor);
		ret[1] = gs_cache_destroy(plain);
		pr_info("gs_pending: destroyed: %d %d\n", ret[0], ret[1]);
	}
	pr_info("gs_pending: exit: %llu and %llu pending\n", pending[0],
		pending[1]);
}
module_exit(gs_pending_exit);

MODULE_DESCRIPTION("Goes with frees pending");
MODULE_LICENSE("GPL");
