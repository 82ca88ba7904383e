// SPDX-License-Identifier: GPL-2.0
/*
 * A slab with pending bits that nobody sees yet: its freer has taken the token,
 * and is interrupted before it puts the slab on the list. Who defers the free of
 * another object of the slab then, and waits, must not miss it.
 *
 * An interrupt hits a loop of deferred frees, each of an object of another slab,
 * has another object of the same slab freed, and a barrier asked for, and is over
 * when the barrier has asked the CPU. In which instruction it was, chance says.
 */
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/sort.h>

#include "gs_kunit.h"

#define GS_PUSH_SIZE	1500
#define GS_PUSH_SLABS	400
#define GS_PUSH_MOST	(16 * GS_PUSH_SLABS)
#define GS_PUSH_ROUNDS	80

/* Two of each slab: the first is freed by the loop, the second by the interrupt. */
struct gs_push {
	struct gs_cache *c;
	struct hrtimer timer;
	void **objs;
	void **first, **second;
	unsigned int nr, at;
	bool go, ended, hit, asked;
	bool second_back;
};

struct gs_pushed {
	struct gs_push *push;
	bool second;
};

static void gs_push_back(void *obj)
{
	struct gs_pushed *pushed = obj;

	if (pushed->second)
		WRITE_ONCE(pushed->push->second_back, true);
}

static enum hrtimer_restart gs_push_tick(struct hrtimer *timer)
{
	struct gs_push *push = container_of(timer, struct gs_push, timer);
	unsigned int at = READ_ONCE(push->at), us;

	if (at >= push->nr)
		return HRTIMER_NORESTART;
	gs_cache_free_rcu(push->c, push->second[at]);
	push->second[at] = NULL;
	WRITE_ONCE(push->hit, true);
	for (us = 0; us < 2000 && !READ_ONCE(push->asked); us++)
		udelay(1);
	/* It says so before it asks. */
	udelay(50);
	return HRTIMER_NORESTART;
}

static void gs_push_loop(void *data)
{
	struct gs_push *push = data;
	unsigned int i;

	while (!kthread_should_stop()) {
		if (!READ_ONCE(push->go)) {
			cond_resched();
			continue;
		}
		WRITE_ONCE(push->go, false);
		WRITE_ONCE(push->at, 0);
		hrtimer_start(&push->timer,
			      ns_to_ktime(5000 + get_random_u32_below(60000)),
			      HRTIMER_MODE_REL_PINNED_HARD);
		for (i = 0; i < push->nr; i++) {
			WRITE_ONCE(push->at, i);
			gs_cache_free_rcu(push->c, push->first[i]);
		}
		WRITE_ONCE(push->at, push->nr);
		hrtimer_cancel(&push->timer);
		smp_store_release(&push->ended, true);
	}
}

static int gs_push_by_page(const void *a, const void *b)
{
	return cmp_int((uintptr_t)virt_to_head_page(*(void **)a),
		       (uintptr_t)virt_to_head_page(*(void **)b));
}

/* As many objects as there are places, and the first two of each slab's. */
static bool gs_push_pairs(struct gs_push *push, unsigned int nr)
{
	struct gs_pushed *pushed;
	struct page *page = NULL;
	unsigned int i, of = 0;

	sort(push->objs, nr, sizeof(void *), gs_push_by_page, NULL);
	push->nr = 0;
	for (i = 0; i < nr && push->nr < GS_PUSH_SLABS; i++) {
		of = virt_to_head_page(push->objs[i]) == page ? of + 1 : 0;
		page = virt_to_head_page(push->objs[i]);
		if (of != 1)
			continue;
		pushed = push->objs[i - 1];
		*pushed = (struct gs_pushed){ push, false };
		push->first[push->nr] = pushed;
		push->objs[i - 1] = NULL;
		pushed = push->objs[i];
		*pushed = (struct gs_pushed){ push, true };
		push->second[push->nr++] = pushed;
		push->objs[i] = NULL;
	}
	return push->nr;
}

static void gs_push_fill(struct kunit *test, struct gs_push *push)
{
	unsigned int i;

	for (i = 0; i < GS_PUSH_MOST; i++) {
		if (!push->objs[i])
			push->objs[i] = gs_cache_alloc(push->c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, push->objs[i]);
	}
}

static void gs_push_inject_end(void *unused)
{
	gs_inject(GS_INJECT_SHEAF, 0);
}

static void gs_barrier_push(struct kunit *test)
{
	static const struct gs_cache_args args = { .rcu_dtor = gs_push_back };
	unsigned int round, i, hits = 0, missed = 0;
	struct gs_thread *loop;
	struct gs_push *push;
	int cpu;

	cpu = gs_other_cpu(gs_pin_self(test));
	if (cpu == raw_smp_processor_id())
		kunit_skip(test, "one CPU");
	push = kunit_kzalloc(test, sizeof(*push), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, push);
	push->objs = gs_test_array(test, GS_PUSH_MOST, sizeof(void *));
	push->first = gs_test_array(test, GS_PUSH_SLABS, sizeof(void *));
	push->second = gs_test_array(test, GS_PUSH_SLABS, sizeof(void *));
	push->c = gs_test_cache(test, "gs_push", GS_PUSH_SIZE, &args, 0);
	hrtimer_setup(&push->timer, gs_push_tick, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	loop = gs_thread_run(test, cpu, gs_push_loop, push);
	for (round = 0; round < GS_PUSH_ROUNDS; round++) {
		gs_push_fill(test, push);
		KUNIT_ASSERT_TRUE(test, gs_push_pairs(push, GS_PUSH_MOST));
		WRITE_ONCE(push->hit, false);
		WRITE_ONCE(push->asked, false);
		WRITE_ONCE(push->ended, false);
		WRITE_ONCE(push->second_back, false);
		/* No sheaf is to be had, so that everything goes by the bits. */
		gs_cache_shrink(push->c);
		gs_inject(GS_INJECT_SHEAF, INT_MAX);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test,
							  gs_push_inject_end,
							  NULL));
		WRITE_ONCE(push->go, true);
		while (!READ_ONCE(push->hit) && !smp_load_acquire(&push->ended))
			cpu_relax();
		if (READ_ONCE(push->hit)) {
			WRITE_ONCE(push->asked, true);
			gs_cache_barrier(push->c);
			hits++;
			missed += !READ_ONCE(push->second_back);
		}
		while (!smp_load_acquire(&push->ended))
			cond_resched();
		kunit_release_action(test, gs_push_inject_end, NULL);
		gs_cache_barrier(push->c);
		for (i = 0; i < push->nr; i++)
			gs_cache_free(push->c, push->second[i]);
	}
	gs_thread_stop(test, loop);
	KUNIT_EXPECT_GT_MSG(test, hits, 0,
			    "no interrupt came while the loop ran");
	KUNIT_EXPECT_EQ_MSG(test, missed, 0, "of %u barriers, %u missed a free",
			    hits, missed);
	for (i = 0; i < GS_PUSH_MOST; i++)
		gs_cache_free(push->c, push->objs[i]);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, push->c), 0);
}

static struct kunit_case gs_push_cases[] = {
	KUNIT_CASE_SLOW(gs_barrier_push),
					    {} };

static struct kunit_suite gs_push_suite = {
	.name = "gs_push",
	.test_cases = gs_push_cases,
};

kunit_test_suite(gs_push_suite);
