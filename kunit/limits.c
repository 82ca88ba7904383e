// SPDX-License-Identifier: GPL-2.0
/*
 * What is refused for being too much: the limits, and what is just within them.
 */
#include "gs_kunit.h"

static void gs_limits_expect(struct kunit *test, const char *name,
			     const struct gs_cache_args *args,
			     unsigned long flags, long err)
{
	struct gs_cache *c = gs_cache_create(name, 64, args, flags);

	KUNIT_EXPECT_EQ(test, IS_ERR(c) ? PTR_ERR(c) : 0, err);
	if (!IS_ERR_OR_NULL(c))
		KUNIT_EXPECT_EQ(test, gs_cache_destroy(c), 0);
}

static void gs_limits_create(struct kunit *test)
{
	struct gs_cache_args args = {};
	char name[65];

	args.align = PAGE_SIZE;
	gs_limits_expect(test, "gs_limits", &args, 0, 0);
	args.align = 2 * PAGE_SIZE;
	gs_limits_expect(test, "gs_limits", &args, 0, -EINVAL);
	args.align = 0;

	args.sheaf_capacity = 1020;
	gs_limits_expect(test, "gs_limits", &args, 0, 0);
	args.sheaf_capacity = 1021;
	gs_limits_expect(test, "gs_limits", &args, 0, -EINVAL);
	args.sheaf_capacity = UINT_MAX;
	gs_limits_expect(test, "gs_limits", &args, 0, -EINVAL);
	args.sheaf_capacity = 1;
	gs_limits_expect(test, "gs_limits", &args, 0, 0);

	memset(name, 'n', sizeof(name));
	name[63] = 0;
	gs_limits_expect(test, name, NULL, 0, 0);
	name[63] = 'n';
	name[64] = 0;
	gs_limits_expect(test, name, NULL, 0, -EINVAL);
	gs_limits_expect(test, "", NULL, 0, -EINVAL);

	gs_limits_expect(test, "gs_limits", NULL, 1UL << 31, -EINVAL);
}

static struct kunit_case gs_limits_cases[] = {
	KUNIT_CASE(gs_limits_create),
	{ /* sentinel */ },
};

static struct kunit_suite gs_limits_suite = {
	.name = "gs_limits",
	.test_cases = gs_limits_cases,
};

kunit_test_suite(gs_limits_suite);
