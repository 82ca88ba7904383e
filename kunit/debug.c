// SPDX-License-Identifier: GPL-2.0
/*
 * What the suites about debugging share; debug.h says what it promises.
 */
#include "debug.h"

void gs_poke(void *obj, long offset, u8 value)
{
	kasan_disable_current();
	WRITE_ONCE(((u8 *)obj)[offset], value);
	kasan_enable_current();
}

u8 gs_peek(const void *obj, long offset)
{
	u8 value;

	kasan_disable_current();
	value = READ_ONCE(((const u8 *)obj)[offset]);
	kasan_enable_current();
	return value;
}

bool gs_left_filled(const void *obj, size_t size, u32 key)
{
	bool filled;

	kasan_disable_current();
	filled = gs_filled(obj, size, key);
	kasan_enable_current();
	return filled;
}

void *gs_test_obj(struct kunit *test, struct gs_cache *c)
{
	void *obj = gs_cache_alloc(c, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, obj);
	return obj;
}

void gs_now_free(struct gs_cache *c, void *obj)
{
	gs_cache_free(c, obj);
}

void gs_now_free_bulk(struct gs_cache *c, void *obj)
{
	gs_cache_free_bulk(c, 1, &obj);
}

void gs_now_free_rcu(struct gs_cache *c, void *obj)
{
	gs_cache_free_rcu(c, obj);
	gs_cache_barrier(c);
}

void gs_take_back(struct kunit *test, struct gs_cache *c, void *obj)
{
	unsigned int nr = gs_test_stats(test, c).objects, n;
	void **others = gs_test_array(test, nr, sizeof(*others));

	for (n = 0; n < nr; n++) {
		others[n] = gs_test_obj(test, c);
		if (others[n] == obj)
			break;
	}
	KUNIT_ASSERT_LT(test, n, nr);
	gs_cache_free_bulk(c, n, others);
}

void gs_fault_begin(struct gs_fault *fault, const char *name, const char *what,
		    const void *obj, const char *rest)
{
	GS_EXPECT_SPLAT_BEGIN("graceslab: %s: %s" GS_ADDRESS "%s", name, what,
			      rest);
	scnprintf(fault->before, sizeof(fault->before), "graceslab: %s: %s",
		  name, what);
	scnprintf(fault->line, sizeof(fault->line), "%s0x%0*lx%s",
		  fault->before, (int)(2 * sizeof(obj)), (unsigned long)obj,
		  rest);
	gs_log_mark(&fault->log);
}

void gs_fault_end(struct kunit *test, struct gs_fault *fault)
{
	/* A worker that found it may be in the middle of its report. */
	gs_wait_until(gs_log_count(&fault->log, "cut here ]") ==
		      gs_log_count(&fault->log, "end trace"));
	GS_EXPECT_SPLAT_END();
	/* Let whoever prints all this keep up. */
	msleep(20);
	KUNIT_EXPECT_EQ_MSG(test, gs_log_count(&fault->log, fault->line), 1,
			    "no report '%s'", fault->line);
	KUNIT_EXPECT_EQ(test, gs_log_count(&fault->log, fault->before), 1);
	KUNIT_EXPECT_EQ(test, gs_log_count(&fault->log, "WARNING: "), 1);
}

bool gs_log_line(const struct gs_log *log, const char *needle, char *line,
		 size_t size)
{
	struct kmsg_dump_iter iter = log->from;
	size_t len;

	while (kmsg_dump_get_line(&iter, false, line, size - 1, &len)) {
		line[len] = '\0';
		if (strstr(line, needle))
			return true;
	}
	return false;
}

void gs_expect_silence(struct kunit *test, const struct gs_log *log)
{
	KUNIT_EXPECT_EQ(test, gs_log_count(log, "graceslab: "), 0);
	KUNIT_EXPECT_EQ(test, gs_log_count(log, "WARNING: "), 0);
}

void gs_expect_repaired(struct kunit *test, struct gs_cache *c,
			unsigned int size)
{
	unsigned int nr = gs_test_stats(test, c).objects + 1, i;
	struct gs_log log;
	void **objs;

	gs_log_mark(&log);
	/* More than there are: whichever was damaged is one of them. */
	objs = gs_test_objects(test, c, size, nr);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_TRUE(test, gs_filled(objs[i], size, i));
		if (i & 1)
			gs_cache_free(c, objs[i]);
		else
			gs_cache_free_rcu(c, objs[i]);
	}
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
	gs_expect_silence(test, &log);
}
