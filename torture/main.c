// SPDX-License-Identifier: GPL-2.0
/*
 * Loading this module begins the test, unloading it ends it and prints the
 * verdict: one line with "--- End of test: SUCCESS" or "FAILURE".
 *
 * Each thread, timer and interrupt has random numbers of its own, all from the
 * seed that is printed: the same seed does the same operations, in whatever
 * order the CPUs get to them.
 */
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "gs_torture.h"

static ulong seed;
module_param(seed, ulong, 0444);
MODULE_PARM_DESC(seed, "Of all random numbers; 0 for any");

static int nfakewriters = 4;
module_param(nfakewriters, int, 0444);
MODULE_PARM_DESC(nfakewriters, "Number of threads that allocate, publish and free");

static int nreaders = -1;
module_param(nreaders, int, 0444);
MODULE_PARM_DESC(nreaders, "Number of threads that read; -1 for one less than CPUs, but one");

static int nchurners = 2;
module_param(nchurners, int, 0444);
MODULE_PARM_DESC(nchurners, "Number of threads that destroy caches and make others");

int gst_ncaches = 12;
module_param_named(ncaches, gst_ncaches, int, 0444);
MODULE_PARM_DESC(ncaches, "Number of caches at a time");

static int stat_interval = 10;
module_param(stat_interval, int, 0444);
MODULE_PARM_DESC(stat_interval, "Seconds between lines of progress; 0 for none");

static int shutdown_secs;
module_param(shutdown_secs, int, 0444);
MODULE_PARM_DESC(shutdown_secs, "Power off, after the verdict, after so many seconds; 0 for never");

static bool onoff = true;
module_param(onoff, bool, 0444);
MODULE_PARM_DESC(onoff, "Take CPUs down and bring them back, where the kernel can");

static bool irqs = true;
module_param(irqs, bool, 0444);
MODULE_PARM_DESC(irqs, "Operate in interrupts, too");

static bool trouble = true;
module_param(trouble, bool, 0444);
MODULE_PARM_DESC(trouble, "Have allocations fail");

int gst_stall_ms = 1500;
module_param_named(stall_ms, gst_stall_ms, int, 0444);
MODULE_PARM_DESC(stall_ms, "How long a reader stays inside now and then; 0 for never");

int gst_misuses = 40;
module_param_named(misuses, gst_misuses, int, 0444);
MODULE_PARM_DESC(misuses, "Number of misuses that get a warning");

int gst_leaks = 20;
module_param_named(leaks, gst_leaks, int, 0444);
MODULE_PARM_DESC(leaks, "Number of caches that are destroyed with objects in use");

static int throttle_mb = 48;
module_param(throttle_mb, int, 0444);
MODULE_PARM_DESC(throttle_mb, "Memory that may wait for grace periods before tasks wait, too");

static ulong entries;
module_param(entries, ulong, 0400);
MODULE_PARM_DESC(entries, "Address of graceslab's section gs_section_entries: probes there operate like NMIs");

static uint nr_entries;
module_param(nr_entries, uint, 0444);
MODULE_PARM_DESC(nr_entries, "Number of entries there");

DEFINE_PER_CPU(unsigned long[GST_COUNTS], gst_counts);

static const char * const gst_count_names[] = {
	"allocated", "refused",    "freed",    "deferred",  "destructors",
	"proven",    "looks",      "created",  "destroyed", "pending",
	"busy",      "references", "barriers", "shrinks",   "accounts",
	"pointers",  "returned",   "injected", "stalls",    "onoff",
	"task",      "atomic",     "softirq",  "hardirq",   "nmi",
};

static_assert(ARRAY_SIZE(gst_count_names) == GST_COUNTS);

static u64 gst_seed;
static unsigned long gst_begin;
static bool gst_ended;

/* ---- errors -------------------------------------------------------------- */

static atomic_t gst_errors;

bool gst_error(const char *fmt, ...)
{
	int nr = atomic_inc_return(&gst_errors);
	struct va_format vaf;
	va_list args;

	if (nr > 20)
		return false;
	va_start(args, fmt);
	vaf.fmt = fmt;
	vaf.va = &args;
	pr_alert("gs_torture: !!! %pV\n", &vaf);
	va_end(args);
	if (nr == 1)
		dump_stack();
	return nr == 1;
}

bool gst_has_failed(void)
{
	return atomic_read(&gst_errors);
}

/* ---- random numbers ------------------------------------------------------ */

void gst_who_init(struct gst_who *who, unsigned int id, enum gst_place place,
		  enum gst_count counter)
{
	prandom_seed_state(&who->rnd,
			   gst_seed + 0x9e3779b97f4a7c15ULL * (id + 1));
	who->place = place;
	who->counter = counter;
}

u32 gst_random(struct gst_who *who, u32 below)
{
	return mul_u32_u32(prandom_u32_state(&who->rnd), below) >> 32;
}

bool gst_one_in(struct gst_who *who, u32 n)
{
	return !gst_random(who, n);
}

/* ---- not too much at once ------------------------------------------------ */

/* Freed since this grace period was asked for, and before it. */
static struct gst_grace gst_period;
static atomic_long_t gst_waiting;
static long gst_waiting_before;
static bool gst_too_much;

void gst_deferred(size_t size)
{
	atomic_long_add(size, &gst_waiting);
}

bool gst_throttled(void)
{
	return READ_ONCE(gst_too_much);
}

void gst_throttle_tick(void)
{
	if (poll_state_synchronize_rcu_full(&gst_period)) {
		gst_waiting_before = atomic_long_xchg(&gst_waiting, 0);
		get_state_synchronize_rcu_full(&gst_period);
	}
	WRITE_ONCE(gst_too_much,
		   gst_waiting_before + atomic_long_read(&gst_waiting) >
			   (long)throttle_mb * SZ_1M);
}

void gst_breathe(struct gst_who *who)
{
	if (gst_throttled() || gst_one_in(who, 256))
		schedule_timeout_interruptible(1 + gst_random(who, 2));
	cond_resched();
}

/* ---- threads ------------------------------------------------------------- */

struct gst_thread {
	struct gst_who who;
	struct task_struct *task;
};

static struct gst_thread *gst_threads;
static unsigned int gst_nr_threads, gst_max_threads;

static int gst_start(int (*fn)(void *arg), const char *name)
{
	struct gst_thread *t = &gst_threads[gst_nr_threads];
	struct task_struct *task;

	if (gst_nr_threads == gst_max_threads)
		return -ENOSPC;
	gst_who_init(&t->who, gst_nr_threads, GST_TASK, GST_IN_TASK);
	task = kthread_run(fn, &t->who, "gst_%s/%u", name, gst_nr_threads);
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* Each goes on until it is stopped. */
	t->task = task;
	gst_nr_threads++;
	return 0;
}

static int gst_start_many(int n, int (*fn)(void *arg), const char *name)
{
	int ret = 0;

	while (n-- > 0 && !ret)
		ret = gst_start(fn, name);
	return ret;
}

static u64 gst_sum(enum gst_count which)
{
	unsigned int cpu;
	u64 sum = 0;

	for_each_possible_cpu(cpu)
		sum += per_cpu(gst_counts, cpu)[which];
	return sum;
}

static void gst_print(void)
{
	char line[512];
	int at = 0, i;

	for (i = 0; i < GST_COUNTS; i++)
		at += scnprintf(line + at, sizeof(line) - at, " %s %llu",
				gst_count_names[i], gst_sum(i));
	pr_info("gs_torture: %lus:%s errors %d\n", (jiffies - gst_begin) / HZ,
		line, atomic_read(&gst_errors));
}

static int gst_stats(void *unused)
{
	unsigned long next = jiffies + stat_interval * HZ;

	while (!kthread_should_stop()) {
		gst_throttle_tick();
		if (stat_interval && time_after(jiffies, next)) {
			gst_print();
			next = jiffies + stat_interval * HZ;
		}
		schedule_timeout_interruptible(HZ / 50 + 1);
	}
	return 0;
}

static int gst_start_all(void)
{
	int readers = nreaders >= 0 ? nreaders :
				      max(1, (int)num_online_cpus() - 1);
	int ret;

	gst_max_threads = nfakewriters + readers + nchurners + 5;
	gst_threads = kcalloc(gst_max_threads, sizeof(*gst_threads), GFP_KERNEL);
	if (!gst_threads)
		return -ENOMEM;
	ret = gst_start(gst_stats, "stats");
	ret = ret ?: gst_start_many(readers, gst_reader, "reader");
	ret = ret ?: gst_start_many(nfakewriters, gst_worker, "writer");
	ret = ret ?: gst_start_many(nchurners, gst_churner, "churner");
	ret = ret ?: gst_start_many(trouble, gst_trouble, "trouble");
	ret = ret ?: gst_start_many(gst_misuses > 0, gst_racer, "racer");
	ret = ret ?: gst_start_many(gst_stall_ms > 0, gst_staller, "staller");
#ifdef CONFIG_HOTPLUG_CPU
	ret = ret ?: gst_start_many(onoff, gst_onoff, "onoff");
#endif
	return ret;
}

static void gst_stop_all(void)
{
	while (gst_nr_threads)
		kthread_stop(gst_threads[--gst_nr_threads].task);
	kfree(gst_threads);
}

/* ---- the end ------------------------------------------------------------- */

static u64 gst_refused_before, gst_leaked_before, gst_waited_before;
static unsigned int gst_zombies_before;

static void gst_square_all(void)
{
	u64 taken = gst_sum(GST_ALLOCS), lost = gst_lost_objects(), misused = 0;
	u64 back = gst_sum(GST_FREES) + gst_sum(GST_DEFERS);
	u64 refused = gs_steps(GS_STEP_REFUSED) - gst_refused_before;
	unsigned int zombies, i;

	for (i = 0; i < 1000; i++) {
		zombies = gs_cache_zombies() - gst_zombies_before;
		if (zombies == gst_lost_caches())
			break;
		schedule_timeout_uninterruptible(1);
	}
	if (zombies != gst_lost_caches())
		gst_error("%u destroyed caches have objects, and %lu were left with some",
			  zombies, gst_lost_caches());
	misused = gst_misuse_lost();
	if (taken != back + lost - misused)
		gst_error("%llu objects allocated, %llu freed, %llu left",
			  taken, back, lost - misused);
	if (refused != gst_sum(GST_RETURNED))
		gst_error("%llu pointers were refused, and %llu came back",
			  refused, gst_sum(GST_RETURNED));
}

static void gst_verdict(void)
{
	u64 leaked = gs_steps(GS_STEP_LEAKED) - gst_leaked_before;
	u64 waited = gs_steps(GS_STEP_WAITED) - gst_waited_before;

	gst_print();
	gst_misuse_report();
	pr_info("gs_torture: left behind: %lu objects of %lu caches\n",
		gst_lost_objects(), gst_lost_caches());
	pr_info("gs_torture: %llu pointers were given, %llu of them leaked, %llu waited for\n",
		gst_sum(GST_POINTERS), leaked, waited);
	pr_info("graceslab-test: end expect\n");
	pr_alert("gs_torture: --- End of test: %s: seed=%llu nfakewriters=%d nreaders=%d nchurners=%d ncaches=%d onoff=%d irqs=%d trouble=%d stall_ms=%d seconds=%lu errors=%d\n",
		 gst_has_failed() ? "FAILURE" : "SUCCESS", gst_seed,
		 nfakewriters, nreaders, nchurners, gst_ncaches, onoff, irqs,
		 trouble, gst_stall_ms, (jiffies - gst_begin) / HZ,
		 atomic_read(&gst_errors));
}

static void gst_finish(void)
{
	struct gst_who who;

	if (gst_ended)
		return;
	gst_ended = true;
	gst_who_init(&who, 9999, GST_TASK, GST_IN_TASK);
	/*
	 * First those who run into the probes: an emulated CPU may meet one that
	 * another CPU has just removed, when nobody knows any more what it was.
	 */
	gst_stop_all();
	gst_timers_stop();
	gst_probes_stop();
	gst_caches_end(&who);
	gst_others_end(&who);
	gst_square_all();
	gst_record_end();
	gst_verdict();
}

static void gst_shutdown(struct work_struct *unused)
{
	gst_finish();
	kernel_power_off();
}

static DECLARE_DELAYED_WORK(gst_shutdown_work, gst_shutdown);

static int __init gst_init(void)
{
	struct gst_who who;
	int ret;

	gst_seed = seed ?: get_random_u32();
	pr_alert("gs_torture: --- Start of test: seed=%llu nfakewriters=%d nreaders=%d nchurners=%d ncaches=%d onoff=%d irqs=%d trouble=%d stall_ms=%d\n",
		 gst_seed, nfakewriters, nreaders, nchurners, gst_ncaches,
		 onoff, irqs, trouble, gst_stall_ms);
	/* What trouble.c provokes, and what may come of failing allocations. */
	pr_info("graceslab-test: allow splat: graceslab: gst_(misused|innocent): |graceslab: 0x[0-9a-f]+ is no (live cache|allocator's)|graceslab: no memory to free\n");
	gst_begin = jiffies;
	gst_objects_init(gst_seed);
	gst_refused_before = gs_steps(GS_STEP_REFUSED);
	gst_waited_before = gs_steps(GS_STEP_WAITED);
	gst_leaked_before = gs_steps(GS_STEP_LEAKED);
	gst_zombies_before = gs_cache_zombies();
	gst_who_init(&who, 9998, GST_TASK, GST_IN_TASK);
	ret = gst_record_init();
	if (ret)
		return ret;
	ret = gst_others_init();
	if (ret) {
		gst_record_end();
		return ret;
	}
	gst_caches_init(&who);
	gst_timers_init();
	ret = gst_start_all();
	if (!ret && irqs)
		gst_timers_start();
	if (!ret)
		ret = gst_probes_start(entries, nr_entries);
	if (ret) {
		gst_error("could not start: %d", ret);
		gst_finish();
		return ret;
	}
	if (shutdown_secs)
		schedule_delayed_work(&gst_shutdown_work, shutdown_secs * HZ);
	return 0;
}
module_init(gst_init);

static void __exit gst_exit(void)
{
	cancel_delayed_work_sync(&gst_shutdown_work);
	gst_finish();
	rcu_barrier();
}
module_exit(gst_exit);

MODULE_DESCRIPTION("Torture test of graceslab's C interface");
MODULE_LICENSE("GPL");
