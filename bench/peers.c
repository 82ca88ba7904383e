// SPDX-License-Identifier: GPL-2.0
/*
 * The peer's own tests, with either side doing the job: the load of rcuscale's
 * kfree_rcu_test, and test_vmalloc's two cases of kvfree_rcu.
 */
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "gs_bench.h"

/* ---- rcuscale ------------------------------------------------------------- */

static unsigned int scale_loops = 10;
module_param(scale_loops, uint, 0644);
MODULE_PARM_DESC(scale_loops, "kfree_loops of the row rcuscale");

static unsigned int scale_objects = 8000;
module_param(scale_objects, uint, 0644);
MODULE_PARM_DESC(scale_objects, "kfree_alloc_num of the row rcuscale");

/* Its kfree_obj. */
struct gs_scale_obj {
	char kfree_obj[8];
	struct rcu_head rh;
};

struct gs_scaler {
	struct task_struct *task;
	enum gs_bench_side side;
	long long mem; /* pages that were missing, as it reckons */
	u64 end;
	bool failed;
};

static struct gs_scaler scalers[NR_CPUS];

/* Each second object by its head, as it does when it is not told. */
static int gs_scaler_main(void *arg)
{
	struct gs_scaler *s = arg;
	long long begin, during = 0;
	unsigned int loop, i;

	begin = si_mem_available();
	for (loop = 0; loop < scale_loops && !s->failed; loop++) {
		if (!during)
			during = begin;
		else if (loop % max(1U, scale_loops / 4) == 0)
			during = (during + si_mem_available()) / 2;
		for (i = 0; i < scale_objects; i++) {
			struct gs_scale_obj *obj = kzalloc(sizeof(*obj),
							   GFP_KERNEL);

			if (!obj) {
				s->failed = true;
				break;
			}
			if (s->side == OURS && i % 2)
				gs_kvfree_rcu(obj);
			else if (s->side == OURS)
				gs_kvfree_rcu_head(obj, rh);
			else if (i % 2)
				kfree_rcu_mightsleep(obj);
			else
				kfree_rcu(obj, rh);
		}
		cond_resched();
	}
	s->mem = begin - during;
	s->end = ktime_get_mono_fast_ns();
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static int gs_scale(enum gs_bench_side side)
{
	unsigned long periods = gs_bench_grace_periods();
	u64 begin = ktime_get_mono_fast_ns(), end = 0, drained, nr = 0;
	long long mem = 0;
	int cpu, ret = 0;

	for_each_online_cpu(cpu) {
		struct gs_scaler *s = &scalers[cpu];

		*s = (struct gs_scaler){ .side = side };
		s->task = kthread_create(gs_scaler_main, s, "gs_peers/%d", cpu);
		if (IS_ERR(s->task)) {
			ret = PTR_ERR(s->task);
			s->task = NULL;
			break;
		}
		kthread_bind(s->task, cpu);
		set_user_nice(s->task, MAX_NICE);
		wake_up_process(s->task);
	}
	for_each_online_cpu(cpu) {
		struct gs_scaler *s = &scalers[cpu];

		if (!s->task)
			continue;
		while (!READ_ONCE(s->end))
			schedule_timeout_uninterruptible(1);
		kthread_stop(s->task);
		s->task = NULL;
		end = max(end, s->end);
		mem = max(mem, s->mem);
		ret = ret ?: s->failed ? -ENOMEM : 0;
		nr += (u64)scale_loops * scale_objects;
	}
	gs_bench_wait_pointers(side);
	if (ret)
		return ret;
	drained = ktime_get_mono_fast_ns() - begin;
	periods = gs_bench_grace_periods() - periods;
	pr_info("%s: Total time taken by all kfree'ers: %llu ns, loops: %u, batches: %lu, memory footprint: %lldMB, drained: %llu ns\n",
		side == OURS ? "graceslab" : "kernel", end - begin, scale_loops,
		periods, mem >> (20 - PAGE_SHIFT), drained);
	gs_bench_each("rcuscale", side, end - begin, nr);
	gs_bench_each("rcuscale_drained", side, drained, nr);
	return 0;
}

static int gs_scale_run(unsigned int repeats)
{
	return gs_bench_repeat(repeats, gs_scale);
}

/* ---- test_vmalloc --------------------------------------------------------- */

static unsigned int vmalloc_loops = 20000;
module_param(vmalloc_loops, uint, 0644);
MODULE_PARM_DESC(vmalloc_loops, "test_loop_count of the rows vmalloc_1_arg and vmalloc_2_args; the peer's is 1000000");

/* Its test_kvfree_rcu. */
struct gs_vmalloc_obj {
	struct rcu_head rcu;
	unsigned char array[20];
};

static int gs_vmalloc(enum gs_bench_side side, bool headed)
{
	u64 begin = gs_bench_now();
	unsigned int i;

	for (i = 0; i < vmalloc_loops; i++) {
		struct gs_vmalloc_obj *p = vmalloc(1 * PAGE_SIZE);

		if (!p)
			return -ENOMEM;
		p->array[0] = 'a';
		if (side == OURS && headed)
			gs_kvfree_rcu_head(p, rcu);
		else if (side == OURS)
			gs_kvfree_rcu(p);
		else if (headed)
			kvfree_rcu(p, rcu);
		else
			kvfree_rcu_mightsleep(p);
		if (i % 1024 == 1023)
			cond_resched();
	}
	gs_bench_each(headed ? "vmalloc_2_args" : "vmalloc_1_arg", side,
		      gs_bench_now() - begin, vmalloc_loops);
	gs_bench_wait_pointers(side);
	gs_bench_each(headed ? "vmalloc_2_drained" : "vmalloc_1_drained", side,
		      gs_bench_now() - begin, vmalloc_loops);
	return 0;
}

static int gs_vmalloc_1(enum gs_bench_side side)
{
	return gs_vmalloc(side, false);
}

static int gs_vmalloc_2(enum gs_bench_side side)
{
	return gs_vmalloc(side, true);
}

static int gs_vmalloc_run(unsigned int repeats)
{
	int ret = gs_bench_repeat(repeats, gs_vmalloc_1);

	return ret ?: gs_bench_repeat(repeats, gs_vmalloc_2);
}

const struct gs_bench_row gs_bench_peers_rows[] = {
	{ "rcuscale", gs_scale_run },
	{ "test_vmalloc", gs_vmalloc_run },
	{ /* sentinel */ },
};
