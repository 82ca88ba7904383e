// SPDX-License-Identifier: GPL-2.0
/*
 * What serves others' pointers when a CPU's page of them is full: each step is
 * forced by having the ones before it fail, and has to be the one that served.
 */
#include <linux/irqflags.h>
#include <linux/limits.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "gs_kunit.h"

#define GS_STEPS_NR	(GS_STEP_LEAKED + 1)

static const unsigned int gs_steps_points[] = {
	GS_INJECT_CACHED_PAGE,
	GS_INJECT_PAGE,
	GS_INJECT_RESERVE,
	GS_INJECT_WRAPPER,
};

static void gs_steps_end(void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gs_steps_points); i++)
		gs_inject(gs_steps_points[i], 0);
}

/* The first @nr ways to get memory fail from here on. */
static void gs_steps_fail(int nr)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gs_steps_points); i++)
		gs_inject(gs_steps_points[i], i < nr ? INT_MAX : 0);
}

static void gs_steps_begin(struct kunit *test)
{
	gs_pin_self(test);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_steps_end, NULL));
	/*
	 * Pages that are open on this CPU go on their way first, and come back
	 * to its reserve.
	 */
	gs_kvfree_rcu(kmalloc(32, GFP_KERNEL));
	gs_kvfree_rcu(vmalloc(32));
	gs_barrier();
}

struct gs_steps_count {
	u64 n[GS_STEPS_NR];
};

static void gs_steps_take(struct gs_steps_count *count)
{
	int i;

	for (i = 0; i < GS_STEPS_NR; i++)
		count->n[i] = gs_steps(i);
}

/* Since @before, @step served @nr times and no other one did. */
static void gs_steps_only(struct kunit *test,
			  const struct gs_steps_count *before,
			  unsigned int step, u64 nr)
{
	struct gs_steps_count now;
	int i;

	gs_steps_take(&now);
	for (i = 0; i < GS_STEPS_NR; i++)
		KUNIT_EXPECT_EQ_MSG(test, now.n[i] - before->n[i],
				    i == step ? nr : 0, "step %d", i);
}

/* The ways of gs_kvfree_rcu(), one after the other. */
static const struct gs_steps_param {
	const char *name;
	int fail;
	unsigned int step;
} gs_steps_params[] = {
	{ "cached_page", 0, GS_STEP_CACHED_PAGE },
	{ "page", 1, GS_STEP_PAGE },
	{ "reserve", 2, GS_STEP_RESERVE },
	{ "wrapper", 3, GS_STEP_WRAPPER },
	{ "wait", 4, GS_STEP_WAITED },
};

KUNIT_ARRAY_PARAM_DESC(gs_steps, gs_steps_params, name);

static void gs_steps_sleeping(struct kunit *test)
{
	const struct gs_steps_param *param = test->param_value;
	struct gs_steps_count before;
	struct gs_reader *reader = NULL;
	bool one = param->step >= GS_STEP_RESERVE;

	gs_steps_begin(test);
	if (param->step == GS_STEP_WAITED && gs_can_hold_reader()) {
		reader = gs_reader_hold(test, NULL, NULL);
		gs_reader_leave_in(reader, 50);
	}
	gs_steps_take(&before);
	gs_steps_fail(param->fail);
	gs_kvfree_rcu(kmalloc(100, GFP_KERNEL));
	if (reader) {
		/* It waited for the reader that there was. */
		KUNIT_EXPECT_FALSE(test, gs_reader_inside(reader));
		gs_reader_left(test, reader);
	}
	gs_kvfree_rcu(kmalloc(100, GFP_KERNEL));
	gs_steps_only(test, &before, param->step, one ? 2 : 1);
	gs_kvfree_rcu(vmalloc(100));
	gs_steps_only(test, &before, param->step, one ? 3 : 2);
	gs_steps_end(NULL);
	gs_barrier();
}

/* The same where nobody may sleep, and the last step gives the pointer back. */
static void gs_steps_atomic(struct kunit *test)
{
	const struct gs_steps_param *param = test->param_value;
	bool last = param->step == GS_STEP_WAITED;
	struct gs_steps_count before;
	void *p, *v;
	int ret, vret;

	gs_steps_begin(test);
	p = kmalloc(100, GFP_KERNEL);
	v = vmalloc(100);
	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_NOT_NULL(test, v);
	gs_steps_take(&before);
	gs_steps_fail(param->fail);
	/* With it off, no memory is asked for where allocators may sleep. */
	if (!GS_LOCKS_SLEEP)
		preempt_disable();
	ret = gs_try_kvfree_rcu(p, GFP_ATOMIC);
	vret = gs_try_kvfree_rcu(v, GFP_NOWAIT);
	if (!GS_LOCKS_SLEEP)
		preempt_enable();
	gs_steps_end(NULL);
	gs_steps_only(test, &before, last ? GS_STEP_REFUSED : param->step, 2);
	KUNIT_EXPECT_EQ(test, ret, last ? -ENOMEM : 0);
	KUNIT_EXPECT_EQ(test, vret, last ? -ENOMEM : 0);
	if (ret)
		kfree(p);
	if (vret)
		vfree(v);
	gs_barrier();
}

/* What serves where nobody may sleep, though @step might if memory is asked for. */
static unsigned int gs_steps_without_sleep(unsigned int step, bool asked)
{
	switch (step) {
	case GS_STEP_PAGE:
		return asked ? step : GS_STEP_RESERVE;
	case GS_STEP_WRAPPER:
		return asked ? step : GS_STEP_REFUSED;
	case GS_STEP_WAITED:
		return GS_STEP_REFUSED;
	}
	return step;
}

/*
 * A gfp that allows sleeping, where nobody may: it is one that does not, and
 * nothing is asked for where allocators sleep on their locks.
 */
static void gs_steps_forbidden(struct kunit *test)
{
	const struct gs_steps_param *param = test->param_value;
	unsigned int step = gs_steps_without_sleep(param->step, !GS_LOCKS_SLEEP);
	int due = step == GS_STEP_REFUSED ? -ENOMEM : 0;
	struct gs_steps_count before;
	unsigned long flags;
	bool irqs;

	gs_steps_begin(test);
	/* With preemption off, nobody knows in a kernel that does not count it. */
	for (irqs = !IS_ENABLED(CONFIG_PREEMPT_COUNT);; irqs = true) {
		void *p = kmalloc(100, GFP_KERNEL);
		void *v = vmalloc(100);
		int ret, vret;

		KUNIT_ASSERT_NOT_NULL(test, p);
		KUNIT_ASSERT_NOT_NULL(test, v);
		gs_steps_take(&before);
		gs_steps_fail(param->fail);
		if (irqs)
			local_irq_save(flags);
		else
			preempt_disable();
		ret = gs_try_kvfree_rcu(p, GFP_KERNEL);
		vret = gs_try_kvfree_rcu(v, GFP_KERNEL);
		if (irqs)
			local_irq_restore(flags);
		else
			preempt_enable();
		gs_steps_end(NULL);
		gs_steps_only(test, &before, step, 2);
		KUNIT_EXPECT_EQ(test, ret, due);
		KUNIT_EXPECT_EQ(test, vret, due);
		if (ret)
			kfree(p);
		if (vret)
			vfree(v);
		gs_barrier();
		if (irqs)
			break;
	}
}

/* A gfp that allows sleeping is not refused: the caller waits. */
static void gs_steps_blocking(struct kunit *test)
{
	struct gs_steps_count before;

	gs_steps_begin(test);
	gs_steps_take(&before);
	gs_steps_fail(4);
	KUNIT_EXPECT_EQ(test, 0,
			gs_try_kvfree_rcu(kmalloc(100, GFP_KERNEL), GFP_KERNEL));
	gs_steps_only(test, &before, GS_STEP_WAITED, 1);
	KUNIT_EXPECT_EQ(test, 0, gs_try_kvfree_rcu(NULL, GFP_NOWAIT));
	gs_steps_only(test, &before, GS_STEP_WAITED, 1);
}

/* Objects of ours need none of it. */
static void gs_steps_own(struct kunit *test)
{
	struct gs_steps_count before;
	struct gs_cache *c;
	void *obj;

	c = gs_test_cache(test, "gs_steps", 64, NULL, gs_param_flags(test));
	obj = gs_cache_alloc(c, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, obj);
	gs_steps_begin(test);
	gs_steps_take(&before);
	gs_steps_fail(4);
	preempt_disable();
	KUNIT_EXPECT_EQ(test, 0, gs_try_kvfree_rcu(obj, GFP_NOWAIT));
	preempt_enable();
	gs_steps_only(test, &before, 0, 0);
	KUNIT_EXPECT_EQ(test, gs_test_stats(test, c).queued, 1);
	gs_steps_end(NULL);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, c), 0);
}

/* The reserve comes back: it serves again after a grace period. */
static void gs_steps_reserve_returns(struct kunit *test)
{
	unsigned int round, n, served;
	void *p;

	gs_steps_begin(test);
	for (round = 0; round < 3; round++) {
		gs_steps_fail(2);
		gs_inject(GS_INJECT_WRAPPER, INT_MAX);
		served = 0;
		for (n = 0; n < 10000; n++) {
			int ret;

			p = kmalloc(32, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, p);
			preempt_disable();
			ret = gs_try_kvfree_rcu(p, GFP_NOWAIT);
			preempt_enable();
			if (ret) {
				KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
				kfree(p);
				break;
			}
			served++;
		}
		KUNIT_EXPECT_GE(test, served, 16);
		KUNIT_EXPECT_LT(test, n, 10000);
		gs_steps_end(NULL);
		gs_barrier();
	}
}

/* Who can neither sleep nor be refused finds a slot; and is told in the end. */
static void gs_steps_defer(struct kunit *test)
{
	unsigned int i, leaked = 0;
	struct gs_steps_count before;
	u64 slots;
	void *p[80];

	gs_steps_begin(test);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = kmalloc(32, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, p[i]);
	}
	gs_steps_take(&before);
	GS_EXPECT_SPLAT_BEGIN("graceslab: no memory to free 0x[0-9a-f]+ where nobody may sleep: leaked");
	gs_steps_fail(4);
	preempt_disable();
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		u64 lost = gs_steps(GS_STEP_LEAKED);

		gs_kvfree_rcu_defer(p[i]);
		if (gs_steps(GS_STEP_LEAKED) == lost)
			p[i] = NULL;
		else
			leaked++;
	}
	preempt_enable();
	GS_EXPECT_SPLAT_END();
	slots = gs_steps(GS_STEP_SLOT) - before.n[GS_STEP_SLOT];
	KUNIT_EXPECT_EQ(test, slots + leaked, ARRAY_SIZE(p));
	KUNIT_EXPECT_GE(test, slots, 16);
	KUNIT_EXPECT_GE(test, leaked, 1);
	/* With memory again, the slots are moved on. */
	gs_steps_end(NULL);
	gs_barrier();
	for (i = 0; i < ARRAY_SIZE(p); i++)
		kfree(p[i]);
	gs_steps_take(&before);
	preempt_disable();
	gs_kvfree_rcu_defer(kmalloc(32, GS_GFP_ATOMIC));
	preempt_enable();
	KUNIT_EXPECT_EQ(test, gs_steps(GS_STEP_SLOT), before.n[GS_STEP_SLOT]);
	gs_barrier();
}

static struct kunit_case gs_steps_cases[] = {
	KUNIT_CASE_PARAM(gs_steps_sleeping, gs_steps_gen_params),
	KUNIT_CASE_PARAM(gs_steps_atomic, gs_steps_gen_params),
	KUNIT_CASE_PARAM(gs_steps_forbidden, gs_steps_gen_params),
	KUNIT_CASE(gs_steps_blocking),
	KUNIT_CASE_PARAM(gs_steps_own, gs_flags_gen_params),
	KUNIT_CASE(gs_steps_reserve_returns),
	KUNIT_CASE(gs_steps_defer),
	{ /* sentinel */ },
};

static struct kunit_suite gs_steps_suite = {
	.name = "gs_steps",
	.test_cases = gs_steps_cases,
};

kunit_test_suite(gs_steps_suite);
