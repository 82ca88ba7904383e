// SPDX-License-Identifier: GPL-2.0
/*
 * Memory is zeroed where the kernel was told to (init_on_alloc, init_on_free),
 * and left alone where it was not. Both are asserted, so that it takes a kernel
 * booted with either to see all of this.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "debug.h"

#define GS_NAME	"gs_init"
#define GS_SIZE	200

static bool gs_zeroed(const void *obj)
{
	unsigned int i;

	for (i = 0; i < GS_SIZE; i++)
		if (gs_peek(obj, i))
			return false;
	return true;
}

static void gs_init_say(struct kunit *test)
{
	kunit_info(test, "init_on_alloc %d, init_on_free %d\n",
		   want_init_on_alloc(0), want_init_on_free());
}

static void gs_init_zeroed(struct kunit *test)
{
	static const gs_free_fn ways[] = {
		gs_now_free,
		gs_now_free_rcu,
		gs_now_free_bulk,
	};
	bool on_alloc = want_init_on_alloc(0), on_free = want_init_on_free();
	struct gs_cache *c;
	bool theirs;
	void *obj;
	int i;

	gs_init_say(test);
	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, GS_SIZE, NULL, 0);
	obj = gs_test_obj(test, c);
	if (on_alloc)
		KUNIT_EXPECT_TRUE(test, gs_zeroed(obj));
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		gs_fill(obj, GS_SIZE, i);
		ways[i](c, obj);
		KUNIT_EXPECT_EQ(test, gs_zeroed(obj), on_free);
		gs_take_back(test, c, obj);
		KUNIT_EXPECT_EQ(test, gs_zeroed(obj), on_alloc || on_free);
		KUNIT_EXPECT_EQ(test, gs_filled(obj, GS_SIZE, i),
				!on_alloc && !on_free);
	}

	/* Readers have it as it was. */
	gs_fill(obj, GS_SIZE, 9);
	rcu_read_lock();
	gs_cache_free_rcu(c, obj);
	theirs = gs_filled(obj, GS_SIZE, 9);
	rcu_read_unlock();
	KUNIT_EXPECT_TRUE(test, theirs);
	gs_cache_barrier(c);
	KUNIT_EXPECT_EQ(test, gs_zeroed(obj), on_free);
}

/* Several at once. */
static void gs_init_bulk(struct kunit *test)
{
	unsigned int zeroed = 0, i;
	struct gs_cache *c;
	void *objs[50];

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, GS_SIZE, NULL, 0);
	KUNIT_ASSERT_EQ(test,
			gs_cache_alloc_bulk(c, GFP_KERNEL, ARRAY_SIZE(objs),
					    objs),
			ARRAY_SIZE(objs));
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		gs_fill(objs[i], GS_SIZE, i);
	gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
	KUNIT_ASSERT_EQ(test,
			gs_cache_alloc_bulk(c, GFP_KERNEL, ARRAY_SIZE(objs),
					    objs),
			ARRAY_SIZE(objs));
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		zeroed += gs_zeroed(objs[i]);
	if (want_init_on_alloc(0) || want_init_on_free())
		KUNIT_EXPECT_EQ(test, zeroed, ARRAY_SIZE(objs));
	else
		KUNIT_EXPECT_LT(test, zeroed, ARRAY_SIZE(objs));
	gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
}

/* From a sheaf that was filled beforehand. */
static void gs_init_sheaf(struct kunit *test)
{
	unsigned int zeroed = 0, i;
	struct gs_sheaf *sheaf;
	struct gs_cache *c;
	void *objs[20];

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, GS_SIZE, NULL, 0);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		objs[i] = gs_test_obj(test, c);
		gs_fill(objs[i], GS_SIZE, i);
	}
	gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
	sheaf = gs_sheaf_prefill(c, GFP_KERNEL, ARRAY_SIZE(objs));
	KUNIT_ASSERT_NOT_NULL(test, sheaf);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		objs[i] = gs_sheaf_alloc(c, sheaf);
		zeroed += objs[i] && gs_zeroed(objs[i]);
	}
	if (want_init_on_alloc(0) || want_init_on_free())
		KUNIT_EXPECT_EQ(test, zeroed, ARRAY_SIZE(objs));
	else
		KUNIT_EXPECT_LT(test, zeroed, ARRAY_SIZE(objs));
	gs_sheaf_return(c, GFP_KERNEL, sheaf);
	gs_cache_free_bulk(c, ARRAY_SIZE(objs), objs);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static void gs_init_ctor(void *obj)
{
	gs_fill(obj, GS_SIZE, 77);
}

static const struct gs_init_param {
	const char *name;
	struct gs_cache_args args;
	unsigned long flags;
} gs_init_params[] = {
	{ "ctor", { .ctor = gs_init_ctor }, 0 },
	{ "typesafe", {}, GS_TYPESAFE_BY_RCU },
	{ "ctor_debug",
	  { .ctor = gs_init_ctor },
	  GS_RED_ZONE | GS_CONSISTENCY | GS_STORE_USER },
};

KUNIT_ARRAY_PARAM_DESC(gs_init, gs_init_params, name);

/* What somebody may still look at is not zeroed, whatever the kernel was told. */
static void gs_init_kept(struct kunit *test)
{
	const struct gs_init_param *param = test->param_value;
	struct gs_cache *c;
	void *obj;

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, GS_SIZE, &param->args, param->flags);
	obj = gs_test_obj(test, c);
	if (param->args.ctor)
		KUNIT_EXPECT_TRUE(test, gs_filled(obj, GS_SIZE, 77));
	gs_fill(obj, GS_SIZE, 5);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_TRUE(test, gs_left_filled(obj, GS_SIZE, 5));
	KUNIT_EXPECT_PTR_EQ(test, gs_test_obj(test, c), obj);
	KUNIT_EXPECT_TRUE(test, gs_filled(obj, GS_SIZE, 5));
	gs_cache_free_rcu(c, obj);
	gs_cache_barrier(c);
	KUNIT_EXPECT_TRUE(test, gs_left_filled(obj, GS_SIZE, 5));
}

/* Zeroed memory is no poison: where both are asked for, it is poisoned. */
static void gs_init_poison(struct kunit *test)
{
	struct gs_cache *c;
	struct gs_log log;
	void *obj;

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, GS_SIZE, NULL, GS_DEBUG_ALL);
	gs_log_mark(&log);
	obj = gs_test_obj(test, c);
	KUNIT_EXPECT_EQ(test, gs_peek(obj, 0), GS_POISONED);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_EQ(test, gs_peek(obj, 0), GS_POISONED);
	gs_expect_repaired(test, c, GS_SIZE);
	gs_expect_silence(test, &log);
}

static struct kunit_case gs_init_cases[] = {
	KUNIT_CASE(gs_init_zeroed),
	KUNIT_CASE(gs_init_bulk),
	KUNIT_CASE(gs_init_sheaf),
	KUNIT_CASE_PARAM(gs_init_kept, gs_init_gen_params),
	KUNIT_CASE(gs_init_poison),
	{ /* sentinel */ },
};

static struct kunit_suite gs_init_suite = {
	.name = "gs_debug_init",
	.test_cases = gs_init_cases,
};

kunit_test_suite(gs_init_suite);
