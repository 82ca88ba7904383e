// SPDX-License-Identifier: GPL-2.0
/*
 * Something for a debugger to look at: caches that stay as they are until the
 * module is unloaded, with objects in use, with frees that wait for a destructor
 * that does not return, and with an object that was left behind.
 */
#include <linux/completion.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/wait.h>

#include <graceslab.h>

#define GS_SIZE		72
#define GS_WAITING	7
#define GS_LIVE		3

static struct gs_cache *cache, *left_cache;
static void *live[GS_LIVE], *left;

static DECLARE_COMPLETION(entered);
static DECLARE_WAIT_QUEUE_HEAD(waiters);
static bool over;

static void gs_scene_dtor(void *p)
{
	complete(&entered);
	wait_event_idle(waiters, READ_ONCE(over));
}

/* An object in use when its cache is destroyed. */
static int gs_scene_leave(void)
{
	left_cache = gs_cache_create("gs_scene_left", GS_SIZE, NULL, 0);
	if (IS_ERR(left_cache))
		return PTR_ERR(left_cache);
	left = gs_cache_alloc(left_cache, GFP_KERNEL | __GFP_NOFAIL);
	return gs_cache_destroy(left_cache) == -EBUSY ? 0 : -EINVAL;
}

/* Not __init, which has no name any more when the module is there. */
static noinline void gs_scene_give(void **waiting)
{
	int i;

	/* On one CPU, so that its queue has them in this order. */
	migrate_disable();
	for (i = 0; i < GS_WAITING; i++) {
		pr_info("gs_scene: waits 0x%px\n", waiting[i]);
		gs_cache_free_rcu(cache, waiting[i]);
	}
	migrate_enable();
}

static int __init gs_scene_init(void)
{
	struct gs_cache_args args = {
		.rcu_dtor = gs_scene_dtor,
		.sheaf_capacity = 4,
	};
	void *waiting[1 + GS_WAITING];
	int i, ret;

	cache = gs_cache_create("gs_scene", GS_SIZE, &args, GS_STORE_USER);
	if (IS_ERR(cache))
		return PTR_ERR(cache);
	for (i = 0; i < GS_LIVE; i++)
		live[i] = gs_cache_alloc(cache, GFP_KERNEL | __GFP_NOFAIL);
	for (i = 0; i < ARRAY_SIZE(waiting); i++)
		waiting[i] = gs_cache_alloc(cache, GFP_KERNEL | __GFP_NOFAIL);
	/* The first one keeps the worker; the others wait on. */
	gs_cache_free_rcu(cache, waiting[0]);
	wait_for_completion(&entered);
	gs_scene_give(waiting + 1);
	ret = gs_scene_leave();
	if (ret)
		pr_err("gs_scene: nothing was left: %d\n", ret);
	return 0;
}
module_init(gs_scene_init);

static void __exit gs_scene_exit(void)
{
	int i;

	WRITE_ONCE(over, true);
	wake_up_all(&waiters);
	for (i = 0; i < GS_LIVE; i++)
		gs_cache_free(cache, live[i]);
	if (left)
		gs_cache_free(left_cache, left);
	pr_info("gs_scene: destroyed: %d\n", gs_cache_destroy(cache));
}
module_exit(gs_scene_exit);

MODULE_DESCRIPTION("Stays as it is");
MODULE_LICENSE("GPL");
