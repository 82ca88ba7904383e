// SPDX-License-Identifier: GPL-2.0
/*
 * GS_MERGE: several names for one cache. Each owner creates and destroys as if
 * it were alone; the last one to go is told of what is left.
 */
#include <linux/err.h>
#include <linux/string.h>

#include "gs_kunit.h"

static struct gs_cache *gs_merge_create(struct kunit *test, const char *name,
					unsigned int size, unsigned int align)
{
	struct gs_cache_args args = { .align = align };
	struct gs_cache *c = gs_cache_create(name, size, &args, GS_MERGE);

	KUNIT_ASSERT_FALSE_MSG(test, IS_ERR(c), "%s: %pe", name, c);
	return c;
}

static void gs_merge_expect(struct kunit *test, long err, const char *name)
{
	struct gs_cache *c = gs_cache_create(name, 100, NULL, GS_MERGE);

	KUNIT_EXPECT_PTR_EQ(test, c, ERR_PTR(err));
	if (!IS_ERR(c))
		gs_cache_destroy(c);
}

/* Whoever goes first, the others go on. */
static void gs_merge_owners(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache *a, *b, *c;
	void *obj;

	a = gs_merge_create(test, "gs_merge_a", 100, 0);
	b = gs_merge_create(test, "gs_merge_b", 97, 0);
	c = gs_merge_create(test, "gs_merge_c", 104, 8);
	KUNIT_EXPECT_PTR_EQ(test, a, b);
	KUNIT_EXPECT_PTR_EQ(test, a, c);
	gs_merge_expect(test, -EEXIST, "gs_merge_a");
	gs_merge_expect(test, -EEXIST, "gs_merge_b");
	KUNIT_EXPECT_PTR_EQ(test, gs_cache_create("gs_merge_c", 100, NULL, 0),
			    ERR_PTR(-EEXIST));

	obj = gs_cache_alloc(a, GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	/* The largest of the owners' objects is zeroed. */
	KUNIT_EXPECT_NULL(test, memchr_inv(obj, 0, 104));
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(a), 0);
	gs_cache_free_rcu(b, obj);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(b), 0);
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_EXPECT_NOT_NULL(test, obj);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(c), -EBUSY);
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies + 1);
	gs_cache_free(c, obj);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

/* A name is free again when its owner, or all of them, have gone. */
static void gs_merge_names(struct kunit *test)
{
	struct gs_cache *a, *b, *again;

	a = gs_merge_create(test, "gs_merge_a", 100, 0);
	b = gs_merge_create(test, "gs_merge_b", 100, 0);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(b), 0);
	again = gs_merge_create(test, "gs_merge_b", 100, 0);
	KUNIT_EXPECT_PTR_EQ(test, a, again);
	gs_merge_expect(test, -EEXIST, "gs_merge_b");
	/* The first owner goes, and comes back. */
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(a), 0);
	a = gs_merge_create(test, "gs_merge_a", 100, 0);
	KUNIT_EXPECT_PTR_EQ(test, a, again);
	gs_merge_expect(test, -EEXIST, "gs_merge_a");
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(a), 0);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(again), 0);
	a = gs_merge_create(test, "gs_merge_b", 100, 0);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(a), 0);
}

/* What does not lie alike, or did not ask for it, is a cache of its own. */
static void gs_merge_apart(struct kunit *test)
{
	static const struct gs_cache_args wide = { .align = 256 };
	struct gs_cache *a, *others[4];
	int i, k;

	a = gs_merge_create(test, "gs_merge_a", 100, 0);
	others[0] = gs_cache_create("gs_merge_plain", 100, NULL, 0);
	others[1] = gs_cache_create("gs_merge_larger", 200, NULL, GS_MERGE);
	others[2] = gs_cache_create("gs_merge_wide", 100, &wide, GS_MERGE);
	others[3] = gs_cache_create("gs_merge_account", 100, NULL,
				    GS_MERGE | GS_ACCOUNT);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		KUNIT_ASSERT_FALSE(test, IS_ERR(others[i]));
		KUNIT_EXPECT_PTR_NE(test, others[i], a);
		for (k = 0; k < i; k++)
			KUNIT_EXPECT_PTR_NE(test, others[i], others[k]);
	}
	for (i = 0; i < ARRAY_SIZE(others); i++)
		KUNIT_EXPECT_EQ(test, gs_cache_destroy(others[i]), 0);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(a), 0);
}

static void gs_merge_hook(void *obj)
{
}

/* What forbids it is an error. */
static void gs_merge_refused(struct kunit *test)
{
	static const struct gs_cache_args ctor = { .ctor = gs_merge_hook };
	static const struct gs_cache_args dtor = { .rcu_dtor = gs_merge_hook };
	static const unsigned long flags[] = {
		GS_TYPESAFE_BY_RCU, GS_RED_ZONE,   GS_POISON,
		GS_CONSISTENCY,     GS_STORE_USER,
	};
	int i;

	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EINVAL),
			    gs_cache_create("gs_merge", 100, &ctor, GS_MERGE));
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EINVAL),
			    gs_cache_create("gs_merge", 100, &dtor, GS_MERGE));
	for (i = 0; i < ARRAY_SIZE(flags); i++)
		KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EINVAL),
				    gs_cache_create("gs_merge", 100, NULL,
						    GS_MERGE | flags[i]));
}

/* Owners that come and go on several CPUs; in the end nothing is left. */
#define GS_MERGE_ROUNDS	100

struct gs_merge_owner {
	char name[24];
	unsigned int wrong;
};

static void gs_merge_owner(void *data)
{
	struct gs_merge_owner *owner = data;
	int i;

	for (i = 0; i < GS_MERGE_ROUNDS; i++) {
		struct gs_cache *c = gs_cache_create(owner->name, 72, NULL,
						     GS_MERGE);
		void *obj;

		if (IS_ERR(c)) {
			owner->wrong++;
			continue;
		}
		obj = gs_cache_alloc(c, GFP_KERNEL);
		if (!obj)
			owner->wrong++;
		else if (i & 1)
			gs_cache_free_rcu(c, obj);
		else
			gs_cache_free(c, obj);
		if (gs_cache_destroy(c))
			owner->wrong++;
	}
}

static void gs_merge_race(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies(), i;
	struct gs_thread *threads[3];
	struct gs_merge_owner *owners;
	int cpu = gs_pin_self(test);

	owners = kunit_kcalloc(test, ARRAY_SIZE(threads), sizeof(*owners),
			       GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, owners);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		snprintf(owners[i].name, sizeof(owners[i].name), "gs_merge_%u",
			 i);
		threads[i] = gs_thread_run(test, cpu, gs_merge_owner,
					   &owners[i]);
		cpu = gs_other_cpu(cpu);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		gs_thread_join(test, threads[i]);
		KUNIT_EXPECT_EQ(test, owners[i].wrong, 0);
	}
	KUNIT_EXPECT_EQ(test, gs_cache_zombies(), zombies);
}

static struct kunit_case gs_merge_cases[] = {
	KUNIT_CASE(gs_merge_owners),
	KUNIT_CASE(gs_merge_names),
	KUNIT_CASE(gs_merge_apart),
	KUNIT_CASE(gs_merge_refused),
	KUNIT_CASE(gs_merge_race),
	{ /* sentinel */ },
};

static struct kunit_suite gs_merge_suite = {
	.name = "gs_merge",
	.test_cases = gs_merge_cases,
};

kunit_test_suite(gs_merge_suite);
