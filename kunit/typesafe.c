// SPDX-License-Identifier: GPL-2.0
/*
 * In a cache with GS_TYPESAFE_BY_RCU a freed object may be another one at once,
 * but while a reader that found it is inside, its memory is an object of this
 * cache: its page is nobody else's, shrink and destroy included.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>

#include "gs_kunit.h"

#define GS_TYPE_MAGIC	0x7e57a11eU

struct gs_typed {
	struct gs_typed *self;
	u32 magic; /* the constructor's, never changed */
	u32 uses;  /* changes whenever the object is used */
	u8 rest[100];
};

static void gs_typed_ctor(void *obj)
{
	struct gs_typed *typed = obj;

	typed->self = typed;
	typed->magic = GS_TYPE_MAGIC;
}

static const struct gs_cache_args gs_typed_args = { .ctor = gs_typed_ctor };

#define GS_TYPE_NR	400

struct gs_type {
	struct gs_cache *c;
	struct gs_typed **objs;
	unsigned int next;
	unsigned int wrong;
};

static bool gs_typed_ok(const struct gs_typed *typed)
{
	return READ_ONCE(typed->self) == typed &&
	       READ_ONCE(typed->magic) == GS_TYPE_MAGIC;
}

static void gs_type_poll(void *data)
{
	struct gs_type *type = data;

	if (!gs_typed_ok(type->objs[type->next++ % GS_TYPE_NR]))
		type->wrong++;
}

static struct gs_type *gs_type_start(struct kunit *test)
{
	struct gs_type *type;
	unsigned int i;

	type = kunit_kzalloc(test, sizeof(*type), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, type);
	type->c = gs_test_cache(test, "gs_typesafe", sizeof(struct gs_typed),
				&gs_typed_args,
				GS_TYPESAFE_BY_RCU | gs_param_flags(test));
	type->objs = gs_test_array(test, GS_TYPE_NR, sizeof(*type->objs));
	for (i = 0; i < GS_TYPE_NR; i++) {
		type->objs[i] = gs_cache_alloc(type->c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, type->objs[i]);
		KUNIT_ASSERT_TRUE(test, gs_typed_ok(type->objs[i]));
		type->objs[i]->uses = i;
	}
	return type;
}

/* Take many pages and spoil them: none may be one of the held objects'. */
static void gs_type_spoil(struct kunit *test, struct gs_type *type)
{
	unsigned int nr = 4096, same = 0, got, i;
	struct page **pages = gs_test_array(test, nr, sizeof(*pages));

	for (got = 0; got < nr; got++) {
		pages[got] = alloc_page(GFP_KERNEL);
		if (!pages[got])
			break;
		for (i = 0; i < GS_TYPE_NR; i += 8)
			same += pages[got] == virt_to_page(type->objs[i]);
		memset(page_address(pages[got]), 0xa5, PAGE_SIZE);
	}
	KUNIT_EXPECT_GT(test, got, nr / 2);
	KUNIT_EXPECT_EQ(test, same, 0);
	msleep(20);
	while (got--)
		__free_page(pages[got]);
}

/* Freed at once, used again, freed again, shrunk. */
static void gs_typesafe_reused(struct kunit *test)
{
	struct gs_reader *reader;
	struct gs_type *type;
	unsigned int i, round, same = 0;

	gs_need_reader(test);
	type = gs_type_start(test);
	reader = gs_reader_hold(test, gs_type_poll, type);
	for (i = 0; i < GS_TYPE_NR; i++)
		gs_cache_free(type->c, type->objs[i]);
	for (round = 0; round < 20; round++) {
		struct gs_typed *typed[16];

		for (i = 0; i < ARRAY_SIZE(typed); i++) {
			typed[i] = gs_cache_alloc(type->c, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, typed[i]);
			typed[i]->uses = ~0U;
			for (int k = 0; k < GS_TYPE_NR; k++)
				same += typed[i] == type->objs[k];
		}
		for (i = 0; i < ARRAY_SIZE(typed); i++)
			gs_cache_free(type->c, typed[i]);
	}
	/* That is what the flag allows: memory is hot again at once. */
	KUNIT_EXPECT_GT(test, same, 0);
	gs_cache_shrink(type->c);
	gs_type_spoil(test, type);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	gs_reader_release(test, reader);
	KUNIT_EXPECT_EQ(test, type->wrong, 0);
	KUNIT_EXPECT_GT(test, type->next, GS_TYPE_NR);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, type->c), 0);
}

/* Destroy does not wait for the reader, and takes nothing from it. */
static void gs_typesafe_destroyed(struct kunit *test)
{
	struct gs_reader *reader;
	struct gs_type *type;
	unsigned int i;

	gs_need_reader(test);
	type = gs_type_start(test);
	reader = gs_reader_hold(test, gs_type_poll, type);
	for (i = 0; i < GS_TYPE_NR; i++)
		gs_cache_free(type->c, type->objs[i]);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, type->c), 0);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	gs_type_spoil(test, type);
	KUNIT_EXPECT_TRUE(test, gs_reader_inside(reader));
	gs_reader_release(test, reader);
	KUNIT_EXPECT_EQ(test, type->wrong, 0);
	KUNIT_EXPECT_GT(test, type->next, GS_TYPE_NR);
}

/* The same for a reader that is the freer: one CPU can show it. */
static void gs_typesafe_self(struct kunit *test)
{
	struct gs_type *type = gs_type_start(test);
	unsigned int nr = 512, wrong = 0, same = 0, got, i;
	struct page **pages = gs_test_array(test, nr, sizeof(*pages));

	rcu_read_lock();
	for (i = 0; i < GS_TYPE_NR; i++)
		gs_cache_free(type->c, type->objs[i]);
	for (got = 0; got < nr; got++) {
		pages[got] = alloc_page(GFP_ATOMIC);
		if (!pages[got])
			break;
		for (i = 0; i < GS_TYPE_NR; i += 8)
			same += pages[got] == virt_to_page(type->objs[i]);
		memset(page_address(pages[got]), 0xa5, PAGE_SIZE);
	}
	for (i = 0; i < GS_TYPE_NR; i++)
		wrong += !gs_typed_ok(type->objs[i]);
	rcu_read_unlock();

	KUNIT_EXPECT_GT(test, got, nr / 2);
	KUNIT_EXPECT_EQ(test, same, 0);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	while (got--)
		__free_page(pages[got]);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, type->c), 0);
}

/* Deferred frees are allowed as well. */
static void gs_typesafe_free_rcu(struct kunit *test)
{
	struct gs_type *type = gs_type_start(test);
	unsigned int i;

	for (i = 0; i < GS_TYPE_NR; i++)
		gs_cache_free_rcu(type->c, type->objs[i]);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, type->c), 0);
}

static struct kunit_case gs_typesafe_cases[] = {
	KUNIT_CASE_PARAM(gs_typesafe_reused, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_typesafe_destroyed, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_typesafe_self, gs_flags_gen_params),
	KUNIT_CASE_PARAM(gs_typesafe_free_rcu, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_typesafe_suite = {
	.name = "gs_typesafe",
	.test_cases = gs_typesafe_cases,
};

kunit_test_suite(gs_typesafe_suite);
