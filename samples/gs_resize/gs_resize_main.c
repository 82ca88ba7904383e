// SPDX-License-Identifier: GPL-2.0
/*
 * An array that grows thousands of times under readers which take no lock, as
 * ext4's table of group descriptor blocks does while a file system is resized:
 * each step makes an array that is longer by one, copies, publishes it, and has
 * to get rid of the old one, which readers may be looking at.
 *
 * When it is loaded, the module does that in one way after the other (ways.c),
 * and says how long each took and how much memory it held: synchronize_rcu()
 * costs a grace period for each step, call_rcu() a wrapper, and both ways of
 * graceslab neither. Readers check all the time what they see (readers.c); if
 * one has seen anything wrong, the module is not loaded.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "readers.h"
#include "table.h"
#include "ways.h"

static unsigned int growths = 8192;
module_param(growths, uint, 0444);
MODULE_PARM_DESC(growths, "Times that the table grows by one block (8192: a terabyte more of ext4)");

static unsigned int sync_growths = 32;
module_param(sync_growths, uint, 0444);
MODULE_PARM_DESC(sync_growths, "Growths with synchronize_rcu(), in longer steps; 0 for all of them");

/* Of all growths, those at which a reader is sure to have the table. */
#define GS_MEETINGS	16

static bool self_test;
module_param(self_test, bool, 0444);
MODULE_PARM_DESC(self_test, "Only spoil tables while they are read, and see that readers notice");

static unsigned long given; /* pointers, to graceslab */

struct gs_result {
	unsigned int steps;
	u64 all_ns;     /* new tables, copied, published, the old given away */
	u64 wait_ns;    /* until everything was freed after that */
	u64 give_ns;    /* of it, getting rid of tables */
	u64 longest_ns; /* the longest one of these */
	long peak;      /* bytes that were missing at most */
	struct gs_reads reads;
};

static long gs_free_bytes(void)
{
	return global_zone_page_state(NR_FREE_PAGES) << PAGE_SHIFT;
}

/* Puts a table that is longer by @nr blocks in the place of the present one. */
static int gs_grow(const struct gs_way *way, unsigned int nr, bool meet,
		   struct gs_result *result)
{
	/* Nobody else writes it. */
	struct gs_table *old = rcu_dereference_protected(gs_table, true);
	u64 begin = ktime_get_ns(), met, replaced, end;
	struct gs_table *new;

	if (meet)
		gs_readers_meet();
	met = ktime_get_ns();
	new = gs_table_grown(old, nr);
	if (new)
		rcu_assign_pointer(gs_table, new);
	gs_readers_part();
	if (!new)
		return -ENOMEM;
	replaced = ktime_get_ns();
	way->give(old);
	end = ktime_get_ns();
	given += way->ours;
	/* The meeting is for the sake of the readers. */
	result->all_ns += end - (meet ? met : begin);
	result->give_ns += end - replaced;
	result->longest_ns = max(result->longest_ns, end - replaced);
	return 0;
}

static int gs_grow_all(const struct gs_way *way, struct gs_result *result)
{
	unsigned int stride = growths / result->steps, i;
	unsigned int often = max(result->steps / GS_MEETINGS, 1);
	long before = gs_free_bytes();
	int ret = 0;

	for (i = 0; i < result->steps && !ret; i++) {
		ret = gs_grow(way, stride, i % often == 0, result);
		result->peak = max(result->peak, before - gs_free_bytes());
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	return ret;
}

/* Until what others free has come back as well, or does not any more. */
static void gs_settle(void)
{
	long was, is = gs_free_bytes();
	int i = 0;

	do {
		was = is;
		msleep(50);
		is = gs_free_bytes();
	} while (is > was + SZ_256K && ++i < 100);
}

static int gs_run(const struct gs_way *way, struct gs_result *result)
{
	struct gs_table *table = gs_table_grown(NULL, 1);
	u64 begin;
	int ret;

	if (!table)
		return -ENOMEM;
	rcu_assign_pointer(gs_table, table);
	ret = gs_readers_start();
	if (!ret) {
		ret = gs_grow_all(way, result);
		begin = ktime_get_ns();
		if (way->wait)
			way->wait();
		result->wait_ns = ktime_get_ns() - begin;
		result->reads = gs_readers_stop();
	}
	/* Without readers. */
	table = rcu_dereference_protected(gs_table, true);
	RCU_INIT_POINTER(gs_table, NULL);
	kvfree(table);
	gs_settle();
	return ret;
}

static void gs_print(const struct gs_way *way, const struct gs_result *r)
{
	char wait[16] = "-";

	if (way->wait)
		snprintf(wait, sizeof(wait), "%llu", r->wait_ns / NSEC_PER_MSEC);
	pr_info("gs_resize: %-22s %8u %9llu %9s %9llu %10llu %9ld %9lu %9lu %6lu\n",
		way->name, r->steps, r->all_ns / NSEC_PER_MSEC, wait,
		r->give_ns / r->steps, r->longest_ns / NSEC_PER_USEC,
		r->peak / 1024, r->reads.reads, r->reads.outlived,
		r->reads.wrong);
	if (r->steps < growths)
		pr_info("gs_resize: %s: %u growths of %u were made, in steps of %u blocks; all of them would take %llu ms, if each took as long (extrapolated)\n",
			way->name, r->steps, growths, growths / r->steps,
			r->all_ns / r->steps * growths / NSEC_PER_MSEC);
}

static int gs_run_all(void)
{
	struct gs_result warmup = { .steps = growths };
	unsigned int i;
	int ret;

	pr_info("gs_resize: %u growths, %zu KiB of tables, the last of %zu KiB; a reader on each of %u CPUs\n",
		growths, sizeof(void *) * growths * (growths + 1) / 2 / 1024,
		sizeof(void *) * growths / 1024, num_online_cpus());
	pr_info("gs_resize: %-22s %8s %9s %9s %9s %10s %9s %9s %9s %6s\n",
		"way", "growths", "grown ms", "freed ms", "call ns",
		"longest us", "peak KiB", "reads", "outlived", "wrong");
	/* Memory that was never used before is slow, and no way is to pay for that. */
	ret = gs_run(&gs_ways[0], &warmup);
	if (ret)
		return ret;
	for (i = 0; i < gs_nr_ways; i++) {
		const struct gs_way *way = &gs_ways[i];
		struct gs_result result = { .steps = growths };

		if (way->sleeps && sync_growths && sync_growths < growths)
			result.steps = sync_growths;
		ret = gs_run(way, &result);
		if (ret)
			return ret;
		gs_print(way, &result);
		if (result.reads.wrong) {
			pr_err("gs_resize: FAIL: %lu reads saw a table that was not there any more\n",
			       result.reads.wrong);
			return -EIO;
		}
	}
	return 0;
}

static int gs_run_self_test(void)
{
	struct gs_result result = { .steps = growths };
	int ret = gs_run(&gs_wrong_way, &result);

	if (ret)
		return ret;
	pr_info("gs_resize: self-test: %lu of %lu reads noticed that their table was spoilt\n",
		result.reads.wrong, result.reads.reads);
	return result.reads.wrong ? 0 : -EIO;
}

static int __init gs_resize_init(void)
{
	struct cpumask *cpus;
	int ret;

	if (!growths || growths > 1 << 20)
		return -EINVAL;
	cpus = kmemdup(current->cpus_ptr, cpumask_size(), GFP_KERNEL);
	if (!cpus)
		return -ENOMEM;
	ret = gs_blocks_make(growths + 1);
	if (!ret) {
		/* Readers on other CPUs wait for this one. */
		set_cpus_allowed_ptr(current,
				     cpumask_of(raw_smp_processor_id()));
		ret = self_test ? gs_run_self_test() : gs_run_all();
		set_cpus_allowed_ptr(current, cpus);
		gs_blocks_free(growths + 1);
	}
	kfree(cpus);
	/* Callbacks of call_rcu() are this module's code. */
	rcu_barrier();
	pr_info("gs_resize: %s; %lu pointers were given to graceslab\n",
		ret ? "FAIL" : "ok", given);
	return ret;
}
module_init(gs_resize_init);

static void __exit gs_resize_exit(void)
{
}
module_exit(gs_resize_exit);

MODULE_DESCRIPTION("An array that grows under readers, done in several ways");
MODULE_LICENSE("GPL");
