// SPDX-License-Identifier: GPL-2.0
/*
 * Under load for a while: rcuscale's, and the latency of single operations.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "gs_bench.h"

static unsigned int steady_ms = 10000;
module_param(steady_ms, uint, 0644);
MODULE_PARM_DESC(steady_ms, "how long each load of the row steady takes");

static struct gs_bench_caches caches;

/* ---- steady --------------------------------------------------------------- */

/* rcuscale's kfree_obj, and how many of them it frees in a loop. */
struct gs_small_obj {
	char data[8];
	struct rcu_head rcu;
};

#define GS_LOOP		8000
#define GS_EVERY_MS	10

struct gs_loader {
	struct task_struct *task;
	enum gs_bench_side side;
	u64 done;
	u64 failed;
};

static struct gs_loader loaders[NR_CPUS];
static u64 *held;

static int gs_loader_main(void *arg)
{
	struct gs_loader *l = arg;
	struct gs_small_obj *obj;
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < GS_LOOP; i++) {
			if (l->side == OURS) {
				obj = gs_cache_alloc(caches.ours, GFP_KERNEL);
				if (obj)
					gs_cache_free_rcu(caches.ours, obj);
			} else {
				obj = kmem_cache_alloc(caches.peer, GFP_KERNEL);
				if (obj)
					kfree_rcu(obj, rcu);
			}
			if (!obj)
				l->failed++;
		}
		l->done += GS_LOOP;
		cond_resched();
	}
	return 0;
}

static int gs_start_loaders(enum gs_bench_side side)
{
	struct gs_loader *l;
	int cpu;

	for_each_online_cpu(cpu) {
		l = &loaders[cpu];
		*l = (struct gs_loader){ .side = side };
		l->task = kthread_create(gs_loader_main, l, "gs_bench/%d", cpu);
		if (IS_ERR(l->task)) {
			int ret = PTR_ERR(l->task);

			l->task = NULL;
			return ret;
		}
		kthread_bind(l->task, cpu);
		wake_up_process(l->task);
	}
	return 0;
}

static int gs_steady(enum gs_bench_side side)
{
	unsigned long before, now;
	u64 begin, took, done = 0, failed = 0;
	size_t i, nr = 0;
	int ret, cpu;

	ret = gs_bench_again(&caches);
	if (ret)
		return ret;
	before = gs_bench_free_pages();
	begin = ktime_get_ns();
	ret = gs_start_loaders(side);
	while (!ret &&
	       ktime_get_ns() - begin < (u64)steady_ms * NSEC_PER_MSEC &&
	       nr < steady_ms / GS_EVERY_MS) {
		msleep(GS_EVERY_MS);
		now = gs_bench_free_pages();
		held[nr++] = now < before ?
				     (before - now) * (PAGE_SIZE / 1024) :
				     0;
	}
	for_each_online_cpu(cpu) {
		if (!loaders[cpu].task)
			continue;
		kthread_stop(loaders[cpu].task);
		loaders[cpu].task = NULL;
		done += loaders[cpu].done;
		failed += loaders[cpu].failed;
	}
	took = ktime_get_ns() - begin;
	gs_bench_wait(&caches, side);
	if (!ret && failed) {
		pr_err("gs_bench: steady: %llu allocations failed\n", failed);
		ret = -ENOMEM;
	}
	if (ret)
		return ret;

	gs_bench_sample("steady", "objects/ms", side,
			mul_u64_u64_div_u64(done - failed, 1000 * NSEC_PER_MSEC,
					    took));
	for (i = 0; i < nr; i++)
		gs_bench_point("memory", side, i * took / NSEC_PER_MSEC / nr,
			       held[i]);
	gs_bench_sort(held, nr);
	gs_bench_sample("steady_memory", "KiB", side,
			1000 * held[nr * 99 / 100]);
	return 0;
}

static int gs_steady_run(unsigned int repeats)
{
	int ret;

	held = vzalloc(array_size(steady_ms / GS_EVERY_MS + 1, sizeof(*held)));
	if (!held)
		return -ENOMEM;
	ret = gs_bench_open(&caches, "gs_bench", sizeof(struct gs_small_obj),
			    NULL);
	if (!ret) {
		ret = gs_bench_repeat(repeats, gs_steady);
		gs_bench_close(&caches);
	}
	vfree(held);
	return ret;
}

/* ---- latency -------------------------------------------------------------- */

#define GS_TIMES	200000

static u64 *times;

/* Read faster, and with more resolution, than ktime is everywhere. */
static __always_inline u64 gs_ticks(void)
{
#ifdef __x86_64__
	u32 low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
#else
	return ktime_get_ns();
#endif
}

/* An allocation and a deferred free of it, one after the other. */
static int gs_latency(enum gs_bench_side side)
{
	struct gs_small_obj *obj;
	u64 begin, ticks, nanoseconds;
	size_t i;
	int ret;

	ret = gs_bench_again(&caches);
	if (ret)
		return ret;
	nanoseconds = ktime_get_ns();
	ticks = gs_ticks();
	for (i = 0; i < GS_TIMES; i++) {
		begin = gs_ticks();
		if (side == OURS) {
			obj = gs_cache_alloc(caches.ours, GFP_KERNEL);
			if (!obj)
				return -ENOMEM;
			gs_cache_free_rcu(caches.ours, obj);
		} else {
			obj = kmem_cache_alloc(caches.peer, GFP_KERNEL);
			if (!obj)
				return -ENOMEM;
			kfree_rcu(obj, rcu);
		}
		times[i] = gs_ticks() - begin;
		if (i % GS_LOOP == GS_LOOP - 1)
			cond_resched();
	}
	ticks = gs_ticks() - ticks;
	nanoseconds = ktime_get_ns() - nanoseconds;
	gs_bench_wait(&caches, side);
	gs_bench_sort(times, GS_TIMES);
	for (i = 0; i < GS_TIMES; i++)
		times[i] = mul_u64_u64_div_u64(times[i], nanoseconds, ticks);
	gs_bench_sample("latency_median", "ns", side,
			1000 * times[GS_TIMES / 2]);
	gs_bench_sample("latency_p999", "ns", side,
			1000 * times[GS_TIMES - GS_TIMES / 1000]);
	/* The distribution: closer and closer to the slowest one. */
	for (i = GS_TIMES; i; i = i * 3 / 4)
		gs_bench_point("latency", side, i, times[GS_TIMES - i]);
	return 0;
}

static int gs_latency_run(unsigned int repeats)
{
	int ret;

	times = vzalloc(array_size(GS_TIMES, sizeof(*times)));
	if (!times)
		return -ENOMEM;
	ret = gs_bench_open(&caches, "gs_bench", sizeof(struct gs_small_obj),
			    NULL);
	if (!ret) {
		ret = gs_bench_repeat(repeats, gs_latency);
		gs_bench_close(&caches);
	}
	vfree(times);
	return ret;
}

const struct gs_bench_row gs_bench_load_rows[] = {
	{ "steady", gs_steady_run },
	{ "latency", gs_latency_run },
	{ /* sentinel */ },
};
