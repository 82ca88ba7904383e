// SPDX-License-Identifier: GPL-2.0
/*
 * GS_RED_ZONE: whoever writes beside an object is told, once, where and what,
 * and nobody else suffers from it.
 */
#include "debug.h"

#define GS_NAME "gs_zone"

static const struct gs_zone_param {
	const char *name;
	unsigned int size;
	struct gs_cache_args args;
	unsigned long flags;
	long offset;
	const char *zone;
	gs_free_fn free;
} gs_zone_params[] = {
	/* clang-format off */
	{ "after_64", 64, {}, GS_RED_ZONE, 64,
	  "right", gs_now_free },
	{ "before_64", 64, {}, GS_RED_ZONE, -1,
	  "left", gs_now_free_rcu },
	{ "far_before_64", 64, {}, GS_RED_ZONE, -16,
	  "left", gs_now_free_bulk },
	{ "after_18", 18, {}, GS_RED_ZONE, 18,
	  "right", gs_now_free },
	{ "after_1", 1, {}, GS_RED_ZONE, 1,
	  "right", gs_now_free_rcu },
	{ "before_1", 1, {}, GS_RED_ZONE, -1,
	  "left", gs_now_free_bulk },
	{ "after_aligned", 100, { .align = 256 }, GS_RED_ZONE, 100,
	  "right", gs_now_free },
	{ "far_after_aligned", 100, { .align = 256 }, GS_RED_ZONE, 255,
	  "right", gs_now_free_rcu },
	{ "far_before_aligned", 100, { .align = 256 }, GS_RED_ZONE, -256,
	  "left", gs_now_free_bulk },
	{ "after_page", 4096, { .align = 4096 }, GS_RED_ZONE, 4096,
	  "right", gs_now_free },
	{ "before_page", 4096, { .align = 4096 }, GS_RED_ZONE, -4096,
	  "left", gs_now_free_rcu },
	{ "after_64k", 65536, {}, GS_DEBUG_ALL, 65536,
	  "right", gs_now_free_bulk },
	{ "typesafe", 64, {}, GS_RED_ZONE | GS_TYPESAFE_BY_RCU, 64,
	  "right", gs_now_free },
	{ "cache_lines", 64, {}, GS_RED_ZONE | GS_HWCACHE_ALIGN, -1,
	  "left", gs_now_free_rcu },
	{ "before_all", 64, {}, GS_DEBUG_ALL, -1,
	  "left", gs_now_free_bulk },
	{ "after_all", 64, {}, GS_DEBUG_ALL, 64,
	  "right", gs_now_free },
	/* clang-format on */
};

KUNIT_ARRAY_PARAM_DESC(gs_zone, gs_zone_params, name);

/* The last ones will do. */
static const void *gs_zone_few_gen_params(struct kunit *test, const void *prev,
					  char *desc)
{
	if (!prev)
		prev = &gs_zone_params[ARRAY_SIZE(gs_zone_params) - 4];
	return gs_zone_gen_params(test, prev, desc);
}

static struct gs_cache *gs_zone_cache(struct kunit *test)
{
	const struct gs_zone_param *param = test->param_value;

	gs_pin_self(test);
	return gs_test_cache(test, GS_NAME, param->size, &param->args,
			     param->flags);
}

static void gs_zone_begin(struct kunit *test, struct gs_fault *fault,
			  const void *obj)
{
	const struct gs_zone_param *param = test->param_value;
	char what[40], rest[100];

	scnprintf(what, sizeof(what), "%s red zone of object ", param->zone);
	scnprintf(rest, sizeof(rest),
		  " overwritten at offset %ld, 1 bytes: found 12, expected cc",
		  param->offset);
	gs_fault_begin(fault, GS_NAME, what, obj, rest);
}

/* Written while the object is in use: seen when it is freed, in any way. */
static void gs_zone_clobbered(struct kunit *test)
{
	const struct gs_zone_param *param = test->param_value;
	struct gs_cache *c = gs_zone_cache(test);
	void *obj = gs_test_obj(test, c);
	struct gs_fault fault;

	gs_fill(obj, param->size, 1);
	gs_poke(obj, param->offset, 0x12);
	gs_zone_begin(test, &fault, obj);
	param->free(c, obj);
	gs_fault_end(test, &fault);
	KUNIT_EXPECT_EQ(test, gs_peek(obj, param->offset), GS_GUARD);
	gs_expect_repaired(test, c, param->size);
}

/* Written after it was freed: seen when it is allocated again. */
static void gs_zone_freed(struct kunit *test)
{
	const struct gs_zone_param *param = test->param_value;
	struct gs_cache *c = gs_zone_cache(test);
	void *obj = gs_test_obj(test, c);
	struct gs_fault fault;

	gs_cache_free(c, obj);
	gs_poke(obj, param->offset, 0x12);
	gs_zone_begin(test, &fault, obj);
	KUNIT_EXPECT_PTR_EQ(test, gs_cache_alloc(c, GFP_KERNEL), obj);
	gs_fault_end(test, &fault);
	KUNIT_EXPECT_EQ(test, gs_peek(obj, param->offset), GS_GUARD);
	gs_cache_free(c, obj);
	gs_expect_repaired(test, c, param->size);
}

/* Or when its slab goes, if nobody allocates it. */
static void gs_zone_unused(struct kunit *test)
{
	struct gs_cache *c = gs_zone_cache(test);
	const struct gs_zone_param *param = test->param_value;
	void *obj = gs_test_obj(test, c);
	struct gs_fault fault;

	gs_cache_free(c, obj);
	gs_poke(obj, param->offset, 0x12);
	gs_zone_begin(test, &fault, obj);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	gs_fault_end(test, &fault);
}

/* What alignment adds to a short object is not the user's either. */
static void gs_zone_short(struct kunit *test)
{
	struct gs_fault fault;
	struct gs_cache *c;
	void *obj;

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, 18, NULL, GS_RED_ZONE | GS_STORE_USER);
	obj = gs_test_obj(test, c);
	gs_poke(obj, 18, 0xab);
	gs_poke(obj, 19, 0xab);
	gs_fault_begin(&fault, GS_NAME, "right red zone of object ", obj,
		       " overwritten at offset 18, 2 bytes: found ab ab, expected cc cc");
	gs_cache_free(c, obj);
	gs_fault_end(test, &fault);
	gs_expect_repaired(test, c, 18);
}

/* A long way: what is shown has an end, and the neighbour its own zone. */
static void gs_zone_run(struct kunit *test)
{
	struct gs_fault fault;
	struct gs_cache *c;
	void *obj;
	int i;

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, 104, NULL, GS_RED_ZONE);
	obj = gs_test_obj(test, c);
	for (i = 104; i < 120; i++)
		gs_poke(obj, i, i);
	gs_fault_begin(&fault, GS_NAME, "right red zone of object ", obj,
		       " overwritten at offset 104, 16 bytes: found 68 69 6a 6b 6c 6d 6e 6f 70 71 72 73 74 75 76 77, expected cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc");
	gs_cache_free(c, obj);
	gs_fault_end(test, &fault);
	gs_expect_repaired(test, c, 104);
}

static struct kunit_case gs_zone_cases[] = {
	KUNIT_CASE_PARAM(gs_zone_clobbered, gs_zone_gen_params),
	KUNIT_CASE_PARAM(gs_zone_freed, gs_zone_few_gen_params),
	KUNIT_CASE_PARAM(gs_zone_unused, gs_zone_few_gen_params),
	KUNIT_CASE(gs_zone_short),
	KUNIT_CASE(gs_zone_run),
	{ /* sentinel */ },
};

static struct kunit_suite gs_zone_suite = {
	.name = "gs_debug_zone",
	.test_cases = gs_zone_cases,
};

kunit_test_suite(gs_zone_suite);
