// SPDX-License-Identifier: GPL-2.0
/*
 * However objects move between CPUs and whichever way they come back, nobody
 * else writes to an object that somebody has, and none is lost.
 *
 * Each object carries its owner's pattern while it is out and a poison of the
 * test's own from just before it is freed: two owners of one object spoil each
 * other's, whichever of them is first.
 */
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "gs_kunit.h"

#define GS_CHURN_CPUS	8
#define GS_CHURN_OWN	256
#define GS_CHURN_BOX	64
#define GS_CHURN_POISON	0x6b
#define GS_CHURN_MS	1000	/* on a slow machine; but at least */
#define GS_CHURN_LEAST	1000	/* allocations */

struct gs_churn_obj {
	u32 key;
	u8 fill[];
};

/* Objects that were handed to a CPU. */
struct gs_churn_box {
	spinlock_t lock; /* protects the rest */
	unsigned int nr;
	void *obj[GS_CHURN_BOX];
};

struct gs_churner {
	struct gs_churn *churn;
	struct rnd_state rnd;
	unsigned int id;
	struct gs_churn_box box;
	void *own[GS_CHURN_OWN];
	u32 seq;
	u32 wrong;
	u32 failed;
	u32 handed;
	u64 queued;
	u64 freed;
	u64 allocs;
};

struct gs_churn {
	struct gs_cache *c;
	unsigned int size;
	unsigned int rounds;
	unsigned long end;
	unsigned int nr;
	struct gs_churner who[GS_CHURN_CPUS];
};

static const struct gs_churn_param {
	const char *name;
	unsigned int size;
	unsigned int rounds;
	unsigned long flags;
} gs_churn_params[] = {
	{ "16", 16, 200000, 0 },
	{ "16_consistency", 16, 200000, GS_CONSISTENCY },
	{ "120", 120, 100000, 0 },
	{ "120_consistency", 120, 100000, GS_CONSISTENCY },
	{ "120_debug", 120, 20000,
	  GS_RED_ZONE | GS_POISON | GS_CONSISTENCY | GS_STORE_USER },
	{ "2048", 2048, 20000, 0 },
	{ "2048_consistency", 2048, 20000, GS_CONSISTENCY },
};

KUNIT_ARRAY_PARAM_DESC(gs_churn, gs_churn_params, name);

static void *gs_churn_alloc(struct gs_churner *who)
{
	struct gs_churn *churn = who->churn;
	struct gs_churn_obj *obj;

	obj = gs_cache_alloc(churn->c, GFP_KERNEL);
	if (!obj) {
		who->failed++;
		return NULL;
	}
	who->allocs++;
	obj->key = who->id << 24 | (who->seq++ & 0xffffff);
	gs_fill(obj->fill, churn->size - sizeof(*obj), obj->key);
	return obj;
}

/* Any owner may free it: the key tells what must be in it. */
static void gs_churn_free(struct gs_churner *who, void *p, bool rcu)
{
	struct gs_churn *churn = who->churn;
	struct gs_churn_obj *obj = p;

	if (!gs_filled(obj->fill, churn->size - sizeof(*obj), obj->key))
		who->wrong++;
	memset(obj, GS_CHURN_POISON, churn->size);
	if (rcu) {
		who->queued++;
		gs_cache_free_rcu(churn->c, obj);
	} else {
		who->freed++;
		gs_cache_free(churn->c, obj);
	}
}

static bool gs_churn_hand(struct gs_churn_box *box, void *obj)
{
	bool ok;

	spin_lock(&box->lock);
	ok = box->nr < GS_CHURN_BOX;
	if (ok)
		box->obj[box->nr++] = obj;
	spin_unlock(&box->lock);
	return ok;
}

static void *gs_churn_take(struct gs_churn_box *box)
{
	void *obj = NULL;

	spin_lock(&box->lock);
	if (box->nr)
		obj = box->obj[--box->nr];
	spin_unlock(&box->lock);
	return obj;
}

static void gs_churn_round(struct gs_churner *who)
{
	struct gs_churn *churn = who->churn;
	struct gs_churner *to;
	u32 random = prandom_u32_state(&who->rnd);
	void **slot = &who->own[random % GS_CHURN_OWN];
	void *obj;

	random >>= 16;
	if (!*slot) {
		*slot = gs_churn_alloc(who);
		return;
	}

	switch (random % 8) {
	case 0 ... 2:
		gs_churn_free(who, *slot, false);
		*slot = NULL;
		break;
	case 3 ... 5:
		gs_churn_free(who, *slot, true);
		*slot = NULL;
		break;
	case 6:
		to = &churn->who[(random >> 3) % churn->nr];
		if (gs_churn_hand(&to->box, *slot)) {
			*slot = NULL;
			who->handed++;
		}
		break;
	case 7:
		obj = gs_churn_take(&who->box);
		if (obj)
			gs_churn_free(who, obj, random & 8);
		break;
	}
}

static bool gs_churn_over(const struct gs_churner *who)
{
	return kthread_should_stop() || (who->allocs >= GS_CHURN_LEAST &&
					 time_after(jiffies, who->churn->end));
}

static void gs_churn_run(void *data)
{
	struct gs_churner *who = data;
	unsigned int i;

	for (i = 0; i < who->churn->rounds; i++) {
		gs_churn_round(who);
		if (i % 64)
			continue;
		cond_resched();
		if (gs_churn_over(who))
			break;
	}
	for (i = 0; i < GS_CHURN_OWN; i++) {
		if (who->own[i])
			gs_churn_free(who, who->own[i], i & 1);
		who->own[i] = NULL;
	}
}

static void gs_churn_every_cpu(struct kunit *test)
{
	const struct gs_churn_param *param = test->param_value;
	struct gs_thread *thread[GS_CHURN_CPUS];
	u64 allocs = 0, freed = 0, queued = 0;
	struct gs_cache_stats stats;
	struct gs_churn *churn;
	void *obj;
	int cpu, i;

	churn = gs_test_array(test, 1, sizeof(*churn));
	churn->c = gs_test_cache(test, "gs_churn", param->size, NULL,
				 param->flags);
	churn->size = param->size;
	churn->rounds = param->rounds;
	/* Two at least, so that there is always somebody to hand to. */
	churn->nr = clamp(num_online_cpus(), 2U, GS_CHURN_CPUS);
	for (i = 0; i < churn->nr; i++) {
		struct gs_churner *who = &churn->who[i];

		who->churn = churn;
		who->id = i + 1;
		prandom_seed_state(&who->rnd, 4711 + i);
		spin_lock_init(&who->box.lock);
	}
	churn->end = jiffies + msecs_to_jiffies(GS_CHURN_MS);
	cpu = cpumask_first(cpu_online_mask);
	for (i = 0; i < churn->nr; i++) {
		thread[i] = gs_thread_run(test, cpu, gs_churn_run,
					  &churn->who[i]);
		cpu = cpumask_next_wrap(cpu, cpu_online_mask);
	}
	for (i = 0; i < churn->nr; i++)
		gs_thread_join(test, thread[i]);

	for (i = 0; i < churn->nr; i++) {
		struct gs_churner *who = &churn->who[i];

		while ((obj = gs_churn_take(&who->box)))
			gs_churn_free(who, obj, false);
		KUNIT_EXPECT_EQ(test, who->wrong, 0);
		KUNIT_EXPECT_EQ(test, who->failed, 0);
		KUNIT_EXPECT_GT(test, who->handed, 10);
		KUNIT_EXPECT_GE(test, who->allocs, GS_CHURN_LEAST);
		allocs += who->allocs;
		freed += who->freed;
		queued += who->queued;
	}
	KUNIT_EXPECT_EQ(test, allocs, freed + queued);

	stats = gs_test_stats(test, churn->c);
	KUNIT_EXPECT_EQ(test, stats.live, 0);
	KUNIT_EXPECT_EQ(test, stats.queued, queued);
	gs_cache_barrier(churn->c);
	stats = gs_test_stats(test, churn->c);
	KUNIT_EXPECT_EQ(test, stats.done, queued);
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, churn->c), 0);
}

/* All objects are allocated on one CPU and all are freed on another. */
struct gs_pipe {
	struct gs_churner *from;
	struct gs_churner *to;
};

static void gs_churn_produce(void *data)
{
	struct gs_pipe *pipe = data;
	unsigned int i;

	for (i = 0; i < pipe->from->churn->rounds; i++) {
		void *obj;

		if (!(i % 64) && gs_churn_over(pipe->from))
			break;
		obj = gs_churn_alloc(pipe->from);
		while (obj && !gs_churn_hand(&pipe->to->box, obj)) {
			if (kthread_should_stop()) {
				gs_churn_free(pipe->from, obj, false);
				return;
			}
			fsleep(50);
		}
	}
}

static void gs_churn_consume(void *data)
{
	struct gs_pipe *pipe = data;

	for (;;) {
		bool last = kthread_should_stop();
		void *obj = gs_churn_take(&pipe->to->box);

		if (obj) {
			gs_churn_free(pipe->to, obj, pipe->to->seq++ & 1);
			continue;
		}
		if (last)
			break;
		fsleep(50);
	}
}

static void gs_churn_pipe(struct kunit *test)
{
	const struct gs_churn_param *param = test->param_value;
	struct gs_thread *producer, *consumer;
	struct gs_churn *churn;
	struct gs_pipe pipe;
	int cpu, i;

	churn = gs_test_array(test, 1, sizeof(*churn));
	churn->c = gs_test_cache(test, "gs_churn", param->size, NULL,
				 param->flags);
	churn->size = param->size;
	churn->rounds = param->rounds / 8;
	churn->nr = 2;
	churn->end = jiffies + msecs_to_jiffies(GS_CHURN_MS);
	for (i = 0; i < churn->nr; i++) {
		churn->who[i].churn = churn;
		churn->who[i].id = i + 1;
		spin_lock_init(&churn->who[i].box.lock);
	}
	pipe.from = &churn->who[0];
	pipe.to = &churn->who[1];

	cpu = gs_pin_self(test);
	consumer = gs_thread_run(test, gs_other_cpu(cpu), gs_churn_consume,
				 &pipe);
	producer = gs_thread_run(test, cpu, gs_churn_produce, &pipe);
	gs_thread_join(test, producer);
	gs_thread_stop(test, consumer);

	KUNIT_EXPECT_EQ(test, pipe.from->failed, 0);
	KUNIT_EXPECT_GE(test, pipe.from->allocs, GS_CHURN_LEAST);
	KUNIT_EXPECT_EQ(test, pipe.to->freed + pipe.to->queued,
			pipe.from->allocs);
	KUNIT_EXPECT_EQ(test, pipe.to->wrong, 0);
	/* A worker may have a sheaf of free objects in hand for a moment. */
	KUNIT_EXPECT_TRUE(test,
			  gs_wait_until(!gs_test_stats(test, churn->c).live));
	KUNIT_EXPECT_EQ(test, gs_test_destroy(test, churn->c), 0);
}

static struct kunit_case gs_churn_cases[] = {
	KUNIT_CASE_PARAM(gs_churn_every_cpu, gs_churn_gen_params),
	KUNIT_CASE_PARAM(gs_churn_pipe, gs_churn_gen_params),
	{ /* sentinel */ },
};

static struct kunit_suite gs_churn_suite = {
	.name = "gs_churn",
	.test_cases = gs_churn_cases,
};

kunit_test_suite(gs_churn_suite);
