// SPDX-License-Identifier: GPL-2.0
/*
 * What a stray write does to a slab's own records is seen under GS_CONSISTENCY:
 * the state byte of an object, or its bit among the free ones.
 *
 * Where these are is found out, not known: they are what changes in the slab's
 * descriptor when an object is freed.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "debug.h"

#define GS_NAME	"gs_state"
#define GS_SIZE	72

/* A byte of a descriptor, and what changes in it. */
struct gs_record {
	u8 *byte;
	u8 change;
};

struct gs_state {
	struct gs_cache *c;
	void *obj;
	void *others[3];
	struct gs_record state; /* of the object */
	struct gs_record bit;   /* likewise */
};

static u8 *gs_descriptor(const void *obj)
{
	return (u8 *)page_private(virt_to_head_page(obj));
}

static void gs_copy(u8 *to, const u8 *from, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		to[i] = gs_peek(from, i);
}

/*
 * The one byte of a descriptor that differs from @before. Where there is
 * kmemleak, what it knows of the object does so as well: further behind.
 */
static struct gs_record gs_changed(struct kunit *test, const void *obj,
				   const u8 *before, const u8 *except)
{
	u8 *now = gs_descriptor(obj);
	struct gs_record found = {};
	size_t size = ksize(now), i;
	unsigned int count = 0;

	for (i = 0; i < size; i++) {
		if (gs_peek(now, i) == before[i] || now + i == except)
			continue;
		if (!count++) {
			found.byte = now + i;
			found.change = gs_peek(now, i) ^ before[i];
		}
	}
	KUNIT_ASSERT_EQ(test, count, 1 + IS_ENABLED(CONFIG_DEBUG_KMEMLEAK));
	return found;
}

/* A cache, an object of it that is in use, and where its records are. */
static void gs_state_start(struct kunit *test, struct gs_state *s,
			   unsigned long flags)
{
	size_t size;
	u8 *before;
	int i;

	gs_pin_self(test);
	s->c = gs_test_cache(test, GS_NAME, GS_SIZE, NULL,
			     GS_CONSISTENCY | flags);
	for (i = 0; i < ARRAY_SIZE(s->others); i++)
		s->others[i] = gs_test_obj(test, s->c);
	s->obj = gs_test_obj(test, s->c);
	size = ksize(gs_descriptor(s->obj));
	before = gs_test_array(test, size, 1);

	/* In a sheaf, which there is after an allocation, it has no bit. */
	gs_copy(before, gs_descriptor(s->obj), size);
	gs_cache_free(s->c, s->obj);
	s->state = gs_changed(test, s->obj, before, NULL);
	gs_take_back(test, s->c, s->obj);

	/* The others have theirs by then. The slab stays, for the three. */
	gs_cache_shrink(s->c);
	gs_copy(before, gs_descriptor(s->obj), size);
	gs_cache_free(s->c, s->obj);
	gs_cache_shrink(s->c);
	s->bit = gs_changed(test, s->obj, before, s->state.byte);
	gs_take_back(test, s->c, s->obj);
}

static void gs_state_end(struct kunit *test, struct gs_state *s)
{
	gs_cache_free_bulk(s->c, ARRAY_SIZE(s->others), s->others);
	gs_expect_repaired(test, s->c, GS_SIZE);
}

static const struct gs_state_param {
	const char *name;
	u8 value;
	unsigned long flags;
} gs_state_params[] = {
	{ "05", 0x05, 0 },
	{ "6b_all", 0x6b, GS_DEBUG_ALL },
};

KUNIT_ARRAY_PARAM_DESC(gs_state, gs_state_params, name);

static void gs_state_begin(struct kunit *test, struct gs_state *s,
			   struct gs_fault *fault)
{
	const struct gs_state_param *param = test->param_value;
	char rest[40];

	gs_poke(s->state.byte, 0, param->value);
	scnprintf(rest, sizeof(rest), " overwritten: found %02x", param->value);
	gs_fault_begin(fault, GS_NAME, "state of object ", s->obj, rest);
}

/* Whoever comes next is told, and the object goes its way. */
static void gs_state_byte(struct kunit *test)
{
	const struct gs_state_param *param = test->param_value;
	struct gs_fault fault;
	struct gs_state s;
	struct gs_log log;

	gs_state_start(test, &s, param->flags);

	gs_state_begin(test, &s, &fault);
	gs_cache_free(s.c, s.obj);
	gs_fault_end(test, &fault);

	gs_state_begin(test, &s, &fault);
	KUNIT_EXPECT_PTR_EQ(test, gs_test_obj(test, s.c), s.obj);
	gs_fault_end(test, &fault);

	gs_state_begin(test, &s, &fault);
	gs_cache_free_rcu(s.c, s.obj);
	gs_fault_end(test, &fault);

	gs_cache_barrier(s.c);
	gs_log_mark(&log);
	gs_take_back(test, s.c, s.obj);
	gs_expect_silence(test, &log);
	gs_fill(s.obj, GS_SIZE, 1);

	rcu_read_lock();
	gs_cache_free_rcu(s.c, s.obj);
	gs_state_begin(test, &s, &fault);
	rcu_read_unlock();
	gs_cache_barrier(s.c);
	gs_fault_end(test, &fault);

	gs_log_mark(&log);
	gs_take_back(test, s.c, s.obj);
	gs_cache_free(s.c, s.obj);
	gs_expect_silence(test, &log);
	gs_state_end(test, &s);
}

/* The slab says that an object is free which somebody has: it stays there. */
static void gs_state_bit(struct kunit *test)
{
	unsigned int nr, twice = 0, i;
	struct gs_fault fault;
	struct gs_state s;
	struct gs_log log;
	void **all;

	gs_state_start(test, &s, 0);
	gs_fill(s.obj, GS_SIZE, 3);
	gs_poke(s.bit.byte, 0, gs_peek(s.bit.byte, 0) ^ s.bit.change);
	gs_fault_begin(&fault, GS_NAME, "free bit of object ", s.obj,
		       " overwritten: it is in use");
	nr = 2 * gs_test_stats(test, s.c).objects;
	all = gs_test_array(test, nr, sizeof(*all));
	for (i = 0; i < nr; i++) {
		all[i] = gs_test_obj(test, s.c);
		twice += all[i] == s.obj;
	}
	gs_fault_end(test, &fault);
	KUNIT_EXPECT_EQ(test, twice, 0);
	KUNIT_EXPECT_TRUE(test, gs_filled(s.obj, GS_SIZE, 3));

	gs_log_mark(&log);
	gs_cache_free_bulk(s.c, nr, all);
	gs_cache_free(s.c, s.obj);
	gs_expect_silence(test, &log);
	gs_state_end(test, &s);
}

static struct kunit_case gs_state_cases[] = {
	KUNIT_CASE_PARAM(gs_state_byte, gs_state_gen_params),
	KUNIT_CASE(gs_state_bit),
	{ /* sentinel */ },
};

static struct kunit_suite gs_state_suite = {
	.name = "gs_debug_state",
	.test_cases = gs_state_cases,
};

kunit_test_suite(gs_state_suite);
