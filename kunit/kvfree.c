// SPDX-License-Identifier: GPL-2.0
/*
 * gs_kvfree_rcu() takes a pointer of any kind, frees it the way its kind is
 * freed, not before every reader that may hold it has left, and not later than
 * gs_barrier().
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>

#include "gs_kunit.h"

#define GS_KV_HELD	12	/* objects that a reader holds */

enum gs_kv_kind {
	GS_KV_KMALLOC,
	GS_KV_VMALLOC,
	GS_KV_KVMALLOC,
	GS_KV_KMEM_CACHE,
	GS_KV_GS_CACHE,
};

static const struct gs_kv_param {
	const char *name;
	enum gs_kv_kind kind;
	size_t size;
	unsigned long flags;
} gs_kv_params[] = {
	{ "kmalloc", GS_KV_KMALLOC, 64 },
	{ "kmalloc_3000", GS_KV_KMALLOC, 3000 },
	{ "kmalloc_large", GS_KV_KMALLOC, SZ_64K },
	{ "vmalloc", GS_KV_VMALLOC, 3 * PAGE_SIZE },
	{ "kvmalloc_small", GS_KV_KVMALLOC, 500 },
	{ "kvmalloc_large", GS_KV_KVMALLOC, SZ_256K },
	{ "kmem_cache", GS_KV_KMEM_CACHE, 120 },
	{ "gs_cache", GS_KV_GS_CACHE, 120 },
	{ "gs_cache_consistency", GS_KV_GS_CACHE, 120, GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_kv, gs_kv_params, name);

/* Where pointers of one kind come from. */
struct gs_kv {
	const struct gs_kv_param *param;
	struct kmem_cache *s;
	struct gs_cache *c;
	void *obj[GS_KV_HELD];
	unsigned int polls;
	unsigned int wrong;
};

static void gs_kv_kmem_cache_gone(void *s)
{
	kmem_cache_destroy(s);
}

static struct gs_kv *gs_kv_start(struct kunit *test)
{
	const struct gs_kv_param *param = test->param_value;
	struct gs_kv *kv;

	kv = kunit_kzalloc(test, sizeof(*kv), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, kv);
	kv->param = param;
	if (param->kind == GS_KV_KMEM_CACHE) {
		kv->s = kmem_cache_create("gs_kv_peer", param->size, 0,
					  SLAB_NO_MERGE, NULL);
		KUNIT_ASSERT_NOT_NULL(test, kv->s);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test,
							  gs_kv_kmem_cache_gone,
							  kv->s));
	} else if (param->kind == GS_KV_GS_CACHE) {
		kv->c = gs_test_cache(test, "gs_kvfree", param->size, NULL,
				      param->flags);
	}
	return kv;
}

static void *gs_kv_alloc(struct gs_kv *kv)
{
	switch (kv->param->kind) {
	case GS_KV_KMALLOC:
		return kmalloc(kv->param->size, GFP_KERNEL);
	case GS_KV_VMALLOC:
		return vmalloc(kv->param->size);
	case GS_KV_KVMALLOC:
		return kvmalloc(kv->param->size, GFP_KERNEL);
	case GS_KV_KMEM_CACHE:
		return kmem_cache_alloc(kv->s, GFP_KERNEL);
	case GS_KV_GS_CACHE:
		return gs_cache_alloc(kv->c, GFP_KERNEL);
	}
	return NULL;
}

static void gs_kv_free(struct gs_kv *kv, void *obj)
{
	switch (kv->param->kind) {
	case GS_KV_KMEM_CACHE:
		kmem_cache_free(kv->s, obj);
		break;
	case GS_KV_GS_CACHE:
		gs_cache_free(kv->c, obj);
		break;
	default:
		kvfree(obj);
		break;
	}
}

/* Everything has come back: the caches have nothing out. */
static void gs_kv_end(struct kunit *test, struct gs_kv *kv)
{
	struct gs_log log;

	if (kv->s) {
		gs_log_mark(&log);
		kunit_release_action(test, gs_kv_kmem_cache_gone, kv->s);
		KUNIT_EXPECT_EQ(test, gs_log_count(&log, "gs_kv_peer"), 0);
		KUNIT_EXPECT_EQ(test, gs_log_count(&log, "WARNING"), 0);
	}
	if (kv->c) {
		KUNIT_EXPECT_EQ(test, gs_test_pending(test, kv->c), 0);
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, kv->c).live, 0);
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, kv->c), 0);
	}
}

static void gs_kv_poll(void *data)
{
	struct gs_kv *kv = data;
	int i;

	for (i = 0; i < GS_KV_HELD; i++)
		if (!gs_filled(kv->obj[i], kv->param->size, i))
			kv->wrong++;
	WRITE_ONCE(kv->polls, kv->polls + 1);
}

/* The reader has what was queued as it was, however hot memory is meanwhile. */
static void gs_kvfree_reader(struct kunit *test)
{
	struct gs_reader *reader;
	struct gs_kv *kv;
	int i, n, left;
	u64 until;

	gs_need_reader(test);
	kv = gs_kv_start(test);
	for (i = 0; i < GS_KV_HELD; i++) {
		kv->obj[i] = gs_kv_alloc(kv);
		KUNIT_ASSERT_NOT_NULL(test, kv->obj[i]);
		gs_fill(kv->obj[i], kv->param->size, i);
	}
	reader = gs_reader_hold(test, gs_kv_poll, kv);
	for (i = 0; i < GS_KV_HELD; i++)
		gs_kvfree_rcu(kv->obj[i]);
	until = ktime_get_ns() + 150 * NSEC_PER_MSEC;
	for (n = 0; n < 2 || (n < 20 && ktime_get_ns() < until); n++) {
		void *hot[GS_KV_HELD];

		for (i = 0; i < GS_KV_HELD; i++) {
			hot[i] = gs_kv_alloc(kv);
			if (hot[i])
				memset(hot[i], 0xa5, kv->param->size);
		}
		for (i = 0; i < GS_KV_HELD; i++)
			if (hot[i])
				gs_kv_free(kv, hot[i]);
		fsleep(5 * USEC_PER_MSEC);
	}
	/* It has looked while all that went on, however slow the machine is. */
	gs_wait_until(READ_ONCE(kv->polls) > 1);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	left = gs_reader_release(test, reader);
	gs_barrier();
	KUNIT_EXPECT_LT(test, left, gs_stamp());
	KUNIT_EXPECT_EQ(test, kv->wrong, 0);
	KUNIT_EXPECT_GT(test, kv->polls, 1);
	gs_kv_end(test, kv);
}

/* Is @obj gone? Asked only where it can be seen. */
static bool gs_kv_gone(struct gs_kv *kv, void *obj, struct page *page)
{
	if (is_vmalloc_addr(obj))
		return vmalloc_to_page(obj) != page;
	if (kv->param->kind == GS_KV_KMALLOC && kv->param->size > SZ_8K)
		return !PageLargeKmalloc(page);
	return true;
}

/* What was queued before gs_barrier() is really free after it. */
static void gs_kvfree_freed(struct kunit *test)
{
	unsigned int nr = 200, gone_before = 0, kept = 0, i;
	struct gs_kv *kv = gs_kv_start(test);
	struct page **pages;
	void **objs;

	gs_pin_self(test);
	objs = gs_test_array(test, nr, sizeof(*objs));
	pages = gs_test_array(test, nr, sizeof(*pages));
	for (i = 0; i < nr; i++) {
		objs[i] = gs_kv_alloc(kv);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		gs_fill(objs[i], kv->param->size, i);
		pages[i] = is_vmalloc_addr(objs[i]) ?
				   vmalloc_to_page(objs[i]) :
				   virt_to_head_page(objs[i]);
		if (is_vmalloc_addr(objs[i]) || kv->param->size == SZ_64K)
			gone_before += gs_kv_gone(kv, objs[i], pages[i]);
	}
	/* The last line would say nothing if it looked so before. */
	KUNIT_EXPECT_EQ(test, gone_before, 0);
	for (i = 0; i < nr; i++)
		gs_kvfree_rcu(objs[i]);
	if (kv->c) {
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, kv->c).queued, nr);
		KUNIT_EXPECT_EQ(test, gs_test_stats(test, kv->c).live, 0);
	}
	gs_barrier();
	for (i = 0; i < nr; i++)
		kept += !gs_kv_gone(kv, objs[i], pages[i]);
	KUNIT_EXPECT_EQ(test, kept, 0);
	gs_kv_end(test, kv);
}

static void gs_kvfree_null(struct kunit *test)
{
	int i;

	for (i = 0; i < 1000; i++)
		gs_kvfree_rcu(NULL);
	gs_barrier();
	gs_kvfree_rcu(ZERO_SIZE_PTR);
	gs_barrier();
}

/* All kinds in turns, more than any batch takes. */
static void gs_kvfree_all_kinds(struct kunit *test)
{
	struct gs_kv kv[ARRAY_SIZE(gs_kv_params)] = {};
	struct kmem_cache *s;
	struct gs_log log;
	struct gs_cache *c;
	unsigned int i, k;

	c = gs_test_cache(test, "gs_kvfree", 120, NULL, 0);
	s = kmem_cache_create("gs_kv_peer", 120, 0, SLAB_NO_MERGE, NULL);
	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_kv_kmem_cache_gone,
						  s));
	for (k = 0; k < ARRAY_SIZE(kv); k++) {
		kv[k].param = &gs_kv_params[k];
		kv[k].s = s;
		kv[k].c = c;
	}
	for (i = 0; i < 600; i++) {
		for (k = 0; k < ARRAY_SIZE(kv); k++) {
			void *obj = gs_kv_alloc(&kv[k]);

			KUNIT_ASSERT_NOT_NULL(test, obj);
			gs_fill(obj, min(kv[k].param->size, 64UL), i);
			gs_kvfree_rcu(obj);
		}
	}
	gs_barrier();
	gs_log_mark(&log);
	kunit_release_action(test, gs_kv_kmem_cache_gone, s);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "gs_kv_peer"), 0);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "WARNING"), 0);
	/* Two of the kinds are of this cache. */
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).queued, 1200);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).done, 1200);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* Much in the course of time: it does come back. */
static void gs_kvfree_memory(struct kunit *test)
{
	unsigned long nr = 2048, size = SZ_8K, rounds = 16, round, i;
	unsigned long before, allowed;
	void *list, *next;

	gs_barrier();
	before = gs_free_pages();
	for (round = 0; round < rounds; round++) {
		list = NULL;
		for (i = 0; i < nr; i++) {
			next = kmalloc(size, GFP_KERNEL);
			if (!next)
				break;
			*(void **)next = list;
			list = next;
		}
		KUNIT_EXPECT_EQ(test, i, nr);
		for (; list; list = next) {
			next = *(void **)list;
			gs_kvfree_rcu(list);
		}
		gs_barrier();
	}
	/* Not even of half the rounds is left. */
	allowed = rounds * nr * size / PAGE_SIZE / 2;
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(gs_free_pages() + allowed > before));
}

static atomic_t gs_kv_dtors;

static void gs_kv_dtor(void *obj)
{
	atomic_inc(&gs_kv_dtors);
}

/* An object of a cache of ours is that cache's: no barrier but destroy. */
static void gs_kvfree_own(struct kunit *test)
{
	static const struct gs_cache_args args = { .rcu_dtor = gs_kv_dtor };
	struct gs_cache *c;
	int i;

	gs_pin_self(test);
	atomic_set(&gs_kv_dtors, 0);
	c = gs_test_cache(test, "gs_kvfree", 120, &args, gs_param_flags(test));
	for (i = 0; i < 500; i++) {
		void *obj = gs_cache_alloc(c, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, obj);
		gs_kvfree_rcu(obj);
		KUNIT_ASSERT_EQ(test, gs_test_stats(test, c).queued, i + 1);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&gs_kv_dtors), 500);
}

/* What came from no allocator is told about, and left where it is. */
static void gs_kvfree_stray(struct kunit *test)
{
	void *fixed = &init_uts_ns; /* the kernel's own data */
	char local[64] = "stack";
	struct gs_log log;

	gs_log_mark(&log);
	GS_EXPECT_SPLAT_BEGIN("graceslab: 0x[0-9a-f]+ is no allocator's: not freed");
	gs_kvfree_rcu(local);
	gs_kvfree_rcu(fixed);
	KUNIT_EXPECT_EQ(test, -EINVAL, gs_try_kvfree_rcu(local, GFP_KERNEL));
	gs_kvfree_rcu_defer(fixed);
	GS_EXPECT_SPLAT_END();
	KUNIT_EXPECT_EQ(test, 2, gs_log_count_obj(&log, "graceslab: ", local));
	KUNIT_EXPECT_EQ(test, 2, gs_log_count_obj(&log, "graceslab: ", fixed));
	gs_barrier();
	KUNIT_EXPECT_STREQ(test, local, "stack");
}

/* A call where nobody may sleep is told about, and its pointer is leaked. */
static void gs_kvfree_atomic(struct kunit *test)
{
	struct gs_log log;
	void *p;

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		kunit_skip(test,
			   "without CONFIG_PREEMPT_COUNT it cannot be told");
	gs_pin_self(test);
	/* Leaked whether or not there is room on the page. */
	gs_kvfree_rcu(kmalloc(64, GFP_KERNEL));
	p = kmalloc(64, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, p);
	gs_fill(p, 64, 7);
	gs_log_mark(&log);
	GS_EXPECT_SPLAT_BEGIN("graceslab: gs_kvfree_rcu.0x[0-9a-f]+. where nobody may sleep: leaked|BUG: sleeping function called from invalid context");
	preempt_disable();
	gs_kvfree_rcu(p);
	preempt_enable();
	GS_EXPECT_SPLAT_END();
	KUNIT_EXPECT_EQ(test, 1, gs_log_count_obj(&log, "gs_kvfree_rcu(", p));
	gs_barrier();
	KUNIT_EXPECT_TRUE(test, gs_filled(p, 64, 7));
	kfree(p);
}

static struct kunit_case gs_kvfree_cases[] = {
	KUNIT_CASE_PARAM(gs_kvfree_reader, gs_kv_gen_params),
	KUNIT_CASE_PARAM(gs_kvfree_freed, gs_kv_gen_params),
	KUNIT_CASE(gs_kvfree_null),
	KUNIT_CASE(gs_kvfree_all_kinds),
	KUNIT_CASE(gs_kvfree_memory),
	KUNIT_CASE_PARAM(gs_kvfree_own, gs_flags_gen_params),
	KUNIT_CASE(gs_kvfree_stray),
	KUNIT_CASE(gs_kvfree_atomic),
	{ /* sentinel */ },
};

static struct kunit_suite gs_kvfree_suite = {
	.name = "gs_kvfree",
	.test_cases = gs_kvfree_cases,
};

kunit_test_suite(gs_kvfree_suite);
