// SPDX-License-Identifier: GPL-2.0
/*
 * From handing over to freed: destructors, many at once, barriers, and the age
 * that single objects reach.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "gs_bench.h"

static struct gs_bench_caches caches, elsewhere;
static void **objects;

/* ---- dtor ----------------------------------------------------------------- */

#define GS_DTORS	500000

static u64 gs_sum;

static __always_inline void gs_dtor_work(void *p)
{
	struct gs_bench_obj *obj = p;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(obj->data); i++)
		WRITE_ONCE(gs_sum, gs_sum + obj->data[i]);
}

static void gs_dtor_ours(void *p)
{
	gs_dtor_work(p);
}

static void gs_dtor_peer(struct rcu_head *head)
{
	struct gs_bench_obj *obj = container_of(head, struct gs_bench_obj, rcu);

	gs_dtor_work(obj);
	kmem_cache_free(caches.peer, obj);
}

/* Submission is a row of its own; the other one is all that it takes. */
static int gs_dtor(enum gs_bench_side side)
{
	u64 begin;
	size_t i;
	int ret;

	ret = gs_bench_alloc_all(&caches, side, objects, GS_DTORS);
	if (ret)
		return ret;
	begin = gs_bench_now();
	for (i = 0; i < GS_DTORS; i++) {
		struct gs_bench_obj *obj = objects[i];

		if (side == OURS)
			gs_cache_free_rcu(caches.ours, obj);
		else
			call_rcu(&obj->rcu, gs_dtor_peer);
	}
	gs_bench_each("dtor_call", side, gs_bench_now() - begin, GS_DTORS);
	if (side == OURS)
		gs_cache_barrier(caches.ours);
	else
		rcu_barrier();
	gs_bench_each("dtor", side, gs_bench_now() - begin, GS_DTORS);
	return 0;
}

/* ---- drain ---------------------------------------------------------------- */

#define GS_DRAIN	1000000
#define GS_DRAIN_STEP	8000

static int gs_drain(enum gs_bench_side side)
{
	unsigned long pages, least, periods, expedited;
	size_t i, nr;
	u64 begin;
	int ret;

	ret = gs_bench_again(&caches);
	ret = ret ?: gs_bench_alloc_all(&caches, side, objects, GS_DRAIN);
	if (ret)
		return ret;

	pages = gs_bench_free_pages();
	least = pages;
	periods = gs_bench_grace_periods();
	expedited = gs_bench_expedited();
	begin = gs_bench_now();
	for (i = 0; i < GS_DRAIN; i += nr) {
		nr = min_t(size_t, GS_DRAIN - i, GS_DRAIN_STEP);
		gs_bench_free_rcu_all(&caches, side, objects + i, nr);
		least = min(least, gs_bench_free_pages());
		cond_resched();
	}
	gs_bench_wait(&caches, side);
	gs_bench_each("drain", side, gs_bench_now() - begin, GS_DRAIN);
	gs_bench_sample("drain_periods", "periods", side,
			1000ULL * (gs_bench_grace_periods() - periods));
	gs_bench_sample("drain_expedited", "periods", side,
			1000ULL * (gs_bench_expedited() - expedited));
	/* What it takes to have the objects wait, beyond the objects. */
	gs_bench_sample("drain_memory", "KiB", side,
			1000ULL * (pages - least) * (PAGE_SIZE / 1024));
	return 0;
}

/* ---- barrier -------------------------------------------------------------- */

#define GS_PENDING	20000

static int gs_barrier_row(enum gs_bench_side side)
{
	u64 begin, took;
	int ret;

	ret = gs_bench_again(&caches);
	ret = ret ?: gs_bench_alloc_all(&caches, side, objects, GS_PENDING);
	if (ret)
		return ret;
	ret = gs_bench_alloc_all(&elsewhere, side, objects + GS_PENDING,
				 GS_DRAIN);
	if (ret) {
		gs_bench_free_all(&caches, side, objects, GS_PENDING);
		return ret;
	}

	/* A reader, so that none of them is freed before the wait begins. */
	rcu_read_lock();
	gs_bench_free_rcu_all(&elsewhere, side, objects + GS_PENDING, GS_DRAIN);
	gs_bench_free_rcu_all(&caches, side, objects, GS_PENDING);
	rcu_read_unlock();
	begin = gs_bench_now();
	gs_bench_wait(&caches, side);
	took = gs_bench_now() - begin;
	gs_bench_sample("barrier", "us", side, took);
	if (side == OURS)
		gs_bench_sample("barrier_period", "us", OURS, took);

	/* One grace period with the same work still to be done elsewhere. */
	ret = gs_bench_again(&caches);
	if (side == OURS) {
		gs_bench_wait(&elsewhere, side);
		begin = gs_bench_now();
		synchronize_rcu();
		gs_bench_sample("barrier_period", "us", PEER,
				gs_bench_now() - begin);
	} else {
		gs_bench_wait(&elsewhere, side);
		ret = ret ?: gs_bench_again(&elsewhere);
	}
	return ret;
}

/* ---- barriers ------------------------------------------------------------- */

/* A wait in grace periods: how many synchronize_rcu() take as long. */
static void gs_periods(const char *name, enum gs_bench_side side, u64 took)
{
	u64 begin = ktime_get_ns(), period;
	int i;

	for (i = 0; i < 3; i++)
		synchronize_rcu();
	period = div_u64(ktime_get_ns() - begin, 3);
	gs_bench_sample(name, "periods", side, div64_u64(1000 * took, period));
}

/* One is pending in this cache, and @nr in another one. */
static int gs_barrier_beside(enum gs_bench_side side, size_t nr, bool all)
{
	char name[32];
	u64 begin, took;
	int ret;

	ret = gs_bench_again(&caches) ?: gs_bench_again(&elsewhere);
	ret = ret ?: gs_bench_alloc_all(&caches, side, objects, 1);
	if (ret)
		return ret;
	ret = gs_bench_alloc_all(&elsewhere, side, objects + 1, nr);
	if (ret) {
		gs_bench_free_all(&caches, side, objects, 1);
		return ret;
	}
	/* The wait begins at any point of a grace period of others. */
	rcu_read_lock();
	gs_bench_free_rcu_all(&elsewhere, side, objects + 1, nr);
	gs_bench_free_rcu_all(&caches, side, objects, 1);
	rcu_read_unlock();
	begin = ktime_get_ns();
	if (all)
		gs_bench_wait_pointers(side);
	else
		gs_bench_wait(&caches, side);
	took = ktime_get_ns() - begin;
	gs_bench_wait(&elsewhere, side);
	if (all)
		gs_bench_wait(&caches, side);
	scnprintf(name, sizeof(name), "barrier_%s_%zu", all ? "all" : "cache",
		  nr);
	gs_periods(name, side, took);
	return 0;
}

static int gs_barriers(enum gs_bench_side side)
{
	static const size_t counts[] = { 0, 1, GS_DRAIN };
	int i, ret = 0;

	for (i = 0; i < ARRAY_SIZE(counts) && !ret; i++) {
		ret = gs_barrier_beside(side, counts[i], false);
		ret = ret ?: gs_barrier_beside(side, counts[i], true);
	}
	return ret;
}

/* ---- age ------------------------------------------------------------------ */

#define GS_AGES		500
#define GS_MARK		0x6775206773206d61ULL
#define GS_AGE_CAP	(10ULL * NSEC_PER_SEC)

static u64 freed_at[GS_AGES], ages[GS_AGES];

static bool gs_is_marked(const struct gs_bench_obj *obj)
{
	return READ_ONCE(obj->data[7]) == GS_MARK;
}

/* The longest grace period that somebody saw who looked again and again. */
struct gs_longest {
	unsigned long seq;
	u64 begin, longest;
};

static void gs_longest_look(struct gs_longest *l, u64 now)
{
	unsigned long seq = gs_bench_period_now();

	if (seq == l->seq)
		return;
	/* One that was seen from its begin on. */
	if (l->begin)
		l->longest = max(l->longest, now - l->begin);
	l->begin = seq ? now : 0;
	l->seq = seq;
}

/*
 * How many of the @given objects, from the oldest one on, can be used again.
 * The kernel is booted with init_on_free, by which both sides wipe what an
 * object holds when its grace period is over and it is put back: nobody is
 * asked, and so nobody is hurried.
 */
static size_t gs_reusable(size_t from, size_t given)
{
	size_t i = from;

	while (i < given && !gs_is_marked(objects[i]))
		i++;
	return i;
}

static int gs_age(enum gs_bench_side side)
{
	struct gs_longest longest = {};
	size_t given = 0, back = 0, now_back;
	u64 now = ktime_get_ns(), next = now;
	int ret;

	ret = gs_bench_again(&caches);
	ret = ret ?: gs_bench_alloc_all(&caches, side, objects, GS_AGES);
	if (ret)
		return ret;

	/* One each millisecond; then nothing more comes. */
	do {
		if (given < GS_AGES && now >= next) {
			struct gs_bench_obj *obj = objects[given];

			obj->data[7] = GS_MARK;
			freed_at[given] = ktime_get_ns();
			gs_bench_free_rcu_all(&caches, side, objects + given, 1);
			given++;
			next = max(next + NSEC_PER_MSEC, now);
		}
		usleep_range(100, 150);
		now = ktime_get_ns();
		gs_longest_look(&longest, now);
		now_back = gs_reusable(back, given);
		for (; back < now_back; back++)
			ages[back] = now - freed_at[back];
	} while (back < GS_AGES && now - freed_at[given - 1] < GS_AGE_CAP);
	for (; back < GS_AGES; back++)
		ages[back] = GS_AGE_CAP;

	gs_bench_sort(ages, GS_AGES);
	gs_bench_sample("age_median", "us", side, ages[GS_AGES / 2]);
	gs_bench_sample("age_max", "us", side, ages[GS_AGES - 1]);
	if (side == OURS) {
		gs_bench_sample("age_bound", "us", OURS, ages[GS_AGES - 1]);
		gs_bench_sample("age_bound", "us", PEER,
				2 * longest.longest + 10 * NSEC_PER_MSEC);
	}
	gs_bench_wait(&caches, side);
	return 0;
}

/* Who is not seen to wipe objects would look as if they were held for ever. */
static int gs_check_wipes(void)
{
	struct gs_bench_obj *ours = gs_cache_alloc(caches.ours, GFP_KERNEL);
	struct gs_bench_obj *peers = kmem_cache_alloc(caches.peer, GFP_KERNEL);
	bool wiped = ours && peers;

	if (ours) {
		ours->data[7] = GS_MARK;
		gs_cache_free(caches.ours, ours);
		wiped &= !gs_is_marked(ours);
	}
	if (peers) {
		peers->data[7] = GS_MARK;
		kmem_cache_free(caches.peer, peers);
		wiped &= !gs_is_marked(peers);
	}
	if (wiped)
		return 0;
	pr_err("gs_bench: age needs memory and a kernel booted with init_on_free=1\n");
	return -EOPNOTSUPP;
}

/* ---- rows ----------------------------------------------------------------- */

static int gs_on_caches(unsigned int repeats, gs_bench_once once, size_t nr,
			void (*dtor)(void *obj))
{
	int ret = -ENOMEM;

	objects = gs_bench_objects(nr);
	if (!objects)
		return ret;
	ret = gs_bench_open(&caches, "gs_bench", sizeof(struct gs_bench_obj),
			    dtor);
	if (!ret) {
		if (once == gs_age)
			ret = gs_check_wipes();
		ret = ret ?: gs_bench_repeat(repeats, once);
		gs_bench_close(&caches);
	}
	vfree(objects);
	return ret;
}

static int gs_dtor_run(unsigned int repeats)
{
	return gs_on_caches(repeats, gs_dtor, GS_DTORS, gs_dtor_ours);
}

static int gs_drain_run(unsigned int repeats)
{
	return gs_on_caches(repeats, gs_drain, GS_DRAIN, NULL);
}

static int gs_beside(unsigned int repeats, gs_bench_once once)
{
	int ret = gs_bench_open(&elsewhere, "gs_bench_else", 64, NULL);

	if (ret)
		return ret;
	ret = gs_on_caches(repeats, once, GS_PENDING + GS_DRAIN, NULL);
	gs_bench_close(&elsewhere);
	return ret;
}

static int gs_barrier_run(unsigned int repeats)
{
	return gs_beside(repeats, gs_barrier_row);
}

static int gs_barriers_run(unsigned int repeats)
{
	return gs_beside(repeats, gs_barriers);
}

static int gs_age_run(unsigned int repeats)
{
	return gs_on_caches(repeats, gs_age, GS_AGES, NULL);
}

const struct gs_bench_row gs_bench_grace_rows[] = {
	/* clang-format off */
	{ "dtor", gs_dtor_run },
	{ "drain", gs_drain_run },
	{ "barrier", gs_barrier_run },
	{ "barriers", gs_barriers_run },
	{ "age", gs_age_run },
	{ /* sentinel */ },
	/* clang-format on */
};
