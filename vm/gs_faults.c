// SPDX-License-Identifier: GPL-2.0
/*
 * One mistake on purpose, which the parameter names: whoever loads this module
 * wants to see the kernel report it. tools/detectors knows which kernel can.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

#include <graceslab.h>

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "The mistake to make");

static int gs_fault_none(void)
{
	return 0;
}

static int gs_fault_warn(void)
{
	WARN(1, "gs_faults: a warning\n");
	return 0;
}

/* graceslab's own reports */

static int gs_fault_leak(void)
{
	struct gs_cache *c = gs_cache_create("gs_faults", 64, NULL, 0);
	int i;

	if (IS_ERR(c))
		return PTR_ERR(c);
	for (i = 0; i < 3; i++)
		if (!gs_cache_alloc(c, GFP_KERNEL))
			return -ENOMEM;
	return gs_cache_destroy(c) == -EBUSY ? 0 : -EPROTO;
}

static int gs_fault_double_free(void)
{
	struct gs_cache *c = gs_cache_create("gs_faults", 64, NULL,
					     GS_CONSISTENCY);
	void *obj;

	if (IS_ERR(c))
		return PTR_ERR(c);
	obj = gs_cache_alloc(c, GFP_KERNEL);
	gs_cache_free(c, obj);
	gs_cache_free(c, obj);
	gs_cache_destroy(c);
	return 0;
}

/* Memory: two readings each, to see that the first report is not the last. */

static char gs_sum;

static noinline void gs_read_first(char *p)
{
	gs_sum += READ_ONCE(p[1]);
}

static noinline void gs_read_second(char *p)
{
	gs_sum += READ_ONCE(p[9]);
}

static int gs_fault_kasan(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(p);
	kfree(p);
	gs_read_first(p);
	gs_read_second(p);
	return 0;
}

static int gs_fault_kasan_kvfree(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(p);
	gs_kvfree_rcu(p);
	gs_barrier();
	gs_read_first(p);
	gs_read_second(p);
	return 0;
}

static int gs_fault_kasan_bounds(void)
{
	char *p = vmalloc(PAGE_SIZE - 64);

	if (!p)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(p);
	gs_read_first(p + PAGE_SIZE - 64);
	gs_read_second(p + PAGE_SIZE - 64);
	vfree(p);
	return 0;
}

static int gs_fault_kmemleak(void)
{
	int i;

	/* Many: stale pointers to some of them may be anywhere. */
	for (i = 0; i < 200; i++) {
		char *p = kmalloc(8 * i + 8, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(p);
		if (!p)
			return -ENOMEM;
	}
	return 0;
}

/* The same of our own objects */

static int gs_fault_kasan_cache(void)
{
	struct gs_cache *c = gs_cache_create("gs_faults", 64, NULL, 0);
	char *p;

	if (IS_ERR(c))
		return PTR_ERR(c);
	p = gs_cache_alloc(c, GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(p);
	gs_cache_free_rcu(c, p);
	gs_cache_barrier(c);
	gs_read_first(p);
	gs_read_second(p);
	return gs_cache_destroy(c);
}

struct gs_holder {
	struct gs_holder *next;
	void *memory;
};

static struct gs_cache *gs_holders;
static struct gs_holder *gs_held;

/*
 * Objects, each with the only pointer to some memory, and the first of them
 * with the only one to the next. No mistake, as long as somebody has the first.
 */
static int gs_hold(void *(*alloc)(struct gs_cache *c))
{
	int i;

	gs_holders = gs_cache_create("gs_faults", sizeof(struct gs_holder),
				     NULL, 0);
	if (IS_ERR(gs_holders))
		return PTR_ERR(gs_holders);
	for (i = 0; i < 200; i++) {
		struct gs_holder *holder = alloc(gs_holders);

		if (!holder)
			return -ENOMEM;
		holder->memory = kmalloc(64, GFP_KERNEL);
		holder->next = gs_held;
		gs_held = holder;
	}
	return 0;
}

static void *gs_alloc(struct gs_cache *c)
{
	return gs_cache_alloc(c, GFP_KERNEL);
}

/* Where kmemleak cannot be told. */
static void *gs_alloc_irqs_off(struct gs_cache *c)
{
	unsigned long flags;
	void *obj;
	int i;

	for (i = 0; i < 100; i++) {
		local_irq_save(flags);
		obj = gs_cache_alloc(c, 0);
		local_irq_restore(flags);
		if (obj)
			return obj;
		msleep(20);
	}
	return NULL;
}

static int gs_fault_held(void)
{
	return gs_hold(gs_alloc);
}

static int gs_fault_held_irqs_off(void)
{
	return gs_hold(gs_alloc_irqs_off);
}

/* Many: the cache's own sheaves have stale pointers to the last ones. */
#define GS_LOST 500

static int gs_lose(void *(*alloc)(struct gs_cache *c))
{
	struct gs_cache *c = gs_cache_create("gs_faults", 64, NULL, 0);
	int i;

	if (IS_ERR(c))
		return PTR_ERR(c);
	gs_holders = c;
	for (i = 0; i < GS_LOST; i++)
		if (!alloc(c))
			return -ENOMEM;
	return 0;
}

static int gs_fault_kmemleak_cache(void)
{
	return gs_lose(gs_alloc);
}

static int gs_fault_kmemleak_irqs_off(void)
{
	return gs_lose(gs_alloc_irqs_off);
}

/* Enough to keep their slabs, whose free objects kmemleak may look for. */
#define GS_KEEP 16
static void *gs_kept[DIV_ROUND_UP(GS_LOST, GS_KEEP)];

/* Objects that nobody points to, as they have been freed: no mistake. */
static int gs_fault_freed_irqs_off(void)
{
	struct gs_cache_args args = { .sheaf_capacity = 4 };
	struct gs_cache *c = gs_cache_create("gs_faults", 64, &args, 0);
	unsigned long flags;
	void **obj;
	int i;

	if (IS_ERR(c))
		return PTR_ERR(c);
	gs_holders = c;
	obj = kcalloc(GS_LOST, sizeof(*obj), GFP_KERNEL);
	if (!obj)
		return -ENOMEM;
	for (i = 0; i < GS_LOST; i++)
		obj[i] = gs_cache_alloc(c, GFP_KERNEL);
	for (i = 0; i < GS_LOST; i++) {
		if (i % GS_KEEP == 0) {
			gs_kept[i / GS_KEEP] = obj[i];
			continue;
		}
		local_irq_save(flags);
		gs_cache_free(c, obj[i]);
		local_irq_restore(flags);
	}
	kfree(obj);
	return 0;
}

static int gs_shift = 40, gs_index = 6;
static struct {
	int array[4];
	int more[4];
} gs_bounds;

static int gs_fault_ubsan_shift(void)
{
	gs_sum += 1 << READ_ONCE(gs_shift);
	return 0;
}

static int gs_fault_ubsan_bounds(void)
{
	gs_sum += gs_bounds.array[READ_ONCE(gs_index)];
	return 0;
}

static int gs_fault_list(void)
{
	static LIST_HEAD(head);
	static struct list_head a, b, other;

	list_add(&a, &head);
	head.next = &other;
	list_add_tail(&b, &a);
	return 0;
}

/* Locks, RCU, contexts */

static DEFINE_SPINLOCK(gs_one);
static DEFINE_SPINLOCK(gs_two);
static DEFINE_RAW_SPINLOCK(gs_raw);

static int gs_fault_lockdep(void)
{
	spin_lock(&gs_one);
	spin_lock(&gs_two);
	spin_unlock(&gs_two);
	spin_unlock(&gs_one);

	spin_lock(&gs_two);
	spin_lock(&gs_one);
	spin_unlock(&gs_one);
	spin_unlock(&gs_two);
	return 0;
}

static int gs_fault_nesting(void)
{
	raw_spin_lock(&gs_raw);
	spin_lock(&gs_one);
	spin_unlock(&gs_one);
	raw_spin_unlock(&gs_raw);
	return 0;
}

static int __rcu *gs_pointer;

static int gs_fault_rcu(void)
{
	gs_sum += !!rcu_dereference(gs_pointer);
	return 0;
}

static int gs_fault_atomic_sleep(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
	return 0;
}

static int gs_fault_preempt(void)
{
	gs_sum += smp_processor_id();
	return 0;
}

static void gs_head_done(struct rcu_head *head)
{
}

static int gs_fault_rcu_head(void)
{
	static struct rcu_head head;

	call_rcu(&head, gs_head_done);
	call_rcu(&head, gs_head_done);
	rcu_barrier();
	return 0;
}

static void gs_timer_fired(struct timer_list *timer)
{
}

static int gs_fault_timer(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return -ENOMEM;
	timer_setup(timer, gs_timer_fired, 0);
	mod_timer(timer, jiffies + HZ);
	kfree(timer);
	return 0;
}

/* With rcupdate.rcu_cpu_stall_timeout=3, to which lockdep adds 5. */
static int gs_fault_stall(void)
{
	static struct rcu_head head;
	ktime_t end = ktime_add_ms(ktime_get(), 12000);

	call_rcu(&head, gs_head_done);
	preempt_disable();
	while (ktime_before(ktime_get(), end))
		cpu_relax();
	preempt_enable();
	rcu_barrier();
	return 0;
}

/* Two threads that do the same to the same memory, and nothing to agree on it */
struct gs_race {
	ktime_t end;
	void (*step)(void);
};

static int gs_racer(void *data)
{
	struct gs_race *race = data;

	while (ktime_before(ktime_get(), race->end)) {
		race->step();
		barrier();
	}
	while (!kthread_should_stop())
		schedule_timeout_idle(1);
	return 0;
}

static int gs_race(void (*step)(void))
{
	struct gs_race race = {
		.end = ktime_add_ms(ktime_get(), 3000),
		.step = step,
	};
	struct task_struct *racers[2];
	int i;

	for (i = 0; i < 2; i++) {
		racers[i] = kthread_create(gs_racer, &race, "gs_racer/%d", i);
		if (IS_ERR(racers[i]))
			return PTR_ERR(racers[i]);
		kthread_bind(racers[i], i % num_online_cpus());
	}
	for (i = 0; i < 2; i++)
		wake_up_process(racers[i]);
	msleep(1000); /* one that is stopped before it ran would not run */
	for (i = 0; i < 2; i++)
		kthread_stop(racers[i]);
	return 0;
}

static int gs_raced;

static void gs_race_count(void)
{
	gs_raced++;
}

static int gs_fault_race(void)
{
	return gs_race(gs_race_count);
}

/* The same where what is done is compiled from Rust: nothing is freed. */
static struct gs_cache *gs_race_cache;
static void *gs_race_objects[16];

static void gs_race_free(void)
{
	gs_cache_free_bulk(gs_race_cache, ARRAY_SIZE(gs_race_objects),
			   gs_race_objects);
}

static int gs_fault_race_rust(void)
{
	int ret;

	gs_race_cache = gs_cache_create("gs_faults", 64, NULL, 0);
	if (IS_ERR(gs_race_cache))
		return PTR_ERR(gs_race_cache);
	ret = gs_race(gs_race_free);
	return ret ?: gs_cache_destroy(gs_race_cache);
}

/* Allocations that fail on request: with failslab and fail_page_alloc set up. */
static int gs_fault_inject(void)
{
#ifdef CONFIG_FAULT_INJECTION
	unsigned long page;
	void *p;

	current->make_it_fail = 1;
	p = kmalloc(64, GFP_KERNEL);
	page = __get_free_page(GFP_KERNEL);
	current->make_it_fail = 0;
	pr_info("gs_faults: kmalloc() %s\n", p ? "worked" : "failed");
	pr_info("gs_faults: __get_free_page() %s\n", page ? "worked" : "failed");
	kfree(p);
	free_page(page);
	return 0;
#else
	return -EOPNOTSUPP;
#endif
}

static const struct {
	const char *name;
	int (*make)(void);
} gs_faults[] = {
	{ "none", gs_fault_none },
	{ "warn", gs_fault_warn },
	{ "leak", gs_fault_leak },
	{ "double_free", gs_fault_double_free },
	{ "kasan", gs_fault_kasan },
	{ "kasan_kvfree", gs_fault_kasan_kvfree },
	{ "kasan_cache", gs_fault_kasan_cache },
	{ "kasan_bounds", gs_fault_kasan_bounds },
	{ "kmemleak", gs_fault_kmemleak },
	{ "kmemleak_cache", gs_fault_kmemleak_cache },
	{ "kmemleak_irqs_off", gs_fault_kmemleak_irqs_off },
	{ "held", gs_fault_held },
	{ "held_irqs_off", gs_fault_held_irqs_off },
	{ "freed_irqs_off", gs_fault_freed_irqs_off },
	{ "ubsan_shift", gs_fault_ubsan_shift },
	{ "ubsan_bounds", gs_fault_ubsan_bounds },
	{ "list", gs_fault_list },
	{ "lockdep", gs_fault_lockdep },
	{ "nesting", gs_fault_nesting },
	{ "rcu", gs_fault_rcu },
	{ "atomic_sleep", gs_fault_atomic_sleep },
	{ "preempt", gs_fault_preempt },
	{ "rcu_head", gs_fault_rcu_head },
	{ "timer", gs_fault_timer },
	{ "stall", gs_fault_stall },
	{ "race", gs_fault_race },
	{ "race_rust", gs_fault_race_rust },
	{ "inject", gs_fault_inject },
};

static int __init gs_faults_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gs_faults); i++) {
		if (!strcmp(fault, gs_faults[i].name))
			return gs_faults[i].make();
	}
	pr_err("gs_faults: no fault is called %s\n", fault);
	return -EINVAL;
}
module_init(gs_faults_init);

static void __exit gs_faults_exit(void)
{
	int i;

	while (gs_held) {
		struct gs_holder *holder = gs_held;

		gs_held = holder->next;
		kfree(holder->memory);
		gs_cache_free(gs_holders, holder);
	}
	for (i = 0; i < ARRAY_SIZE(gs_kept); i++)
		gs_cache_free(gs_holders, gs_kept[i]);
	if (!IS_ERR_OR_NULL(gs_holders))
		gs_cache_destroy(gs_holders);
}
module_exit(gs_faults_exit);

MODULE_DESCRIPTION("Mistakes on purpose, for the kernel to report");
MODULE_LICENSE("GPL");
