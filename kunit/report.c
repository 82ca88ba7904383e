// SPDX-License-Identifier: GPL-2.0
/*
 * A leak's report says how many objects its slabs have, not only those of one.
 */
#include "gs_kunit.h"

#define GS_REPORT_SIZE	2048

static void gs_report_total(struct kunit *test)
{
	const unsigned int nr = 1000, every = 100;
	unsigned int zombies = gs_cache_zombies(), i;
	struct gs_cache_stats stats;
	struct gs_cache *c;
	struct gs_log log;
	char text[64];
	void **objs;

	c = gs_test_cache(test, "gs_report", GS_REPORT_SIZE, NULL,
			  gs_param_flags(test));
	objs = gs_test_objects(test, c, GS_REPORT_SIZE, nr);
	stats = gs_test_stats(test, c);
	for (i = 0; i < nr; i++)
		if (i % every)
			gs_cache_free(c, objs[i]);
	/* So far apart that they are in slabs of their own. */
	KUNIT_ASSERT_LT(test, stats.objects / stats.slabs, every / 2);
	scnprintf(text, sizeof(text), "with %u of %llu objects", nr / every,
		  nr / every * stats.objects / stats.slabs);
	gs_log_mark(&log);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), -EBUSY);
	KUNIT_EXPECT_EQ_MSG(test, gs_log_count(&log, text), 1, "%s", text);
	for (i = 0; i < nr; i += every)
		gs_cache_free(c, objs[i]);
	KUNIT_EXPECT_TRUE(test, gs_wait_until(gs_cache_zombies() == zombies));
}

static struct kunit_case gs_report_cases[] = {
	KUNIT_CASE_PARAM(gs_report_total, gs_flags_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_report_suite = {
	.name = "gs_report",
	.test_cases = gs_report_cases,
};

kunit_test_suite(gs_report_suite);
