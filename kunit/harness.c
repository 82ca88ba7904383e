// SPDX-License-Identifier: GPL-2.0
/*
 * The machinery that the suites share; gs_kunit.h says what it promises.
 */
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/timekeeping.h>
#include <linux/vmstat.h>

#include "gs_kunit.h"

static atomic_t gs_sequence = ATOMIC_INIT(0);

int gs_stamp(void)
{
	return atomic_inc_return(&gs_sequence);
}

/* Caches */

static const struct gs_flags_param gs_flags_params[] = {
	{ "plain", 0 },
	{ "consistency", GS_CONSISTENCY },
	/* Not poison, which some caches cannot have. */
	{ "debug", GS_CONSISTENCY | GS_RED_ZONE | GS_STORE_USER },
};

const void *gs_flags_gen_params(struct kunit *test, const void *prev, char *desc)
{
	const struct gs_flags_param *next = prev;

	next = next ? next + 1 : gs_flags_params;
	if (next == gs_flags_params + ARRAY_SIZE(gs_flags_params))
		return NULL;
	strscpy(desc, next->name, KUNIT_PARAM_DESC_SIZE);
	return next;
}

unsigned long gs_param_flags(struct kunit *test)
{
	const struct gs_flags_param *param = test->param_value;

	return param->flags;
}

static void gs_cache_gone(void *c)
{
	gs_cache_destroy(c);
}

struct gs_cache *gs_test_cache(struct kunit *test, const char *name,
			       unsigned int size,
			       const struct gs_cache_args *args,
			       unsigned long flags)
{
	struct gs_cache *c = gs_cache_create(name, size, args, flags);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, c);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_cache_gone, c));
	return c;
}

int gs_test_destroy(struct kunit *test, struct gs_cache *c)
{
	kunit_remove_action(test, gs_cache_gone, c);
	return gs_cache_destroy(c);
}

struct gs_cache_stats gs_test_stats(struct kunit *test, struct gs_cache *c)
{
	struct gs_cache_stats stats;

	KUNIT_ASSERT_EQ(test, 0, gs_cache_stats(c, &stats));
	return stats;
}

u64 gs_test_pending(struct kunit *test, struct gs_cache *c)
{
	struct gs_cache_stats stats = gs_test_stats(test, c);

	return stats.queued - stats.done;
}

bool gs_test_keep_pending(struct kunit *test, struct gs_cache *c)
{
	int i;

	/* What comes back meanwhile is followed by more. */
	for (i = 0; i < 100; i++) {
		if (gs_test_pending(test, c))
			return true;
		gs_list_free_rcu(c, gs_test_list(test, c, 1, NULL));
	}
	return false;
}

struct gs_node *gs_test_list(struct kunit *test, struct gs_cache *c,
			     unsigned int nr, void *priv)
{
	struct gs_node *list = NULL, *node;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		node = gs_cache_alloc(c, GFP_KERNEL);
		if (!node) {
			gs_list_free(c, list);
			KUNIT_FAIL_AND_ABORT(test, "no object %u of %u", i, nr);
		}
		node->next = list;
		node->priv = priv;
		node->key = i;
		list = node;
	}
	return list;
}

void gs_list_free(struct gs_cache *c, struct gs_node *list)
{
	while (list) {
		struct gs_node *next = list->next;

		gs_cache_free(c, list);
		list = next;
	}
}

void gs_test_warm(struct kunit *test, struct gs_cache *c)
{
	if (GS_LOCKS_SLEEP)
		gs_list_free(c, gs_test_list(test, c, 500, NULL));
}

void gs_list_free_rcu(struct gs_cache *c, struct gs_node *list)
{
	while (list) {
		struct gs_node *next = list->next;

		gs_cache_free_rcu(c, list);
		list = next;
	}
}

void **gs_test_objects(struct kunit *test, struct gs_cache *c,
		       unsigned int size, unsigned int nr)
{
	void **objs = gs_test_array(test, nr, sizeof(*objs));
	unsigned int i;

	for (i = 0; i < nr; i++) {
		objs[i] = gs_cache_alloc(c, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, objs[i]);
		gs_fill(objs[i], size, i);
	}
	return objs;
}

static u8 gs_byte(u32 key, size_t offset)
{
	u32 mixed = key * 0x9e3779b1U;

	return (mixed >> (8 * (offset & 3))) + (offset >> 2);
}

void gs_fill(void *obj, size_t size, u32 key)
{
	u8 *p = obj;
	size_t i;

	for (i = 0; i < size; i++)
		p[i] = gs_byte(key, i);
}

bool gs_filled(const void *obj, size_t size, u32 key)
{
	const u8 *p = obj;
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i] != gs_byte(key, i))
			return false;
	return true;
}

static void gs_array_gone(void *p)
{
	kvfree(p);
}

void *gs_test_array(struct kunit *test, size_t nr, size_t size)
{
	void *p = kvcalloc(nr, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_array_gone, p));
	return p;
}

/* Threads */

struct gs_thread {
	struct task_struct *task;
	void (*fn)(void *data);
	void *data;
	struct completion done;
};

int gs_pin_self(struct kunit *test)
{
	int cpu = cpumask_first(cpu_online_mask);

	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(cpu)));
	return cpu;
}

int gs_other_cpu(int cpu)
{
	unsigned int other = cpumask_any_but(cpu_online_mask, cpu);

	return other < nr_cpu_ids ? other : cpu;
}

static unsigned long gs_zone_free(struct zone *zone)
{
	unsigned long pages = zone_page_state_snapshot(zone, NR_FREE_PAGES);
	struct per_cpu_pages __percpu *pcp = zone->per_cpu_pageset;
	int cpu;

	for_each_online_cpu(cpu)
		pages += READ_ONCE(per_cpu_ptr(pcp, cpu)->count);
	return pages;
}

unsigned long gs_free_pages(void)
{
	unsigned long pages = 0;
	int node, i;

	for_each_online_node(node)
		for (i = 0; i < MAX_NR_ZONES; i++) {
			struct zone *zone = &NODE_DATA(node)->node_zones[i];

			if (populated_zone(zone))
				pages += gs_zone_free(zone);
		}
	return pages;
}

static int gs_thread_main(void *arg)
{
	struct gs_thread *thread = arg;

	thread->fn(thread->data);
	complete(&thread->done);
	return 0;
}

static void gs_thread_gone(void *arg)
{
	struct gs_thread *thread = arg;

	kthread_stop(thread->task);
	put_task_struct(thread->task);
}

struct gs_thread *gs_thread_run(struct kunit *test, int cpu,
				void (*fn)(void *data), void *data)
{
	struct gs_thread *thread;

	thread = kunit_kzalloc(test, sizeof(*thread), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, thread);
	thread->fn = fn;
	thread->data = data;
	init_completion(&thread->done);

	thread->task = kthread_create(gs_thread_main, thread, "gs_kunit/%d",
				      cpu);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread->task);
	get_task_struct(thread->task);
	kthread_bind(thread->task, cpu);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_thread_gone, thread));
	wake_up_process(thread->task);
	return thread;
}

void gs_thread_join(struct kunit *test, struct gs_thread *thread)
{
	unsigned long left;

	left = wait_for_completion_timeout(&thread->done,
					   msecs_to_jiffies(2 * GS_WAIT_MS));
	KUNIT_ASSERT_NE_MSG(test, left, 0, "a thread of the test hangs");
	kunit_release_action(test, gs_thread_gone, thread);
}

void gs_thread_stop(struct kunit *test, struct gs_thread *thread)
{
	kunit_release_action(test, gs_thread_gone, thread);
}

/* Waits: once it has, its counts of switches stay. */
static unsigned long gs_switches(struct gs_thread *thread)
{
	struct task_struct *task = thread->task;

	if (!(READ_ONCE(task->__state) & TASK_NORMAL))
		return 0;
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

bool gs_threads_wait(struct gs_thread **threads, unsigned int nr)
{
	unsigned long end = jiffies + msecs_to_jiffies(GS_WAIT_MS);
	unsigned long was, now = 0;
	unsigned int i, same = 0;

	do {
		was = now;
		now = 0;
		for (i = 0; i < nr; i++) {
			unsigned long n = gs_switches(threads[i]);

			if (!n)
				break;
			now += n;
		}
		same = i == nr && now == was ? same + 1 : 0;
		fsleep(20 * USEC_PER_MSEC);
	} while (same < 5 && time_before(jiffies, end));
	return same >= 5;
}

/* Readers */

struct gs_reader {
	struct gs_thread *thread;
	void (*poll)(void *data);
	void *data;
	struct completion inside;
	u64 leave_at;
	bool expired;
	int left;
};

bool gs_can_hold_reader(void)
{
	return num_online_cpus() > 1 || IS_ENABLED(CONFIG_PREEMPT_RCU);
}

void gs_need_reader(struct kunit *test)
{
	if (!gs_can_hold_reader())
		kunit_skip(test,
			   "one CPU and no preemptible RCU: no reader can be held");
	gs_pin_self(test);
}

static void gs_reader_main(void *arg)
{
	struct gs_reader *reader = arg;
	u64 limit = ktime_get_ns() + GS_READER_LIMIT_MS * NSEC_PER_MSEC;

	rcu_read_lock();
	complete(&reader->inside);
	for (;;) {
		u64 now = ktime_get_ns();

		if (reader->poll)
			reader->poll(reader->data);
		if (now >= READ_ONCE(reader->leave_at))
			break;
		if (now >= limit) {
			WRITE_ONCE(reader->expired, true);
			break;
		}
		cpu_relax();
	}
	WRITE_ONCE(reader->left, gs_stamp());
	rcu_read_unlock();
}

static void gs_reader_go(void *arg)
{
	struct gs_reader *reader = arg;

	WRITE_ONCE(reader->leave_at, 0);
}

struct gs_reader *gs_reader_hold(struct kunit *test, void (*poll)(void *data),
				 void *data)
{
	int cpu = gs_pin_self(test);
	struct gs_reader *reader;

	KUNIT_ASSERT_TRUE(test, gs_can_hold_reader());
	reader = kunit_kzalloc(test, sizeof(*reader), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, reader);
	reader->poll = poll;
	reader->data = data;
	reader->leave_at = U64_MAX;
	init_completion(&reader->inside);

	reader->thread = gs_thread_run(test, gs_other_cpu(cpu), gs_reader_main,
				       reader);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, gs_reader_go, reader));
	wait_for_completion(&reader->inside);
	return reader;
}

bool gs_reader_inside(const struct gs_reader *reader)
{
	return !READ_ONCE(reader->left);
}

void gs_reader_leave_in(struct gs_reader *reader, unsigned int ms)
{
	WRITE_ONCE(reader->leave_at, ktime_get_ns() + ms * NSEC_PER_MSEC);
}

int gs_reader_left(struct kunit *test, struct gs_reader *reader)
{
	gs_thread_join(test, reader->thread);
	KUNIT_EXPECT_FALSE_MSG(test, reader->expired,
			       "somebody waited for the held reader");
	return reader->left;
}

int gs_reader_release(struct kunit *test, struct gs_reader *reader)
{
	gs_reader_go(reader);
	return gs_reader_left(test, reader);
}

/* Interrupts */

enum hrtimer_restart gs_hrtimer_again(struct hrtimer *timer,
				      unsigned int period_us, u64 entered)
{
	u64 period = (u64)period_us * NSEC_PER_USEC;
	u64 took = ktime_get_ns() - entered;

	hrtimer_forward_now(timer, ns_to_ktime(max(period, 4 * took)));
	return HRTIMER_RESTART;
}

/* The kernel log */

void gs_log_mark(struct gs_log *log)
{
	kmsg_dump_rewind(&log->from);
	log->from.cur_seq = log->from.next_seq;
}

unsigned int gs_log_count(const struct gs_log *log, const char *needle)
{
	struct kmsg_dump_iter iter = log->from;
	size_t size = 1024, len;
	unsigned int count = 0;
	char *line, *at;

	line = kmalloc(size, GFP_KERNEL);
	if (!line)
		return 0;
	while (kmsg_dump_get_line(&iter, false, line, size - 1, &len)) {
		line[len] = '\0';
		for (at = line; (at = strstr(at, needle)); at++)
			count++;
	}
	kfree(line);
	return count;
}

unsigned int gs_log_count_obj(const struct gs_log *log, const char *before,
			      const void *obj)
{
	char needle[128];

	scnprintf(needle, sizeof(needle), "%s0x%0*lx", before,
		  (int)(2 * sizeof(obj)), (unsigned long)obj);
	return gs_log_count(log, needle);
}

MODULE_DESCRIPTION("KUnit tests of graceslab's C interface");
MODULE_LICENSE("GPL");
