// SPDX-License-Identifier: GPL-2.0
/*
 * GS_POISON: what is written to an object after it was freed is seen, and what
 * is in it until its readers are done is theirs.
 */
#include <linux/rcupdate.h>

#include "debug.h"

#define GS_NAME "gs_poison"

static const struct gs_poison_param {
	const char *name;
	unsigned int size;
	long offset;
	u8 expected;
	unsigned long flags;
	gs_free_fn free;
} gs_poison_params[] = {
	{ "first_byte", 64, 0, GS_POISONED, GS_POISON, gs_now_free },
	{ "50th_byte", 64, 50, GS_POISONED, GS_POISON, gs_now_free_rcu },
	{ "last_byte", 64, 63, GS_POISON_END, GS_POISON, gs_now_free_bulk },
	{ "only_byte", 1, 0, GS_POISON_END, GS_POISON, gs_now_free },
	{ "large", 20000, 12345, GS_POISONED, GS_POISON, gs_now_free_rcu },
	{ "last_of_short_all", 19, 18, GS_POISON_END, GS_DEBUG_ALL,
	  gs_now_free_rcu },
};

KUNIT_ARRAY_PARAM_DESC(gs_poison, gs_poison_params, name);

static struct gs_cache *gs_poison_cache(struct kunit *test)
{
	const struct gs_poison_param *param = test->param_value;

	gs_pin_self(test);
	return gs_test_cache(test, GS_NAME, param->size, NULL, param->flags);
}

static void gs_poison_begin(struct kunit *test, struct gs_fault *fault,
			    const void *obj)
{
	const struct gs_poison_param *param = test->param_value;
	char rest[100];

	scnprintf(rest, sizeof(rest),
		  " overwritten at offset %ld, 1 bytes: found 9a, expected %02x",
		  param->offset, param->expected);
	gs_fault_begin(fault, GS_NAME, "poison of object ", obj, rest);
}

static bool gs_poisoned(const void *obj, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < size - 1; i++)
		if (gs_peek(obj, i) != GS_POISONED)
			return false;
	return gs_peek(obj, size - 1) == GS_POISON_END;
}

/* Whichever way it was freed, it is poisoned; a write to it is seen. */
static void gs_poison_written(struct kunit *test)
{
	const struct gs_poison_param *param = test->param_value;
	struct gs_cache *c = gs_poison_cache(test);
	void *obj = gs_test_obj(test, c), *again = NULL;
	struct gs_fault fault;
	unsigned int nr, n;
	void **others;

	/* Not even a new one has anything else in it. */
	KUNIT_EXPECT_TRUE(test, gs_poisoned(obj, param->size));
	gs_fill(obj, param->size, 1);
	param->free(c, obj);
	KUNIT_EXPECT_TRUE(test, gs_poisoned(obj, param->size));
	gs_poke(obj, param->offset, 0x9a);

	/* All that there are: the one that is damaged is one of them. */
	nr = gs_test_stats(test, c).objects;
	others = gs_test_array(test, nr, sizeof(*others));
	gs_poison_begin(test, &fault, obj);
	for (n = 0; n < nr && again != obj; n++) {
		again = gs_test_obj(test, c);
		others[n] = again;
	}
	gs_fault_end(test, &fault);
	KUNIT_EXPECT_PTR_EQ(test, again, obj);
	KUNIT_EXPECT_TRUE(test, gs_poisoned(obj, param->size));
	gs_cache_free_bulk(c, n, others);
	gs_expect_repaired(test, c, param->size);
}

/* Nobody allocates it again: seen when its slab goes. */
static void gs_poison_unused(struct kunit *test)
{
	const struct gs_poison_param *param = test->param_value;
	struct gs_cache *c = gs_poison_cache(test);
	void *obj = gs_test_obj(test, c);
	struct gs_fault fault;

	gs_cache_free(c, obj);
	gs_poke(obj, param->offset, 0x9a);
	gs_poison_begin(test, &fault, obj);
	KUNIT_EXPECT_EQ(test, gs_cache_shrink(c) != 0, 1);
	gs_fault_end(test, &fault);
	gs_expect_repaired(test, c, param->size);
}

/* Readers have the object as it was until they are done. */
static void gs_poison_after_readers(struct kunit *test)
{
	struct gs_cache *c;
	struct gs_log log;
	bool theirs, after;
	void *obj;

	gs_pin_self(test);
	c = gs_test_cache(test, GS_NAME, 96, NULL, GS_DEBUG_ALL);
	gs_log_mark(&log);
	obj = gs_test_obj(test, c);
	gs_fill(obj, 96, 7);
	rcu_read_lock();
	gs_cache_free_rcu(c, obj);
	theirs = gs_filled(obj, 96, 7);
	rcu_read_unlock();
	KUNIT_EXPECT_TRUE(test, theirs);
	gs_cache_barrier(c);
	after = gs_poisoned(obj, 96);
	KUNIT_EXPECT_TRUE(test, after);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	gs_expect_silence(test, &log);
}

/* And so has the destructor, on the way by the bits as well. */
static unsigned int gs_poison_good, gs_poison_bad;

static void gs_poison_dtor(void *obj)
{
	if (gs_filled(obj, 96, 9))
		gs_poison_good++;
	else
		gs_poison_bad++;
}

static void gs_poison_after_dtor(struct kunit *test)
{
	static const struct gs_cache_args args = { .rcu_dtor = gs_poison_dtor };
	unsigned int poisoned = 0, i;
	struct gs_cache *c;
	struct gs_log log;
	void *objs[100];

	gs_poison_good = 0;
	gs_poison_bad = 0;
	c = gs_test_cache(test, GS_NAME, 96, &args, GS_DEBUG_ALL);
	gs_log_mark(&log);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		objs[i] = gs_test_obj(test, c);
		gs_fill(objs[i], 96, 9);
	}
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		if (i == 50)
			gs_inject(GS_INJECT_SHEAF, 1000);
		gs_cache_free_rcu(c, objs[i]);
	}
	gs_inject(GS_INJECT_SHEAF, 0);
	gs_cache_barrier(c);
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		poisoned += gs_poisoned(objs[i], 96);
	KUNIT_EXPECT_EQ(test, gs_poison_good, ARRAY_SIZE(objs));
	KUNIT_EXPECT_EQ(test, gs_poison_bad, 0);
	KUNIT_EXPECT_EQ(test, poisoned, ARRAY_SIZE(objs));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	gs_expect_silence(test, &log);
}

static void gs_poison_ctor(void *obj)
{
}

/* Memory that is not the allocator's to write cannot be poisoned. */
static void gs_poison_refused(struct kunit *test)
{
	static const struct gs_cache_args args = { .ctor = gs_poison_ctor };
	struct gs_cache *c;

	c = gs_cache_create(GS_NAME, 64, &args, GS_POISON);
	KUNIT_EXPECT_EQ(test, PTR_ERR(c), -EINVAL);
	c = gs_cache_create(GS_NAME, 64, NULL, GS_POISON | GS_TYPESAFE_BY_RCU);
	KUNIT_EXPECT_EQ(test, PTR_ERR(c), -EINVAL);
	c = gs_cache_create(GS_NAME, 64, &args, GS_RED_ZONE | GS_STORE_USER);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c);
	KUNIT_EXPECT_EQ(test, gs_cache_destroy(c), 0);
}

static struct kunit_case gs_poison_cases[] = {
	KUNIT_CASE_PARAM(gs_poison_written, gs_poison_gen_params),
	KUNIT_CASE_PARAM(gs_poison_unused, gs_poison_gen_params),
	KUNIT_CASE(gs_poison_after_readers),
	KUNIT_CASE(gs_poison_after_dtor),
	KUNIT_CASE(gs_poison_refused),
	{ /* sentinel */ },
};

static struct kunit_suite gs_poison_suite = {
	.name = "gs_debug_poison",
	.test_cases = gs_poison_cases,
};

kunit_test_suite(gs_poison_suite);
