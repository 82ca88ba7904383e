// SPDX-License-Identifier: GPL-2.0
/*
 * GS_STORE_USER: a report about an object says who allocated it and who freed
 * it, a report of a leak who allocated it and how long ago.
 */
#include <linux/sched.h>
#include <linux/stacktrace.h>

#include "debug.h"

#define GS_NAME "gs_user"

static noinline void *gs_user_alloc(struct kunit *test, struct gs_cache *c)
{
	void *obj = gs_test_obj(test, c);

	gs_fill(obj, 64, 5);
	return obj;
}

static noinline void gs_user_free(struct gs_cache *c, void *obj)
{
	gs_cache_free(c, obj);
	barrier();
}

static noinline void gs_user_free_rcu(struct gs_cache *c, void *obj)
{
	gs_cache_free_rcu(c, obj);
	barrier();
}

static struct gs_cache *gs_user_cache(struct kunit *test, unsigned long flags)
{
	gs_pin_self(test);
	return gs_test_cache(test, GS_NAME, 64, NULL, GS_STORE_USER | flags);
}

/* Whether the kernel can tell how we got here. */
static bool gs_has_stacks(void)
{
#ifdef CONFIG_STACKDEPOT
	unsigned long entries[4];

	return stack_trace_save(entries, ARRAY_SIZE(entries), 0) > 1;
#else
	return false;
#endif
}

/*
 * What this thread, on the CPU it is bound to, did to @obj; @stacks objects
 * have the function @by in theirs.
 */
static void gs_expect_track(struct kunit *test, const struct gs_log *log,
			    const void *obj, const char *what, const char *by,
			    unsigned int stacks)
{
	char needle[160];

	scnprintf(needle, sizeof(needle),
		  "graceslab: " GS_NAME
		  ": object 0x%0*lx %s by %s (%d) on CPU %u, ",
		  (int)(2 * sizeof(obj)), (unsigned long)obj, what,
		  current->comm, current->pid, raw_smp_processor_id());
	KUNIT_EXPECT_EQ_MSG(test, gs_log_count(log, needle), 1, "'%s'", needle);
	if (gs_has_stacks())
		KUNIT_EXPECT_EQ_MSG(test, gs_log_count(log, by), stacks, "'%s'",
				    by);
}

#define GS_BY_ALLOC	"graceslab:   gs_user_alloc+0x"
#define GS_BY_FREE	"graceslab:   gs_user_free+0x"
#define GS_BY_FREE_RCU	"graceslab:   gs_user_free_rcu+0x"

static void gs_user_leak(struct kunit *test)
{
	unsigned int zombies = gs_cache_zombies();
	unsigned long before, after, age;
	struct gs_cache *c;
	struct gs_log log;
	void *objs[3];
	char line[256], *at;
	int i;

	c = gs_user_cache(test, 0);
	before = jiffies;
	for (i = 0; i < ARRAY_SIZE(objs); i++)
		objs[i] = gs_user_alloc(test, c);
	gs_user_free(c, objs[1]);
	msleep(70);
	gs_log_mark(&log);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), -EBUSY);
	after = jiffies;
	for (i = 0; i < ARRAY_SIZE(objs); i++) {
		char needle[80];
		unsigned int s, ms;
		int parsed;

		KUNIT_EXPECT_EQ(test,
				gs_log_count_obj(&log, "leaked object ",
						 objs[i]),
				i != 1);
		if (i == 1)
			continue;
		scnprintf(needle, sizeof(needle),
			  "object 0x%0*lx allocated by ",
			  (int)(2 * sizeof(objs[i])), (unsigned long)objs[i]);
		KUNIT_ASSERT_TRUE(test, gs_log_line(&log, needle, line,
						    sizeof(line)));
		at = strstr(line, " CPU ");
		KUNIT_ASSERT_NOT_NULL(test, at);
		parsed = sscanf(at, " CPU %*u, %u.%u s ago", &s, &ms);
		KUNIT_ASSERT_EQ(test, parsed, 2);
		age = 1000 * s + ms;
		KUNIT_EXPECT_GE(test, age, 60);
		KUNIT_EXPECT_LE(test, age, jiffies_to_msecs(after - before));
	}
	gs_expect_track(test, &log, objs[0], "allocated", GS_BY_ALLOC, 2);
	gs_expect_track(test, &log, objs[2], "allocated", GS_BY_ALLOC, 2);
	KUNIT_EXPECT_EQ(test, gs_log_count(&log, " freed by "), 0);
	gs_cache_free(c, objs[0]);
	gs_cache_free(c, objs[2]);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

/* Both tracks, whatever is reported. */
static const struct gs_user_param {
	const char *name;
	unsigned long flags;
	void (*first)(struct gs_cache *c, void *obj);
	void (*second)(struct gs_cache *c, void *obj);
	const char *what;
	const char *freed;
	const char *by;
} gs_user_params[] = {
	{ "free_then_free", GS_CONSISTENCY, gs_user_free, gs_cache_free,
	  "double free of object ", "freed", GS_BY_FREE },
	{ "free_then_free_rcu", GS_CONSISTENCY, gs_user_free, gs_cache_free_rcu,
	  "double free_rcu of object ", "freed", GS_BY_FREE },
	{ "free_rcu_then_free", GS_CONSISTENCY, gs_user_free_rcu, gs_cache_free,
	  "double free of object ", "freed after a grace period",
	  GS_BY_FREE_RCU },
	{ "free_rcu_then_free_rcu", GS_DEBUG_ALL, gs_user_free_rcu,
	  gs_cache_free_rcu, "double free_rcu of object ",
	  "freed after a grace period", GS_BY_FREE_RCU },
};

KUNIT_ARRAY_PARAM_DESC(gs_user, gs_user_params, name);

static void gs_user_twice(struct kunit *test)
{
	const struct gs_user_param *param = test->param_value;
	struct gs_cache *c = gs_user_cache(test, param->flags);
	void *obj = gs_user_alloc(test, c);
	struct gs_fault fault;

	param->first(c, obj);
	gs_fault_begin(&fault, GS_NAME, param->what, obj, "");
	param->second(c, obj);
	gs_fault_end(test, &fault);
	gs_expect_track(test, &fault.log, obj, "allocated", GS_BY_ALLOC, 1);
	gs_expect_track(test, &fault.log, obj, param->freed, param->by, 1);
	gs_cache_barrier(c);
	gs_expect_repaired(test, c, 64);
}

/* Of an object that was never freed there is one; and it is its own cache's. */
static void gs_user_wrong_cache(struct kunit *test)
{
	struct gs_cache *c = gs_user_cache(test, 0);
	void *obj = gs_user_alloc(test, c);
	struct gs_fault fault;
	struct gs_cache *wrong;

	wrong = gs_test_cache(test, "gs_wrong", 64, NULL, GS_CONSISTENCY);
	gs_fault_begin(&fault, "gs_wrong", "object ", obj,
		       " belongs to cache gs_user");
	gs_cache_free(wrong, obj);
	gs_fault_end(test, &fault);
	gs_expect_track(test, &fault.log, obj, "allocated", GS_BY_ALLOC, 1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&fault.log, " freed by "), 0);
	gs_cache_free(c, obj);
	gs_expect_repaired(test, wrong, 64);
	gs_expect_repaired(test, c, 64);
}

/* A pointer into the middle of an object is that object's. */
static void gs_user_inside(struct kunit *test)
{
	static const long offsets[] = { -16, 1, 100 };
	struct gs_cache *c = gs_user_cache(test, GS_DEBUG_ALL);
	void *obj;
	int i;

	/* One with neighbours on both sides. */
	gs_user_alloc(test, c);
	obj = gs_user_alloc(test, c);
	gs_user_alloc(test, c);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct gs_fault fault;

		gs_fault_begin(&fault, GS_NAME, "", obj + offsets[i],
			       " is not an object of this cache");
		gs_cache_free(c, obj + offsets[i]);
		GS_EXPECT_SPLAT_END();
		KUNIT_EXPECT_EQ(test, gs_log_count(&fault.log, fault.line), 1);
		KUNIT_EXPECT_EQ(test, gs_log_count(&fault.log, "WARNING: "), 1);
		gs_expect_track(test, &fault.log, obj, "allocated", GS_BY_ALLOC,
				1);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), -EBUSY);
}

/* What a stray write left of a track is not believed. */
static void gs_user_overwritten(struct kunit *test)
{
	struct gs_cache *c = gs_user_cache(test, GS_RED_ZONE);
	void *obj = gs_user_alloc(test, c);
	struct gs_fault fault;

	/* The first byte of the zone, and the first of the track behind it. */
	gs_poke(obj, 64, 0x64);
	gs_poke(obj, 80, ~gs_peek(obj, 80));
	gs_fault_begin(&fault, GS_NAME, "right red zone of object ", obj,
		       " overwritten at offset 64, 1 bytes: found 64, expected cc");
	gs_cache_free(c, obj);
	gs_fault_end(test, &fault);
	KUNIT_EXPECT_EQ(test,
			gs_log_count_obj(&fault.log, "a track of object ", obj),
			1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&fault.log, " allocated by "), 0);
	gs_expect_repaired(test, c, 64);
}

static struct kunit_case gs_user_cases[] = {
	KUNIT_CASE(gs_user_leak),
	KUNIT_CASE_PARAM(gs_user_twice, gs_user_gen_params),
	KUNIT_CASE(gs_user_wrong_cache),
	KUNIT_CASE(gs_user_inside),
	KUNIT_CASE(gs_user_overwritten),
	{ /* sentinel */ },
};

static struct kunit_suite gs_user_suite = {
	.name = "gs_debug_user",
	.test_cases = gs_user_cases,
};

kunit_test_suite(gs_user_suite);
