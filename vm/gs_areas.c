// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own kvfree_rcu cases of test_vmalloc, with gs_kvfree_rcu() and
 * gs_kvfree_rcu_head() in their place, and readers as rcutorture has them.
 *
 * On each CPU a worker allocates an area of a page and frees it, @loops times
 * without a head and as often by one. Now and then it publishes its area and
 * frees the one that was published before instead. Readers look at those: each
 * area has a number of its own at both ends of its page and a pattern between
 * them, and no other number may turn up there, nor the page be gone, as long as
 * the reader is inside.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include <graceslab.h>

static unsigned int loops = 20000;
module_param(loops, uint, 0444);
MODULE_PARM_DESC(loops, "test_loop_count: areas that each worker frees in each case");

#define GS_AREA_SLOTS	8
#define GS_AREA_EVERY	16	/* one in so many is published first */

struct gs_area {
	struct rcu_head rcu;
	u64 number;
	u8 array[PAGE_SIZE - sizeof(struct rcu_head) - 2 * sizeof(u64)];
	u64 again;
};

struct gs_area_worker {
	struct task_struct *task;
	bool headed;
	bool failed;
	bool done;
};

static struct gs_area __rcu *slots[GS_AREA_SLOTS];
static atomic64_t numbers, given;
static atomic_long_t looks, wrong;
static struct gs_area_worker workers[NR_CPUS];
static struct task_struct *readers[NR_CPUS];

static struct gs_area *gs_area_new(void)
{
	struct gs_area *area = vmalloc(sizeof(*area));

	BUILD_BUG_ON(sizeof(*area) != PAGE_SIZE);
	if (area) {
		area->number = atomic64_inc_return(&numbers);
		area->again = area->number;
	}
	return area;
}

static struct gs_area *gs_area_publish(struct gs_area *area, unsigned int slot)
{
	if (area)
		memset(area->array, (u8)area->number, sizeof(area->array));
	return unrcu_pointer(xchg(&slots[slot], RCU_INITIALIZER(area)));
}

/* Nobody who comes from now on finds it, and whoever is inside keeps it. */
static void gs_area_free(struct gs_area *area, bool headed)
{
	if (!area)
		return;
	atomic64_inc(&given);
	if (headed)
		gs_kvfree_rcu_head(area, rcu);
	else
		gs_kvfree_rcu(area);
}

static int gs_area_work(void *arg)
{
	struct gs_area_worker *w = arg;
	unsigned int i;

	for (i = 0; i < loops; i++) {
		struct gs_area *area = gs_area_new();

		if (!area) {
			w->failed = true;
			break;
		}
		if (i % GS_AREA_EVERY == 0) {
			u32 slot = get_random_u32_below(GS_AREA_SLOTS);

			area = gs_area_publish(area, slot);
		}
		gs_area_free(area, w->headed);
		if (i % 1024 == 1023)
			cond_resched();
	}
	WRITE_ONCE(w->done, true);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static bool gs_area_is(const struct gs_area *area, u64 number)
{
	size_t at = get_random_u32_below(sizeof(area->array));

	return READ_ONCE(area->number) == number &&
	       READ_ONCE(area->again) == number &&
	       READ_ONCE(area->array[at]) == (u8)number;
}

static int gs_area_read(void *unused)
{
	while (!kthread_should_stop()) {
		unsigned int i, dwell = get_random_u32_below(300);
		bool same = true;
		const struct gs_area *area;
		u64 number;
		u32 slot;

		rcu_read_lock();
		slot = get_random_u32_below(GS_AREA_SLOTS);
		area = rcu_dereference(slots[slot]);
		if (area) {
			number = READ_ONCE(area->number);
			for (i = 0; i <= dwell && same; i++) {
				same = gs_area_is(area, number);
				udelay(1);
			}
			if (!same)
				atomic_long_inc(&wrong);
			atomic_long_inc(&looks);
		}
		rcu_read_unlock();
		/* The workers are to have most of the CPU. */
		usleep_range(300, 600);
	}
	return 0;
}

static int gs_area_start(struct task_struct **task, int (*fn)(void *),
			 void *arg, unsigned int cpu)
{
	struct task_struct *t = kthread_create(fn, arg, "gs_areas/%u", cpu);

	if (IS_ERR(t))
		return PTR_ERR(t);
	kthread_bind(t, cpu);
	wake_up_process(t);
	*task = t;
	return 0;
}

static int gs_area_case(bool headed)
{
	int cpu, ret = 0;

	for_each_online_cpu(cpu) {
		struct gs_area_worker *w = &workers[cpu];

		*w = (struct gs_area_worker){ .headed = headed };
		ret = ret ?: gs_area_start(&w->task, gs_area_work, w, cpu);
	}
	for_each_online_cpu(cpu) {
		struct gs_area_worker *w = &workers[cpu];

		if (!w->task)
			continue;
		while (!READ_ONCE(w->done))
			msleep(20);
		kthread_stop(w->task);
		ret = ret ?: w->failed ? -ENOMEM : 0;
	}
	return ret;
}

static int __init gs_areas_init(void)
{
	int cpu, i, ret = 0;

	for_each_online_cpu(cpu) {
		if (!ret)
			ret = gs_area_start(&readers[cpu], gs_area_read, NULL,
					    cpu);
	}
	ret = ret ?: gs_area_case(false);
	ret = ret ?: gs_area_case(true);
	for_each_online_cpu(cpu)
		if (readers[cpu])
			kthread_stop(readers[cpu]);
	for (i = 0; i < GS_AREA_SLOTS; i++)
		gs_area_free(gs_area_publish(NULL, i), i % 2);
	gs_barrier();
	pr_info("gs_areas: %lld areas, %lld given back, %ld looks, %ld wrong\n",
		atomic64_read(&numbers), atomic64_read(&given),
		atomic_long_read(&looks), atomic_long_read(&wrong));
	return ret;
}

static void __exit gs_areas_exit(void)
{
}

module_init(gs_areas_init);
module_exit(gs_areas_exit);
MODULE_DESCRIPTION("test_vmalloc's cases of kvfree_rcu, with readers");
MODULE_LICENSE("GPL");
