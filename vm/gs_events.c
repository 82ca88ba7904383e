// SPDX-License-Identifier: GPL-2.0
/*
 * Does a counted number of things when its parameter "run" is written, for
 * scripts that look at what the module says about them: "cycle", "leak",
 * "fallback", "hold NR", which leaves NR pointers in an open batch, "twice" or
 * "linked" and two ways to give a pointer, and "again"; "keep", which makes a
 * cache, "use", which uses it, and "drop"; "many NR", which makes as many caches,
 * and "few".
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include <graceslab.h>

#define GS_ALLOCS	7
#define GS_FREES	2
#define GS_SIZE		64

static struct gs_cache *gs_events_cache(const char *name)
{
	return gs_cache_create(name, GS_SIZE, NULL, 0);
}

/* 7 allocations, 2 frees, 5 deferred ones, a pointer of others, a barrier. */
static int gs_events_cycle(void)
{
	struct gs_cache *c = gs_events_cache("gs_events");
	void *objs[GS_ALLOCS];
	int i;

	if (IS_ERR(c))
		return PTR_ERR(c);
	for (i = 0; i < GS_ALLOCS; i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL | __GFP_NOFAIL);
		pr_info("gs_events: object %px\n", objs[i]);
	}
	for (i = 0; i < GS_ALLOCS; i++) {
		if (i < GS_FREES)
			gs_cache_free(c, objs[i]);
		else
			gs_cache_free_rcu(c, objs[i]);
	}
	objs[0] = kmalloc(GS_SIZE, GFP_KERNEL);
	pr_info("gs_events: pointer %px\n", objs[0]);
	gs_kvfree_rcu(objs[0]);
	gs_cache_barrier(c);
	gs_barrier();
	return gs_cache_destroy(c);
}

/* A cache is destroyed with an object in use, which is freed later. */
static int gs_events_leak(void)
{
	struct gs_cache *c = gs_events_cache("gs_events_leak");
	void *obj;

	if (IS_ERR(c))
		return PTR_ERR(c);
	obj = gs_cache_alloc(c, GFP_KERNEL | __GFP_NOFAIL);
	pr_info("gs_events: leaked %px\n", obj);
	if (gs_cache_destroy(c) != -EBUSY)
		return -EINVAL;
	gs_cache_free(c, obj);
	return 0;
}

/* Without a page, a wrapper of the reserve serves. */
static int gs_events_fallback(void)
{
	gs_barrier();
	gs_inject(GS_INJECT_CACHED_PAGE, INT_MAX);
	gs_inject(GS_INJECT_PAGE, INT_MAX);
	gs_kvfree_rcu(kmalloc(GS_SIZE, GFP_KERNEL));
	gs_inject(GS_INJECT_CACHED_PAGE, 0);
	gs_inject(GS_INJECT_PAGE, 0);
	gs_barrier();
	return 0;
}

/* How a pointer is given. */
struct gs_events_way {
	const char *name;
	void (*give)(void *p);
};

struct gs_events_headed {
	u64 data;
	struct gs_rcu_head head;
};

static void gs_events_headless(void *p)
{
	gs_kvfree_rcu(p);
}

static void gs_events_try(void *p)
{
	if (gs_try_kvfree_rcu(p, GFP_KERNEL))
		pr_err("gs_events: refused\n");
}

static void gs_events_head(void *p)
{
	struct gs_events_headed *obj = p;

	gs_kvfree_rcu_head(obj, head);
}

static void gs_events_nolock(void *p)
{
	struct gs_events_headed *obj = p;

	gs_kfree_rcu_nolock(obj, head);
}

static const struct gs_events_way gs_events_ways[] = {
	{ "headless", gs_events_headless },
	{ "try", gs_events_try },
	{ "head", gs_events_head },
	{ "nolock", gs_events_nolock },
};

static const struct gs_events_way *gs_events_way(const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gs_events_ways); i++)
		if (!strcmp(gs_events_ways[i].name, name))
			return &gs_events_ways[i];
	return NULL;
}

/* With @on nobody gets memory for pointers. */
static void gs_events_starve(bool on)
{
	gs_inject(GS_INJECT_CACHED_PAGE, on ? INT_MAX : 0);
	gs_inject(GS_INJECT_PAGE, on ? INT_MAX : 0);
	gs_inject(GS_INJECT_RESERVE, on ? INT_MAX : 0);
	gs_inject(GS_INJECT_WRAPPER, on ? INT_MAX : 0);
}

/*
 * A pointer is given one way and, while it waits, another way. With @linked its
 * own head links it; the caller sees to it that an open batch stays open.
 */
static int gs_events_twice(const struct gs_events_way *first,
			   const struct gs_events_way *second, bool linked)
{
	void *p;

	if (!first || !second)
		return -EINVAL;
	p = kmalloc(GS_SIZE, GFP_KERNEL | __GFP_NOFAIL);
	pr_info("gs_events: twice %px\n", p);
	gs_barrier();
	if (linked) {
		gs_events_starve(true);
		rcu_read_lock();
	}
	first->give(p);
	second->give(p);
	if (linked) {
		rcu_read_unlock();
		gs_events_starve(false);
	}
	gs_barrier();
	return 0;
}

/* The same addresses again and again, each time rightly. */
static int gs_events_again(void)
{
	int round, i;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < 1000; i++) {
			struct gs_events_headed *obj;

			obj = kmalloc(GS_SIZE, GFP_KERNEL | __GFP_NOFAIL);
			gs_events_ways[i % ARRAY_SIZE(gs_events_ways)].give(obj);
			gs_kvfree_rcu(i % 100 ? NULL : vmalloc(GS_SIZE));
		}
		gs_barrier();
	}
	return 0;
}

/* A cache that is there for longer than it takes to look at it. */
static struct gs_cache *gs_events_kept;

/* One object is allocated, another one freed and a third one deferred. */
static int gs_events_use(void)
{
	struct gs_cache *c = gs_events_kept;
	void *obj;

	if (!c)
		return -ENOENT;
	obj = gs_cache_alloc(c, GFP_KERNEL | __GFP_NOFAIL);
	pr_info("gs_events: freed %px\n", obj);
	gs_cache_free(c, obj);
	obj = gs_cache_alloc(c, GFP_KERNEL | __GFP_NOFAIL);
	pr_info("gs_events: deferred %px\n", obj);
	gs_cache_free_rcu(c, obj);
	return 0;
}

/* Its sheaves have objects, and room. */
static int gs_events_keep(void)
{
	struct gs_cache *c = gs_events_cache("gs_events_kept");
	int i;

	if (IS_ERR(c))
		return PTR_ERR(c);
	gs_events_kept = c;
	for (i = 0; i < GS_ALLOCS; i++)
		gs_events_use();
	return 0;
}

static int gs_events_drop(void)
{
	int ret = gs_events_kept ? gs_cache_destroy(gs_events_kept) : -ENOENT;

	gs_events_kept = NULL;
	return ret;
}

static struct gs_cache **gs_events_many;
static unsigned int gs_events_nr;

static int gs_events_few(void)
{
	int ret = 0;

	while (gs_events_nr) {
		int err = gs_cache_destroy(gs_events_many[--gs_events_nr]);

		ret = ret ?: err;
		cond_resched();
	}
	vfree(gs_events_many);
	gs_events_many = NULL;
	return ret;
}

/* As many caches, one in a hundred of them with an object that is ready. */
static int gs_events_make(unsigned int nr)
{
	if (gs_events_many)
		return -EBUSY;
	gs_events_many = vcalloc(nr, sizeof(*gs_events_many));
	if (!gs_events_many)
		return -ENOMEM;
	while (gs_events_nr < nr) {
		struct gs_cache *c;
		char name[24];

		snprintf(name, sizeof(name), "gs_one_%u", gs_events_nr);
		c = gs_events_cache(name);
		if (IS_ERR(c)) {
			gs_events_few();
			return PTR_ERR(c);
		}
		if (gs_events_nr % 100 == 0) {
			void *obj = gs_cache_alloc(c, GFP_KERNEL | __GFP_NOFAIL);

			gs_cache_free(c, obj);
		}
		gs_events_many[gs_events_nr++] = c;
		cond_resched();
	}
	return 0;
}

static int gs_events_hold(unsigned int nr)
{
	migrate_disable();
	while (nr--)
		gs_kvfree_rcu(kmalloc(GS_SIZE, GFP_KERNEL));
	migrate_enable();
	return 0;
}

static int gs_events_set(const char *val, const struct kernel_param *kp)
{
	char first[16], second[16];
	unsigned int nr;

	if (sysfs_streq(val, "cycle"))
		return gs_events_cycle();
	if (sysfs_streq(val, "leak"))
		return gs_events_leak();
	if (sysfs_streq(val, "fallback"))
		return gs_events_fallback();
	if (sysfs_streq(val, "again"))
		return gs_events_again();
	if (sysfs_streq(val, "keep"))
		return gs_events_keep();
	if (sysfs_streq(val, "use"))
		return gs_events_use();
	if (sysfs_streq(val, "drop"))
		return gs_events_drop();
	if (sysfs_streq(val, "few"))
		return gs_events_few();
	if (sscanf(val, "many %u", &nr) == 1)
		return gs_events_make(nr);
	if (sscanf(val, "twice %15s %15s", first, second) == 2)
		return gs_events_twice(gs_events_way(first),
				       gs_events_way(second), false);
	if (sscanf(val, "linked %15s %15s", first, second) == 2)
		return gs_events_twice(gs_events_way(first),
				       gs_events_way(second), true);
	if (sscanf(val, "hold %u", &nr) == 1)
		return gs_events_hold(nr);
	return -EINVAL;
}

static const struct kernel_param_ops gs_events_ops = { .set = gs_events_set };

module_param_cb(run, &gs_events_ops, NULL, 0200);
MODULE_PARM_DESC(run, "cycle, leak, fallback, again, hold NR, twice WAY WAY, linked WAY WAY, keep, use, drop, many NR, few");

static int __init gs_events_init(void)
{
	return 0;
}
module_init(gs_events_init);

static void __exit gs_events_exit(void)
{
	gs_events_drop();
	gs_events_few();
}
module_exit(gs_events_exit);

MODULE_DESCRIPTION("Does what is looked at");
MODULE_LICENSE("GPL");
