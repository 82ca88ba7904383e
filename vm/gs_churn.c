// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that allocate, publish, replace and free objects while other things
 * happen: other modules are used, CPUs come and go. Readers among them look at
 * what is published. When the module is unloaded, nothing may be missing.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <graceslab.h>

#define GS_LIVE		0x6c697665
#define GS_DEAD		0x64656164
#define GS_SLOTS	64
#define GS_HELD		100

static unsigned int threads = 3;
module_param(threads, uint, 0444);

struct gs_item {
	u32 state;
	atomic_t owners;
	u64 key;
};

static struct gs_cache *cache;
static struct task_struct **tasks;
static struct gs_item __rcu *slots[GS_SLOTS];
static atomic_long_t ops, given, dropped, pointers, stale, shared;

/* Once per object: from then on, who allocates it must be its only owner. */
static void gs_item_ctor(void *p)
{
	struct gs_item *item = p;

	item->state = GS_DEAD;
	atomic_set(&item->owners, 0);
}

static void gs_item_dtor(void *p)
{
	struct gs_item *item = p;

	WRITE_ONCE(item->state, GS_DEAD);
	if (atomic_dec_return(&item->owners))
		atomic_long_inc(&shared);
	atomic_long_inc(&dropped);
}

static struct gs_item *gs_item_new(gfp_t gfp)
{
	struct gs_item *item = gs_cache_alloc(cache, gfp);

	if (!item)
		return NULL;
	if (atomic_inc_return(&item->owners) != 1)
		atomic_long_inc(&shared);
	item->key = get_random_u64();
	WRITE_ONCE(item->state, GS_LIVE);
	return item;
}

static void gs_item_free(struct gs_item *item)
{
	WRITE_ONCE(item->state, GS_DEAD);
	if (atomic_dec_return(&item->owners))
		atomic_long_inc(&shared);
	gs_cache_free(cache, item);
}

static void gs_item_free_rcu(struct gs_item *item)
{
	atomic_long_inc(&given);
	gs_cache_free_rcu(cache, item);
}

static void gs_look(void)
{
	struct gs_item *item;
	unsigned int i;
	u64 key;

	rcu_read_lock();
	item = rcu_dereference(slots[get_random_u32_below(GS_SLOTS)]);
	if (item) {
		key = READ_ONCE(item->key);
		for (i = 0; i < 200; i++) {
			if (READ_ONCE(item->state) != GS_LIVE ||
			    READ_ONCE(item->key) != key) {
				atomic_long_inc(&stale);
				break;
			}
			cpu_relax();
		}
	}
	rcu_read_unlock();
}

static void gs_replace(struct gs_item *item)
{
	struct gs_item *old;

	old = unrcu_pointer(xchg(&slots[get_random_u32_below(GS_SLOTS)],
				 RCU_INITIALIZER(item)));
	if (old)
		gs_item_free_rcu(old);
}

static int gs_churn_main(void *arg)
{
	struct gs_item **held = arg;
	unsigned int n = 0, round;

	for (round = 0; !kthread_should_stop(); round++) {
		while (n < GS_HELD) {
			held[n] = gs_item_new(GFP_KERNEL);
			if (!held[n])
				break;
			n++;
		}
		while (n > GS_HELD / 4) {
			struct gs_item *item = held[--n];

			switch (get_random_u32_below(4)) {
			case 0:
				gs_item_free(item);
				break;
			case 1:
				gs_item_free_rcu(item);
				break;
			default:
				gs_replace(item);
			}
			gs_look();
		}
		gs_kvfree_rcu(kmalloc(200, GFP_KERNEL));
		atomic_long_inc(&pointers);
		atomic_long_add(GS_HELD, &ops);
		if (round % 64 == 0)
			gs_cache_barrier(cache);
		if (round % 256 == 0)
			gs_cache_shrink(cache);
		cond_resched();
	}
	while (n)
		gs_item_free_rcu(held[--n]);
	kfree(held);
	return 0;
}

/* ---- frees that a CPU leaves behind ----------------------------------------- */

#define GS_LEFT		4000

static struct {
	struct hrtimer timer;
	struct gs_cache *cache;
	unsigned int cpu;
	unsigned int have, freed;
	atomic_t done;
	void *objs[GS_LEFT];
} left;

static void gs_left_dtor(void *p)
{
	atomic_inc(&left.done);
}

/* Defers a free every millisecond, up to the last one of its CPU. */
static enum hrtimer_restart gs_left_fn(struct hrtimer *timer)
{
	if (raw_smp_processor_id() != left.cpu || left.freed == left.have)
		return HRTIMER_NORESTART;
	gs_cache_free_rcu(left.cache, left.objs[left.freed++]);
	hrtimer_forward_now(timer, ms_to_ktime(1));
	return HRTIMER_RESTART;
}

static long gs_left_start(void *unused)
{
	/* An interrupt asks for no memory: there have to be sheaves for it. */
	while (left.freed < left.have / 4)
		gs_cache_free_rcu(left.cache, left.objs[left.freed++]);
	hrtimer_start(&left.timer, ms_to_ktime(1), HRTIMER_MODE_REL_PINNED_HARD);
	return 0;
}

static void gs_left_run(void)
{
	int i, gone;

	left.freed = 0;
	atomic_set(&left.done, 0);
	for (left.have = 0; left.have < GS_LEFT; left.have++) {
		left.objs[left.have] = gs_cache_alloc(left.cache, GFP_KERNEL);
		if (!left.objs[left.have])
			break;
	}
	hrtimer_setup(&left.timer, gs_left_fn, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	work_on_cpu(left.cpu, gs_left_start, NULL);
	msleep(200);
	gone = remove_cpu(left.cpu);
	hrtimer_cancel(&left.timer);

	/* Nobody waits for them, and their CPU stays away until they are done. */
	for (i = 0; i < 100 && atomic_read(&left.done) < left.freed; i++)
		msleep(20);
	pr_info("gs_churn: %u frees were left on CPU %u, %d of them done\n",
		left.freed, left.cpu, atomic_read(&left.done));
	if (!gone)
		gone = add_cpu(left.cpu);
	if (gone)
		pr_err("gs_churn: CPU %u: %d\n", left.cpu, gone);
	for (i = left.freed; i < left.have; i++)
		gs_cache_free(left.cache, left.objs[i]);
}

static int leave_set(const char *val, const struct kernel_param *kp)
{
	struct gs_cache_args args = { .rcu_dtor = gs_left_dtor };
	int ret = kstrtouint(val, 0, &left.cpu);

	if (ret)
		return ret;
	if (!cpu_online(left.cpu))
		return -EINVAL;
	left.cache = gs_cache_create("gs_churn_left", 64, &args, 0);
	if (IS_ERR(left.cache))
		return PTR_ERR(left.cache);
	gs_left_run();
	return gs_cache_destroy(left.cache);
}

static const struct kernel_param_ops leave_ops = { .set = leave_set };
module_param_cb(leave, &leave_ops, NULL, 0200);
MODULE_PARM_DESC(leave, "Defer frees on this CPU and take it offline");

/* Many objects for a moment, so that the cache has memory to spare. */
static int spare_set(const char *val, const struct kernel_param *kp)
{
	unsigned int nr, i;
	struct gs_item **items;
	int ret = kstrtouint(val, 0, &nr);

	if (ret)
		return ret;
	items = kvcalloc(nr, sizeof(*items), GFP_KERNEL);
	if (!items)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		items[i] = gs_item_new(GFP_KERNEL);
	for (i = 0; i < nr; i++)
		if (items[i])
			gs_item_free(items[i]);
	kvfree(items);
	return 0;
}

static const struct kernel_param_ops spare_ops = { .set = spare_set };
module_param_cb(spare, &spare_ops, NULL, 0200);
MODULE_PARM_DESC(spare, "Allocate and free that many objects");

static void gs_churn_stop(void)
{
	unsigned int i;

	for (i = 0; i < threads; i++)
		if (tasks[i])
			kthread_stop(tasks[i]);
	for (i = 0; i < GS_SLOTS; i++) {
		struct gs_item *item = rcu_dereference_raw(slots[i]);

		if (item)
			gs_item_free_rcu(item);
	}
	kfree(tasks);
}

static int __init gs_churn_init(void)
{
	struct gs_cache_args args = {
		.ctor = gs_item_ctor,
		.rcu_dtor = gs_item_dtor,
	};
	unsigned int i;

	tasks = kcalloc(threads, sizeof(*tasks), GFP_KERNEL);
	if (!tasks)
		return -ENOMEM;
	cache = gs_cache_create("gs_churn", sizeof(struct gs_item), &args,
				GS_CONSISTENCY);
	if (IS_ERR(cache)) {
		kfree(tasks);
		return PTR_ERR(cache);
	}
	for (i = 0; i < threads; i++) {
		void *held = kcalloc(GS_HELD, sizeof(void *), GFP_KERNEL);
		struct task_struct *task;

		task = ERR_PTR(-ENOMEM);
		if (held)
			task = kthread_run(gs_churn_main, held, "gs_churn/%u",
					   i);
		if (IS_ERR(task)) {
			kfree(held);
			gs_churn_stop();
			gs_cache_destroy(cache);
			return PTR_ERR(task);
		}
		tasks[i] = task;
	}
	return 0;
}
module_init(gs_churn_init);

static void __exit gs_churn_exit(void)
{
	struct gs_cache_stats s;
	int ret;

	gs_churn_stop();
	ret = gs_cache_stats(cache, &s);
	pr_info("gs_churn: exit: %lld pending\n",
		ret ? -1 : (s64)(s.queued - s.done));
	ret = gs_cache_destroy(cache);
	pr_info("gs_churn: destroyed: %d; %ld allocations, %ld frees given, %ld done, %ld pointers, %ld stale reads, %ld shared objects\n",
		ret, atomic_long_read(&ops), atomic_long_read(&given),
		atomic_long_read(&dropped), atomic_long_read(&pointers),
		atomic_long_read(&stale), atomic_long_read(&shared));
}
module_exit(gs_churn_exit);

MODULE_DESCRIPTION("Allocates and frees while other things happen");
MODULE_LICENSE("GPL");
