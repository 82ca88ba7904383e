// SPDX-License-Identifier: GPL-2.0
/*
 * Frees where there is no memory: either the machine is driven out of it
 * (exhaust), or every attempt of this task to get some is made to fail by the
 * kernel's own fault injection (faults), which whoever writes to the parameter
 * has set up.
 *
 * Every way that others' pointers can take must have been taken, and in the
 * end nothing may be missing.
 */
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <graceslab.h>

#define GS_STARVE_NR		24000
#define GS_STARVE_BURST		8000	/* more than there are reserves for */
#define GS_STARVE_OWN		2000
#define GS_STARVE_WAITS		3

struct gs_starve_object {
	u64 key;
	struct gs_rcu_head head;
	u64 tail[2];
};

struct gs_starve {
	struct kmem_cache *peer;
	struct gs_cache *own;
	struct gs_starve_object **obj; /* of the peer */
	void **owned;
	unsigned int next;
	struct task_struct *reader;
	ktime_t leave_at;
	bool hold, inside;
	bool exhaust;
	void *hoard;           /* memory that nobody else is to get */
	unsigned long hoarded; /* bytes of it */
	u64 before[GS_STEP_LEAKED + 1];
	u64 starved[GS_STEP_LEAKED + 1]; /* steps while there was no memory */
};

static atomic_t gs_starve_dtors;

static void gs_starve_dtor(void *obj)
{
	atomic_inc(&gs_starve_dtors);
}

static u64 moved(const struct gs_starve *s, unsigned int step)
{
	return gs_steps(step) - s->before[step];
}

/* Take all that there is, the largest pieces first. */
static void gs_starve_hoard(struct gs_starve *s)
{
	static const size_t sizes[] = { PAGE_SIZE, 1024, 256, 64, 32, 8 };
	gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOMEMALLOC |
		    __GFP_NOWARN;
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		void *p;

		while ((p = kmalloc(sizes[i], gfp))) {
			*(void **)p = s->hoard;
			s->hoard = p;
			s->hoarded += sizes[i];
		}
	}
}

static void gs_starve_feed(struct gs_starve *s)
{
	while (s->hoard) {
		void *p = s->hoard;

		s->hoard = *(void **)p;
		kfree(p);
	}
}

/*
 * What is freed is memory again: it is taken, too, but not so often that a
 * grace period ends meanwhile and the reserves come back.
 */
static struct gs_starve_object *gs_starve_next(struct gs_starve *s)
{
	if (s->next >= GS_STARVE_NR)
		return NULL;
	if (s->exhaust && s->next % GS_STARVE_BURST == 0)
		gs_starve_hoard(s);
	return s->obj[s->next++];
}

/* A reader that is there already: to make one takes memory. */
static int gs_starve_reader(void *arg)
{
	struct gs_starve *s = arg;

	while (!kthread_should_stop()) {
		if (!READ_ONCE(s->hold)) {
			schedule_timeout_interruptible(1);
			continue;
		}
		rcu_read_lock();
		WRITE_ONCE(s->inside, true);
		while (ktime_before(ktime_get(), READ_ONCE(s->leave_at)))
			cpu_relax();
		rcu_read_unlock();
		WRITE_ONCE(s->hold, false);
		WRITE_ONCE(s->inside, false);
	}
	return 0;
}

static void gs_starve_enter(struct gs_starve *s)
{
	WRITE_ONCE(s->leave_at, ktime_add_ms(ktime_get(), 10 * MSEC_PER_SEC));
	WRITE_ONCE(s->hold, true);
	while (!READ_ONCE(s->inside))
		schedule_timeout_uninterruptible(1);
}

static void gs_starve_leave_in(struct gs_starve *s, unsigned int ms)
{
	WRITE_ONCE(s->leave_at, ktime_add_ms(ktime_get(), ms));
}

/* Frees until there is no room and no memory: nothing comes back under a reader. */
static const char *gs_starve_fill(struct gs_starve *s)
{
	struct gs_starve_object *obj;
	int ret = 0;

	while (!ret) {
		obj = gs_starve_next(s);
		if (!obj)
			return "gs_try_kvfree_rcu() was never refused";
		preempt_disable();
		ret = gs_try_kvfree_rcu(obj, GFP_NOWAIT);
		preempt_enable();
	}
	s->next--;
	return ret == -ENOMEM ? NULL : "gs_try_kvfree_rcu() gave another error";
}

/* Each way, until it has been taken or nothing is left to be freed. */
static const char *gs_starve_free(struct gs_starve *s)
{
	struct gs_starve_object *obj;
	const char *why = NULL;
	unsigned long irqs;
	int i;

	while (!why && moved(s, GS_STEP_WAITED) < GS_STARVE_WAITS) {
		gs_starve_enter(s);
		why = gs_starve_fill(s);
		gs_starve_leave_in(s, 50);
		obj = why ? NULL : gs_starve_next(s);
		if (obj)
			gs_kvfree_rcu(obj);
		while (READ_ONCE(s->inside))
			schedule_timeout_uninterruptible(1);
	}
	if (why)
		return why;
	while (moved(s, GS_STEP_LINKED) < 100) {
		obj = gs_starve_next(s);
		if (!obj)
			return "gs_kvfree_rcu_head() never used a head";
		local_irq_save(irqs);
		gs_kvfree_rcu_head(obj, head);
		local_irq_restore(irqs);
	}
	for (i = 0; i < GS_STARVE_OWN; i++)
		gs_cache_free_rcu(s->own, s->owned[i]);
	if (!moved(s, GS_STEP_RESERVE))
		return "no reserve was used";
	return NULL;
}

static const char *gs_starve_prepare(struct gs_starve *s)
{
	static const struct gs_cache_args args = { .rcu_dtor = gs_starve_dtor };
	int i;

	atomic_set(&gs_starve_dtors, 0);
	s->obj = kvcalloc(GS_STARVE_NR, sizeof(*s->obj), GFP_KERNEL);
	s->owned = kvcalloc(GS_STARVE_OWN, sizeof(*s->owned), GFP_KERNEL);
	s->peer = KMEM_CACHE(gs_starve_object, SLAB_NO_MERGE);
	s->own = gs_cache_create("gs_starve", 64, &args, GS_CONSISTENCY);
	if (!s->obj || !s->owned || !s->peer || IS_ERR(s->own))
		return "no memory to begin with";
	for (i = 0; i < GS_STARVE_NR; i++) {
		s->obj[i] = kmem_cache_alloc(s->peer, GFP_KERNEL);
		if (!s->obj[i])
			return "no memory to begin with";
	}
	for (i = 0; i < GS_STARVE_OWN; i++) {
		s->owned[i] = gs_cache_alloc(s->own, GFP_KERNEL);
		if (!s->owned[i])
			return "no memory to begin with";
	}
	s->reader = kthread_create(gs_starve_reader, s, "gs_starve");
	if (IS_ERR(s->reader))
		return "no memory to begin with";
	/* Not where those run that this reader holds up. */
	kthread_bind(s->reader, cpumask_last(cpu_online_mask));
	wake_up_process(s->reader);
	/* Pages that are open go on their way first. */
	gs_barrier();
	for (i = 0; i < ARRAY_SIZE(s->before); i++)
		s->before[i] = gs_steps(i);
	return NULL;
}

static void gs_starve_end(struct gs_starve *s, const char *why, const char *mode)
{
	struct gs_cache_stats stats = {};
	struct gs_starve_object *obj;
	int i;

	for (i = 0; i < ARRAY_SIZE(s->starved); i++)
		s->starved[i] = moved(s, i);
	if (!IS_ERR_OR_NULL(s->reader))
		kthread_stop(s->reader);
	s->exhaust = false;
	gs_starve_feed(s);
	while (s->obj && (obj = gs_starve_next(s)))
		gs_kvfree_rcu(obj);
	gs_barrier();
	if (!why && moved(s, GS_STEP_LEAKED))
		why = "a pointer was leaked";
	if (!IS_ERR_OR_NULL(s->own)) {
		gs_cache_stats(s->own, &stats);
		if (gs_cache_destroy(s->own) && !why)
			why = "objects are missing";
	}
	if (!why && atomic_read(&gs_starve_dtors) != GS_STARVE_OWN)
		why = "destructors are missing";
	/* Says itself what is missing. */
	kmem_cache_destroy(s->peer);
	kvfree(s->obj);
	kvfree(s->owned);
	pr_info("gs_starve: %s: %s: %lu KiB hoarded, cached pages %llu, pages %llu, reserve %llu, wrappers %llu, waited %llu, refused %llu, linked %llu, bits %llu\n",
		mode, why ?: "ok", s->hoarded >> 10,
		s->starved[GS_STEP_CACHED_PAGE], s->starved[GS_STEP_PAGE],
		s->starved[GS_STEP_RESERVE], s->starved[GS_STEP_WRAPPER],
		s->starved[GS_STEP_WAITED], s->starved[GS_STEP_REFUSED],
		s->starved[GS_STEP_LINKED], stats.frees_bits);
}

static int gs_starve_run(const char *val, const struct kernel_param *kp)
{
	struct gs_starve s = { .exhaust = sysfs_streq(val, "exhaust") };
	bool exhaust = s.exhaust;
	const char *why;

	if (!exhaust && !sysfs_streq(val, "faults"))
		return -EINVAL;
	why = gs_starve_prepare(&s);
	if (!why && exhaust) {
		gs_starve_hoard(&s);
		why = gs_starve_free(&s);
	} else if (!why) {
#ifdef CONFIG_FAULT_INJECTION
		current->make_it_fail = 1;
		why = gs_starve_free(&s);
		current->make_it_fail = 0;
#else
		why = "this kernel has no fault injection";
#endif
	}
	gs_starve_end(&s, why, exhaust ? "exhaust" : "faults");
	return why ? -EIO : 0;
}

static const struct kernel_param_ops gs_starve_ops = { .set = gs_starve_run };
module_param_cb(run, &gs_starve_ops, NULL, 0200);
MODULE_PARM_DESC(run, "Writing exhaust or faults runs the test");

MODULE_DESCRIPTION("Frees where there is no memory");
MODULE_LICENSE("GPL");
