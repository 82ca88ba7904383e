// SPDX-License-Identifier: GPL-2.0
/*
 * Objects are as large as asked, aligned as asked and apart from each other,
 * whatever their size and alignment; arguments that make no sense are refused.
 */
#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/sizes.h>
#include <linux/sort.h>

#include "gs_kunit.h"

#define GS_SIZE_MAX_NR	160
#define GS_SIZE_BYTES	SZ_128K		/* of objects at a time */

static const unsigned int gs_sizes[] = {
	1,    2,    3,    4,    5,    7,    8,    9,    12,   15,   16,   17,
	24,   31,   32,   33,   40,   48,   63,   64,   65,   72,   96,   100,
	127,  128,  129,  136,  192,  200,  255,  256,  257,  320,  511,  512,
	513,  640,  1000, 1023, 1024, 1025, 1536, 2000, 2047, 2048, 2049, 3000,
	4000, 4095, 4096, 4097, 5000, 6144, 8000, 8191, 8192,
};

static const unsigned int gs_large_sizes[] = {
	8193, 10000, 12288, 16384, 20000, 32767, 32768, 49152, 65535, 65536,
};

static const struct gs_size_param {
	const char *name;
	unsigned int align;
	unsigned long flags;
} gs_size_params[] = {
	{ "natural", 0, 0 },
	{ "natural_consistency", 0, GS_CONSISTENCY },
	{ "align_1", 1, 0 },
	{ "align_2", 2, GS_CONSISTENCY },
	{ "align_8", 8, 0 },
	{ "align_16", 16, GS_CONSISTENCY },
	{ "align_32", 32, 0 },
	{ "align_64", 64, GS_CONSISTENCY },
	{ "align_128", 128, 0 },
	{ "align_256", 256, GS_CONSISTENCY },
	{ "align_512", 512, 0 },
	{ "align_1024", 1024, GS_CONSISTENCY },
	{ "align_4096", 4096, 0 },
	{ "cache_lines", 0, GS_HWCACHE_ALIGN },
	{ "cache_lines_consistency", 0, GS_HWCACHE_ALIGN | GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_size, gs_size_params, name);

/* What an object of @size must at least be aligned to. */
static unsigned int gs_size_align(const struct gs_size_param *param,
				  unsigned int size)
{
	unsigned int line = cache_line_size();

	if (param->align)
		return param->align;
	if ((param->flags & GS_HWCACHE_ALIGN) && size >= line)
		return line;
	/* As the compiler would align a type of this size. */
	return min(1U << __ffs(size), (unsigned int)__alignof__(u64));
}

static int gs_size_cmp(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a;
	unsigned long y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

static struct gs_cache *gs_size_check(struct kunit *test, unsigned int size,
				      unsigned long *sorted)
{
	const struct gs_size_param *param = test->param_value;
	struct gs_cache_args args = { .align = param->align };
	unsigned int align = gs_size_align(param, size);
	unsigned int nr = clamp(GS_SIZE_BYTES / size, 4U, GS_SIZE_MAX_NR);
	unsigned int i, wrong = 0, misaligned = 0, overlaps = 0;
	void **objs = gs_test_array(test, nr, sizeof(*objs));
	struct gs_cache *c;
	char name[24];

	scnprintf(name, sizeof(name), "gs_size_%u", size);
	c = gs_test_cache(test, name, size, &args, param->flags);
	KUNIT_EXPECT_GE(test, gs_test_stats(test, c).object_size, size);
	for (i = 0; i < nr; i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		misaligned += !IS_ALIGNED((unsigned long)objs[i], align);
		gs_fill(objs[i], size, i);
		sorted[i] = (unsigned long)objs[i];
	}
	sort(sorted, nr, sizeof(*sorted), gs_size_cmp, NULL);
	for (i = 1; i < nr; i++)
		overlaps += sorted[i] - sorted[i - 1] < size;
	for (i = 0; i < nr; i++)
		wrong += !gs_filled(objs[i], size, i);

	/* Both ways back, and once more with what came back. */
	for (i = 0; i < nr; i++) {
		if (i & 1)
			gs_cache_free(c, objs[i]);
		else
			gs_cache_free_rcu(c, objs[i]);
	}
	for (i = 0; i < nr; i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		misaligned += !IS_ALIGNED((unsigned long)objs[i], align);
		gs_fill(objs[i], size, ~i);
	}
	for (i = 0; i < nr; i++) {
		wrong += !gs_filled(objs[i], size, ~i);
		gs_cache_free(c, objs[i]);
	}

	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "size %u", size);
	KUNIT_EXPECT_EQ_MSG(test, overlaps, 0, "size %u", size);
	KUNIT_EXPECT_EQ_MSG(test, misaligned, 0, "size %u", size);
	return c;
}

static void gs_size_check_all(struct kunit *test, const unsigned int *sizes,
			      unsigned int nr)
{
	unsigned long *sorted = gs_test_array(test, GS_SIZE_MAX_NR,
					      sizeof(*sorted));
	struct gs_cache **c = gs_test_array(test, nr, sizeof(*c));
	unsigned int i;

	/* All of them side by side, and one grace period for them all. */
	for (i = 0; i < nr; i++)
		c[i] = gs_size_check(test, sizes[i], sorted);
	gs_barrier();
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c[i]), 0);
}

static void gs_size_small(struct kunit *test)
{
	gs_size_check_all(test, gs_sizes, ARRAY_SIZE(gs_sizes));
}

static void gs_size_large(struct kunit *test)
{
	struct gs_cache *c;

	c = gs_cache_create("gs_size", SZ_64K, NULL, 0);
	if (c == ERR_PTR(-EINVAL))
		kunit_skip(test, "objects over 8 KiB are not supported");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c);
	KUNIT_ASSERT_EQ(test, gs_cache_destroy(c), 0);
	gs_size_check_all(test, gs_large_sizes, ARRAY_SIZE(gs_large_sizes));
}

static void gs_size_nop(void *obj)
{
}

static void gs_size_refused(struct kunit *test)
{
	static const struct gs_size_refused {
		unsigned int size;
		struct gs_cache_args args;
		unsigned long flags;
	} refused[] = {
		{ .size = 0 },
		{ .size = UINT_MAX },
		{ .size = SZ_1G },
		{ .size = 64, .args.align = 3 },
		{ .size = 64, .args.align = 48 },
		{ .size = 64, .args.align = UINT_MAX },
		{ .size = 64,
		  .args.rcu_dtor = gs_size_nop,
		  .flags = GS_TYPESAFE_BY_RCU },
	};
	struct gs_cache *c;
	int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		c = gs_cache_create("gs_size", refused[i].size,
				    &refused[i].args,
				    refused[i].flags | gs_param_flags(test));
		KUNIT_EXPECT_EQ_MSG(test, PTR_ERR(c), -EINVAL, "case %d", i);
		if (!IS_ERR_OR_NULL(c))
			gs_cache_destroy(c);
	}
	c = gs_cache_create(NULL, 64, NULL, gs_param_flags(test));
	KUNIT_EXPECT_EQ(test, PTR_ERR(c), -EINVAL);
}

static void gs_size_name_taken(struct kunit *test)
{
	struct gs_cache *c, *other;

	c = gs_test_cache(test, "gs_size", 64, NULL, gs_param_flags(test));
	other = gs_cache_create("gs_size", 64, NULL, gs_param_flags(test));
	KUNIT_EXPECT_EQ(test, PTR_ERR(other), -EEXIST);
	other = gs_cache_create("gs_size", 128, NULL, 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR(other), -EEXIST);
	other = gs_test_cache(test, "gs_size2", 64, NULL, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, other), 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	c = gs_test_cache(test, "gs_size", 64, NULL, gs_param_flags(test));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* The name is the cache's own, not its creator's. */
static void gs_size_name_copied(struct kunit *test)
{
	char name[] = "gs_size";
	struct gs_cache *c, *other;

	c = gs_test_cache(test, name, 64, NULL, gs_param_flags(test));
	memset(name, 'x', sizeof(name) - 1);
	other = gs_cache_create("gs_size", 64, NULL, gs_param_flags(test));
	KUNIT_EXPECT_EQ(test, PTR_ERR(other), -EEXIST);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

static void gs_size_no_cache(struct kunit *test)
{
	struct gs_cache_stats stats;
	void *obj;

	KUNIT_EXPECT_NULL(test, gs_cache_alloc(NULL, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, gs_cache_alloc_bulk(NULL, GFP_KERNEL, 1, &obj), 0);
	KUNIT_EXPECT_EQ(test, gs_cache_stats(NULL, &stats), -EINVAL);
	KUNIT_EXPECT_EQ(test, gs_cache_shrink(NULL), 0);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(NULL), -EINVAL);
}

static struct kunit_case gs_size_cases[] = {
	KUNIT_CASE_PARAM(gs_size_small, gs_size_gen_params),
	KUNIT_CASE_PARAM(gs_size_large, gs_size_gen_params),
	KUNIT_CASE_PARAM(gs_size_refused, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_size_name_taken, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_size_name_copied, gs_flags_gen_params),
	KUNIT_CASE(gs_size_no_cache),
	{ /* sentinel */ },
};

static struct kunit_suite gs_size_suite = {
	.name = "gs_size",
	.test_cases = gs_size_cases,
};

kunit_test_suite(gs_size_suite);
