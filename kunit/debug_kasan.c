// SPDX-License-Identifier: GPL-2.0
/*
 * Where the kernel has KASAN, it sees who uses memory of our objects that is
 * not his: the cases of the kernel's own test for kmem_cache.
 *
 * KASAN reports once after boot unless it was given kasan_multi_shot: without
 * that there is nothing to be seen here.
 */
#include <linux/kasan.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "debug.h"

#define GS_NAME "gs_kasan"

static u8 gs_kasan_sink;

static void gs_kasan_read(const void *obj, long offset)
{
	const u8 *p = obj;

	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(gs_kasan_sink, READ_ONCE(p[offset]));
}

/*
 * The one report that @what, a statement, has to cause. KASAN has a test that
 * it meets fail: it does not meet this one.
 */
#define GS_EXPECT_KASAN(test, kind, what)				\
do {									\
	struct kunit *__test = current->kunit_test;			\
	struct gs_log __log;						\
									\
	GS_EXPECT_SPLAT_BEGIN("BUG: KASAN: " kind " in ");		\
	gs_log_mark(&__log);						\
	current->kunit_test = NULL;					\
	what;								\
	current->kunit_test = __test;					\
	GS_EXPECT_SPLAT_END();						\
	msleep(20);							\
	KUNIT_EXPECT_EQ(test, gs_log_count(&__log, "BUG: KASAN: " kind	\
					   " in "), 1);			\
	KUNIT_EXPECT_EQ(test, gs_log_count(&__log, "BUG: "), 1);	\
} while (0)

static const struct gs_kasan_param {
	const char *name;
	unsigned int size;
	unsigned long flags;
} gs_kasan_params[] = {
	{ "64", 64, 0 },
	{ "13", 13, 0 },
	{ "1", 1, 0 },
	{ "4096", 4096, 0 },
	{ "64_consistency", 64, GS_CONSISTENCY },
	{ "100_debug", 100, GS_DEBUG_ALL },
};

KUNIT_ARRAY_PARAM_DESC(gs_kasan, gs_kasan_params, name);

/* The second of two, so that the memory before it is ours as well. */
static void *gs_kasan_obj(struct kunit *test, struct gs_cache **c)
{
	const struct gs_kasan_param *param = test->param_value;

	gs_pin_self(test);
	*c = gs_test_cache(test, GS_NAME, param->size, NULL, param->flags);
	gs_cache_free(*c, gs_test_obj(test, *c));
	gs_test_obj(test, *c);
	return gs_test_obj(test, *c);
}

static void gs_kasan_bounds(struct kunit *test)
{
	const struct gs_kasan_param *param = test->param_value;
	struct gs_cache *c;
	struct gs_log log;
	void *obj = gs_kasan_obj(test, &c);

	gs_log_mark(&log);
	gs_fill(obj, param->size, 1);
	KUNIT_EXPECT_TRUE(test, gs_filled(obj, param->size, 1));
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "BUG: "), 0);
	GS_EXPECT_KASAN(test, "slab-out-of-bounds",
			gs_kasan_read(obj, param->size));
	GS_EXPECT_KASAN(test, "slab-out-of-bounds", gs_kasan_read(obj, -1));
}

static void gs_kasan_freed(struct kunit *test)
{
	const struct gs_kasan_param *param = test->param_value;
	struct gs_cache *c;
	void *obj = gs_kasan_obj(test, &c);
	struct gs_log log;

	gs_cache_free(c, obj);
	GS_EXPECT_KASAN(test, "slab-use-after-free", gs_kasan_read(obj, 0));
	GS_EXPECT_KASAN(test, "slab-use-after-free",
			gs_kasan_read(obj, param->size - 1));
	/* To who gets it next it is as good as new. */
	gs_take_back(test, c, obj);
	gs_log_mark(&log);
	gs_fill(obj, param->size, 1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "BUG: "), 0);
}

/* Readers may look until they are done, and not after that. */
static void gs_kasan_readers(struct kunit *test)
{
	struct gs_cache *c;
	void *obj = gs_kasan_obj(test, &c);
	struct gs_log log;

	gs_log_mark(&log);
	rcu_read_lock();
	gs_cache_free_rcu(c, obj);
	gs_kasan_read(obj, 0);
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "BUG: "), 0);
	gs_cache_barrier(c);
	GS_EXPECT_KASAN(test, "slab-use-after-free", gs_kasan_read(obj, 0));
}

static void gs_kasan_bulk(struct kunit *test)
{
	const struct gs_kasan_param *param = test->param_value;
	struct gs_cache *c;
	void *objs[20], *obj;
	int nr = ARRAY_SIZE(objs);

	gs_kasan_obj(test, &c);
	KUNIT_ASSERT_EQ(test, gs_cache_alloc_bulk(c, GFP_KERNEL, nr, objs), nr);
	obj = objs[7];
	GS_EXPECT_KASAN(test, "slab-out-of-bounds",
			gs_kasan_read(obj, param->size));
	gs_cache_free_bulk(c, nr, objs);
	GS_EXPECT_KASAN(test, "slab-use-after-free", gs_kasan_read(obj, 0));
}

/* It knows of frees as well, without a state byte. */
static void gs_kasan_twice(struct kunit *test)
{
	struct gs_fault fault;
	struct gs_cache *c;
	void *obj = gs_kasan_obj(test, &c);

	gs_cache_free(c, obj);
	gs_fault_begin(&fault, GS_NAME, "double free of object ", obj, "");
	gs_cache_free(c, obj);
	gs_fault_end(test, &fault);
	gs_fault_begin(&fault, GS_NAME, "double free_rcu of object ", obj, "");
	gs_cache_free_rcu(c, obj);
	gs_fault_end(test, &fault);
}

/* What is type-safe may be looked at for as long as it takes. */
static void gs_kasan_typesafe(struct kunit *test)
{
	struct gs_cache *c;
	struct gs_log log;
	void *obj;

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, 64, NULL, GS_TYPESAFE_BY_RCU);
	obj = gs_test_obj(test, c);
	gs_log_mark(&log);
	rcu_read_lock();
	gs_cache_free(c, obj);
	gs_kasan_read(obj, 0);
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "BUG: "), 0);
	GS_EXPECT_KASAN(test, "slab-out-of-bounds", gs_kasan_read(obj, 64));
}

static struct kunit_case gs_kasan_cases[] = {
	KUNIT_CASE_PARAM(gs_kasan_bounds, gs_kasan_gen_params),
	KUNIT_CASE_PARAM(gs_kasan_freed, gs_kasan_gen_params),
	KUNIT_CASE_PARAM(gs_kasan_readers, gs_kasan_gen_params),
	KUNIT_CASE_PARAM(gs_kasan_bulk, gs_kasan_gen_params),
	KUNIT_CASE_PARAM(gs_kasan_twice, gs_kasan_gen_params),
	KUNIT_CASE(gs_kasan_typesafe),
	{ /* sentinel */ },
};

static struct kunit_suite gs_kasan_suite = {
	.name = "gs_debug_kasan",
	.test_cases = gs_kasan_cases,
};

kunit_test_suite(gs_kasan_suite);
