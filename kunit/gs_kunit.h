/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites share: caches that go when a test ends, kthreads bound to a
 * CPU, readers held inside a read-side section, the order of events, and a
 * look at the kernel log.
 *
 * Whatever a test starts through these is stopped when it ends, in the opposite
 * order, also after a failed assertion. Create caches first, then start what
 * uses them: a reader that is still inside is then let go before the caches
 * are destroyed. Only the thread that runs the test may assert; what runs
 * elsewhere counts what it finds wrong.
 */
#ifndef _GS_KUNIT_H
#define _GS_KUNIT_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/kmsg_dump.h>
#include <linux/types.h>

#include <graceslab.h>

/* A held reader leaves by itself after this time, and its test fails. */
#define GS_READER_LIMIT_MS	8000
/* Nothing that a test waits for takes this long. */
#define GS_WAIT_MS		10000

/* Announce to whoever reads the log that a splat is provoked on purpose. */
#define GS_EXPECT_SPLAT_BEGIN(fmt, ...)					\
	pr_info("graceslab-test: expect splat: " fmt "\n", ##__VA_ARGS__)
#define GS_EXPECT_SPLAT_END()						\
	pr_info("graceslab-test: end expect\n")

/* True once @cond holds, false if it did not within GS_WAIT_MS. */
#define gs_wait_until(cond)						\
({									\
	unsigned long __end = jiffies + msecs_to_jiffies(GS_WAIT_MS);	\
	bool __ok;							\
									\
	while (!(__ok = !!(cond)) && time_before(jiffies, __end))	\
		fsleep(USEC_PER_MSEC);						\
	__ok;								\
})

/* The next number of one sequence: smaller means earlier, whatever the CPU. */
int gs_stamp(void);

/* Contexts */

/* Calls a function in a context, and returns when it has returned. */
struct gs_place {
	const char *name;
	void (*call)(void (*fn)(void *data), void *data);
};

/* For KUNIT_CASE_PARAM(): each case once in each of them. */
const void *gs_places_gen_params(struct kunit *test, const void *prev,
				 char *desc);

/* Caches */

struct gs_flags_param {
	const char *name;
	unsigned long flags;
};

/* For KUNIT_CASE_PARAM(): each case once without and once with checks. */
const void *gs_flags_gen_params(struct kunit *test, const void *prev,
				char *desc);
unsigned long gs_param_flags(struct kunit *test);

struct gs_cache *gs_test_cache(struct kunit *test, const char *name,
			       unsigned int size,
			       const struct gs_cache_args *args,
			       unsigned long flags);
int gs_test_destroy(struct kunit *test, struct gs_cache *c);
struct gs_cache_stats gs_test_stats(struct kunit *test, struct gs_cache *c);
u64 gs_test_pending(struct kunit *test, struct gs_cache *c);
/* Frees objects of it until one is seen to be pending; false if none ever is. */
bool gs_test_keep_pending(struct kunit *test, struct gs_cache *c);

/* Objects that hold themselves together, so that a test needs no array. */
struct gs_node {
	struct gs_node *next;
	void *priv;
	unsigned int key;
};

struct gs_node *gs_test_list(struct kunit *test, struct gs_cache *c,
			     unsigned int nr, void *priv);
void gs_list_free(struct gs_cache *c, struct gs_node *list);
/*
 * Where allocators sleep on their locks, interrupts get no slab: @c has a few
 * free objects after this.
 */
void gs_test_warm(struct kunit *test, struct gs_cache *c);
void gs_list_free_rcu(struct gs_cache *c, struct gs_node *list);

/* An array of objects, each filled with its index as the key. */
void **gs_test_objects(struct kunit *test, struct gs_cache *c,
		       unsigned int size, unsigned int nr);

/* Write, and recognise, contents that depend on @key and on each offset. */
void gs_fill(void *obj, size_t size, u32 key);
bool gs_filled(const void *obj, size_t size, u32 key);

/* An array of the test's own that kmalloc might be too small for. */
void *gs_test_array(struct kunit *test, size_t nr, size_t size);

/* Pages that nobody uses, those included that CPUs keep for their next user. */
unsigned long gs_free_pages(void);

/* Threads */

struct gs_thread;

/* Bind the test's own thread; gives the CPU. */
int gs_pin_self(struct kunit *test);
/* Another online CPU than @cpu, or @cpu itself where there is no other. */
int gs_other_cpu(int cpu);

/* @fn may ask kthread_should_stop(), and may also just return. */
struct gs_thread *gs_thread_run(struct kunit *test, int cpu,
				void (*fn)(void *data), void *data);
/* Wait until @fn has returned by itself. */
void gs_thread_join(struct kunit *test, struct gs_thread *thread);
/* Ask @fn to return and wait until it has. */
void gs_thread_stop(struct kunit *test, struct gs_thread *thread);
/* Wait until each of them sleeps, for longer than any short sleep takes. */
bool gs_threads_wait(struct gs_thread **threads, unsigned int nr);

/* Readers */

struct gs_reader;

/*
 * Without preemptible RCU a reader keeps its CPU, so that it takes another one
 * to see it held.
 */
bool gs_can_hold_reader(void);
/* Bind the test's own thread, or skip the test if no reader can be held. */
void gs_need_reader(struct kunit *test);

/*
 * Start a reader on another CPU and return when it is inside its read-side
 * section, where it calls @poll (if given) again and again until it is let go.
 * Binds the test's own thread.
 */
struct gs_reader *gs_reader_hold(struct kunit *test, void (*poll)(void *data),
				 void *data);
bool gs_reader_inside(const struct gs_reader *reader);
/* Have the reader leave by itself after @ms. */
void gs_reader_leave_in(struct gs_reader *reader, unsigned int ms);
/* Wait until the reader has left; gives the stamp of its last moment inside. */
int gs_reader_left(struct kunit *test, struct gs_reader *reader);
/* Let the reader go now, and the same. */
int gs_reader_release(struct kunit *test, struct gs_reader *reader);

/* Interrupts */

/* Allocators sleep on their locks, or lockdep sees to it as if they did. */
#define GS_LOCKS_SLEEP							\
	(IS_ENABLED(CONFIG_PREEMPT_RT) ||				\
	 IS_ENABLED(CONFIG_PROVE_RAW_LOCK_NESTING))

/* For interrupts, and other places where an allocation may not sleep. */
#define GS_GFP_ATOMIC	(GS_LOCKS_SLEEP ? __GFP_NOWARN : GFP_ATOMIC)

/*
 * For the end of a timer's function that was entered at @entered: again after
 * @period_us, or later if that left what it interrupts too little time.
 */
enum hrtimer_restart gs_hrtimer_again(struct hrtimer *timer,
				      unsigned int period_us, u64 entered);

/* The kernel log */

struct gs_log {
	struct kmsg_dump_iter from;
};

/* Remember where the log ends. */
void gs_log_mark(struct gs_log *log);
/* How often @needle was printed since then. */
unsigned int gs_log_count(const struct gs_log *log, const char *needle);
/* The same for "<before>0x<address of @obj>". */
unsigned int gs_log_count_obj(const struct gs_log *log, const char *before,
			      const void *obj);

#endif /* _GS_KUNIT_H */
