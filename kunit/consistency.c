// SPDX-License-Identifier: GPL-2.0
/*
 * With GS_CONSISTENCY, what only history shows to be wrong is caught when it
 * happens: one warning that names cache and object, and the object is never
 * handed out twice.
 *
 * The warnings are provoked. They are announced in the log, for whoever calls
 * every other one a failure.
 */
#include "gs_kunit.h"

#define GS_ADDRESS	"0x[0-9a-f]+"

typedef void (*gs_free_fn)(struct gs_cache *c, void *obj);

static void gs_free_bulk_one(struct gs_cache *c, void *obj)
{
	gs_cache_free_bulk(c, 1, &obj);
}

/* What frees, and what the warning about it calls that. */
struct gs_freeing {
	gs_free_fn fn;
	const char *what;
};

static const struct gs_freeing gs_by_free = {
	gs_cache_free,
	"double free of object",
};

static const struct gs_freeing gs_by_free_bulk = {
	gs_free_bulk_one,
	"double free of object",
};

static const struct gs_freeing gs_by_free_rcu = {
	gs_cache_free_rcu,
	"double free_rcu of object",
};

static const struct gs_twice_param {
	const char *name;
	const struct gs_freeing *first;
	const struct gs_freeing *second;
	bool barrier; /* between the two */
} gs_twice_params[] = {
	{ "free_then_free", &gs_by_free, &gs_by_free },
	{ "free_then_free_rcu", &gs_by_free, &gs_by_free_rcu },
	{ "free_rcu_then_free", &gs_by_free_rcu, &gs_by_free },
	{ "free_rcu_then_free_rcu", &gs_by_free_rcu, &gs_by_free_rcu },
	{ "free_rcu_then_barrier_then_free", &gs_by_free_rcu, &gs_by_free,
	  true },
	{ "free_rcu_then_barrier_then_free_rcu", &gs_by_free_rcu,
	  &gs_by_free_rcu, true },
	{ "free_bulk_then_free", &gs_by_free_bulk, &gs_by_free },
	{ "free_then_free_bulk", &gs_by_free, &gs_by_free_bulk },
};

KUNIT_ARRAY_PARAM_DESC(gs_twice, gs_twice_params, name);

/*
 * Take more objects than @c has: how often is @obj one of them? They are freed
 * again.
 */
static unsigned int gs_handed_out(struct kunit *test, struct gs_cache *c,
				  void *obj)
{
	unsigned int nr = 2 * gs_test_stats(test, c).objects + 200;
	unsigned int count = 0, i;
	void **objs = gs_test_array(test, nr, sizeof(*objs));

	for (i = 0; i < nr; i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		count += objs[i] == obj;
	}
	/* One that has two owners would be freed twice, with a warning. */
	for (i = 0; i < nr; i++)
		if (objs[i] != obj || count == 1)
			gs_cache_free(c, objs[i]);
	return count;
}

static void gs_consistency_twice(struct kunit *test)
{
	const struct gs_twice_param *param = test->param_value;
	unsigned int handed, wrong = 0, i;
	char text[80];
	struct gs_cache *c;
	struct gs_log log;
	void *objs[9], *obj;
	int err;

	gs_pin_self(test);
	c = gs_test_cache(test, "gs_consistency", 112, NULL, GS_CONSISTENCY);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		gs_fill(objs[i], 112, i);
	}
	obj = objs[4];
	param->first->fn(c, obj);
	if (param->barrier)
		gs_cache_barrier(c);

	scnprintf(text, sizeof(text), "graceslab: gs_consistency: %s ",
		  param->second->what);
	GS_EXPECT_SPLAT_BEGIN("%s" GS_ADDRESS, text);
	gs_log_mark(&log);
	param->second->fn(c, obj);
	gs_cache_barrier(c);
	GS_EXPECT_SPLAT_END();
	KUNIT_EXPECT_EQ(test, gs_log_count_obj(&log, text, obj), 1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "WARNING: "), 1);

	handed = gs_handed_out(test, c, obj);
	KUNIT_EXPECT_LE(test, handed, 1);
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		if (objs[i] == obj)
			continue;
		wrong += !gs_filled(objs[i], 112, i);
		gs_cache_free(c, objs[i]);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);

	/* If it was leaked it may be reported as such; nothing else may be. */
	gs_log_mark(&log);
	err = gs_test_destroy(test, c);
	if (handed || err != -EBUSY)
		KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, ": leaked object "),
			err == -EBUSY);
	KUNIT_EXPECT_EQ(test, gs_log_count_obj(&log, ": leaked object ", obj),
			err == -EBUSY);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "WARNING: "), 0);
}

struct gs_consistency_remote {
	struct gs_cache *c;
	void *obj;
};

static void gs_consistency_free(void *data)
{
	struct gs_consistency_remote *remote = data;

	gs_cache_free(remote->c, remote->obj);
}

/* The two frees are on two CPUs. */
static void gs_consistency_two_cpus(struct kunit *test)
{
	struct gs_consistency_remote remote;
	int cpu = gs_pin_self(test), err;
	struct gs_thread *thread;
	struct gs_log log;
	unsigned int handed;

	remote.c = gs_test_cache(test, "gs_consistency", 112, NULL,
				 GS_CONSISTENCY);
	remote.obj = gs_cache_alloc(remote.c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, remote.obj);
	thread = gs_thread_run(test, gs_other_cpu(cpu), gs_consistency_free,
			       &remote);
	gs_thread_join(test, thread);

	GS_EXPECT_SPLAT_BEGIN("graceslab: gs_consistency: double free of object "
			      GS_ADDRESS);
	gs_log_mark(&log);
	gs_cache_free(remote.c, remote.obj);
	GS_EXPECT_SPLAT_END();
	KUNIT_EXPECT_EQ(test,
			gs_log_count_obj(&log, "double free of object ",
					 remote.obj),
			1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "WARNING: "), 1);
	handed = gs_handed_out(test, remote.c, remote.obj);
	KUNIT_EXPECT_LE(test, handed, 1);
	err = gs_test_destroy(test, remote.c);
	if (handed || err != -EBUSY)
		KUNIT_EXPECT_EQ(test, err, 0);
}

static const struct gs_wrong_param {
	const char *name;
	gs_free_fn fn;
} gs_wrong_params[] = {
	{ "free", gs_cache_free },
	{ "free_bulk", gs_free_bulk_one },
	{ "free_rcu", gs_cache_free_rcu },
};

KUNIT_ARRAY_PARAM_DESC(gs_wrong, gs_wrong_params, name);

static void gs_consistency_wrong_cache(struct kunit *test)
{
	const struct gs_wrong_param *param = test->param_value;
	static const char text[] = "graceslab: gs_wrong: object ";
	struct gs_cache *owner, *wrong;
	struct gs_log log;
	void *obj, *other;
	int err;

	gs_pin_self(test);
	owner = gs_test_cache(test, "gs_owner", 112, NULL, GS_CONSISTENCY);
	wrong = gs_test_cache(test, "gs_wrong", 112, NULL, GS_CONSISTENCY);
	obj = gs_cache_alloc(owner, GFP_KERNEL);
	other = gs_cache_alloc(wrong, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	KUNIT_ASSERT_NOT_NULL(test, other);

	GS_EXPECT_SPLAT_BEGIN("%s" GS_ADDRESS " belongs to cache gs_owner",
			      text);
	gs_log_mark(&log);
	param->fn(wrong, obj);
	gs_cache_barrier(wrong);
	gs_cache_barrier(owner);
	GS_EXPECT_SPLAT_END();
	KUNIT_EXPECT_EQ(test, gs_log_count_obj(&log, text, obj), 1);
	KUNIT_EXPECT_EQ(test,
			gs_log_count(&log, " belongs to cache gs_owner\n"), 1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "WARNING: "), 1);

	/* Nobody has it: not the wrong cache, and its own neither. */
	KUNIT_EXPECT_EQ(test, gs_handed_out(test, wrong, obj), 0);
	KUNIT_EXPECT_EQ(test, gs_handed_out(test, owner, obj), 0);
	gs_cache_free(wrong, other);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, wrong).live, 0);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, wrong), 0);

	gs_log_mark(&log);
	err = gs_test_destroy(test, owner);
	if (err != -EBUSY)
		KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, gs_log_count_obj(&log, ": leaked object ", obj),
			err == -EBUSY);
}

/* What is left of a cache after a leak takes objects, but gives none. */
static void gs_consistency_destroyed(struct kunit *test)
{
	static const char text[] =
		"graceslab: gs_consistency: allocation from a destroyed cache";
	unsigned int zombies = gs_cache_zombies();
	struct gs_cache *c;
	struct gs_log log;
	void *obj;

	c = gs_test_cache(test, "gs_consistency", 112, NULL, GS_CONSISTENCY);
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	KUNIT_ASSERT_EQ(test, gs_test_destroy(test, c), -EBUSY);

	GS_EXPECT_SPLAT_BEGIN("%s", text);
	gs_log_mark(&log);
	KUNIT_EXPECT_NULL(test, gs_cache_alloc(c, GFP_KERNEL));
	GS_EXPECT_SPLAT_END();
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, text), 1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "WARNING: "), 1);

	gs_cache_free(c, obj);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

/* What is right is not warned about, however much of it there is. */
static void gs_consistency_silent(struct kunit *test)
{
	unsigned int round;
	struct gs_cache *c;
	struct gs_log log;

	c = gs_test_cache(test, "gs_consistency", 112, NULL, GS_CONSISTENCY);
	gs_log_mark(&log);
	for (round = 0; round < 30; round++) {
		struct gs_node *list = gs_test_list(test, c, 300, NULL);

		if (round & 1)
			gs_list_free(c, list);
		else
			gs_list_free_rcu(c, list);
		if (round % 10 == 9)
			gs_cache_barrier(c);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "graceslab: "), 0);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, "WARNING: "), 0);
}

static struct kunit_case gs_consistency_cases[] = {
	KUNIT_CASE_PARAM(gs_consistency_twice, gs_twice_gen_params),
	KUNIT_CASE(gs_consistency_two_cpus),
	KUNIT_CASE_PARAM(gs_consistency_wrong_cache, gs_wrong_gen_params),
	KUNIT_CASE(gs_consistency_destroyed),
	KUNIT_CASE(gs_consistency_silent),
	{ /* sentinel */ },
};

static struct kunit_suite gs_consistency_suite = {
	.name = "gs_consistency",
	.test_cases = gs_consistency_cases,
};

kunit_test_suite(gs_consistency_suite);
