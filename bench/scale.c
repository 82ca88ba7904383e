// SPDX-License-Identifier: GPL-2.0
/*
 * The same work on more and more CPUs at once: what one operation costs each.
 */
#include <linux/atomic.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "gs_bench.h"

#define GS_PAIRS	100000
#define GS_GIVEN	20000
/* Emulated CPUs take turns. */
#define GS_PAIRS_INSN	10000
#define GS_GIVEN_INSN	4000

enum gs_phase { PAIR, FREE_RCU, PHASES };

struct gs_worker {
	struct task_struct *task;
	enum gs_bench_side side;
	void **objects;
	u64 begin[PHASES];
	u64 end[PHASES];
	int ret;
} ____cacheline_aligned;

static struct gs_bench_caches caches;
static struct gs_worker *workers;
static unsigned int together, pairs, given;
static atomic_t ready;
static DECLARE_WAIT_QUEUE_HEAD(gate);

/* Waits for everybody, asleep: a CPU that is done executes nothing. */
static void gs_meet(void)
{
	int seen = roundup(atomic_inc_return(&ready), together);

	wake_up_all(&gate);
	wait_event(gate, atomic_read(&ready) >= seen);
}

static void gs_pairs(struct gs_worker *w)
{
	unsigned int i;
	void *p;

	if (w->side == OURS) {
		for (i = 0; i < pairs; i++) {
			p = gs_cache_alloc(caches.ours, GFP_KERNEL);
			if (!p)
				w->ret = -ENOMEM;
			gs_cache_free(caches.ours, p);
		}
	} else {
		for (i = 0; i < pairs; i++) {
			p = kmem_cache_alloc(caches.peer, GFP_KERNEL);
			if (!p)
				w->ret = -ENOMEM;
			kmem_cache_free(caches.peer, p);
		}
	}
}

static int gs_worker_main(void *arg)
{
	struct gs_worker *w = arg;

	gs_meet();
	w->begin[PAIR] = gs_bench_now();
	gs_pairs(w);
	w->end[PAIR] = gs_bench_now();

	gs_meet();
	if (!w->ret)
		w->ret = gs_bench_alloc_all(&caches, w->side, w->objects, given);
	gs_meet();
	w->begin[FREE_RCU] = gs_bench_now();
	if (!w->ret)
		gs_bench_free_rcu_all(&caches, w->side, w->objects, given);
	w->end[FREE_RCU] = gs_bench_now();
	gs_meet();
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/*
 * What a phase took one CPU. CPUs that count instructions share one count: of
 * those, all that were executed while the phase lasted.
 */
static u64 gs_spent(enum gs_phase phase)
{
	u64 sum = 0, first = U64_MAX, last = 0;
	unsigned int i;

	for (i = 0; i < together; i++) {
		sum += workers[i].end[phase] - workers[i].begin[phase];
		first = min(first, workers[i].begin[phase]);
		last = max(last, workers[i].end[phase]);
	}
	return (gs_bench_insn ? last - first : sum) / together;
}

static int gs_scale(enum gs_bench_side side)
{
	unsigned int nr = 0, i;
	char name[32];
	int ret, cpu;

	ret = gs_bench_again(&caches);
	if (ret)
		return ret;
	atomic_set(&ready, 0);
	for_each_online_cpu(cpu) {
		struct gs_worker *w = &workers[nr];

		if (nr == together)
			break;
		w->side = side;
		w->ret = 0;
		w->task = kthread_create(gs_worker_main, w, "gs_bench/%d", cpu);
		if (IS_ERR(w->task)) {
			ret = PTR_ERR(w->task);
			break;
		}
		kthread_bind(w->task, cpu);
		nr++;
	}
	/* None has begun yet: all do, or none. */
	for (i = 0; i < nr && !ret; i++)
		wake_up_process(workers[i].task);
	if (!ret)
		wait_event(gate, atomic_read(&ready) == 4 * together);
	for (i = 0; i < nr; i++) {
		kthread_stop(workers[i].task);
		ret = ret ?: workers[i].ret;
	}
	gs_bench_wait(&caches, side);
	if (ret)
		return ret;
	scnprintf(name, sizeof(name), "scale_pair_%u", together);
	gs_bench_each(name, side, gs_spent(PAIR), pairs);
	scnprintf(name, sizeof(name), "scale_free_rcu_%u", together);
	gs_bench_each(name, side, gs_spent(FREE_RCU), given);
	return 0;
}

static int gs_scale_run(unsigned int repeats)
{
	unsigned int cpus = num_online_cpus(), i;
	int ret = -ENOMEM;

	pairs = gs_bench_insn ? GS_PAIRS_INSN : GS_PAIRS;
	given = gs_bench_insn ? GS_GIVEN_INSN : GS_GIVEN;
	workers = vzalloc(array_size(cpus, sizeof(*workers)));
	if (!workers)
		return ret;
	for (i = 0; i < cpus; i++) {
		workers[i].objects = gs_bench_objects(given);
		if (!workers[i].objects)
			goto out;
	}
	ret = gs_bench_open(&caches, "gs_bench", sizeof(struct gs_bench_obj),
			    NULL);
	if (ret)
		goto out;
	for (together = 1; together <= cpus && !ret; together *= 2)
		ret = gs_bench_repeat(repeats, gs_scale);
	gs_bench_close(&caches);
out:
	for (i = 0; i < cpus; i++)
		vfree(workers[i].objects);
	vfree(workers);
	return ret;
}

const struct gs_bench_row gs_bench_scale_rows[] = {
	{ "scale", gs_scale_run },
	{ /* sentinel */ },
};
