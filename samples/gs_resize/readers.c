// SPDX-License-Identifier: GPL-2.0
/*
 * Readers: each takes the table, looks at some of it, now and then stays until
 * the table has been replaced, and looks at it again. By then the table has been
 * given away, and nothing may have happened to it yet.
 *
 * That it comes to that is not left to chance: who grows the table meets a
 * reader on another CPU now and then, which has the table and does not let go of
 * it before it is replaced.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "readers.h"
#include "table.h"

#define GS_LOOKS	16	/* entries that are looked at */
#define GS_PATIENCE	4000	/* turns that a table to be replaced is waited for */
#define GS_MORE_LOOKS	4	/* at one that was, and */
#define GS_MET_LOOKS	1000	/* until long after it was given away */

struct gs_reader {
	struct task_struct *task;
	struct rnd_state random;
	unsigned int seen; /* tables never get shorter */
	bool apart;        /* not where the table is grown */
	struct gs_reads did;
};

static struct gs_reader *readers;
static unsigned int nr_apart;

/* Somebody is about to replace the table, and wants a reader to have it. */
static bool meeting;
static atomic_t present;

/*
 * Whether this is still the table of @nr blocks. A pointer that is not what it
 * should be is not followed.
 */
static bool gs_look(const struct gs_table *table, unsigned int nr,
		    struct rnd_state *random)
{
	unsigned int i, block, word;

	for (i = 0; i < GS_LOOKS; i++) {
		if (READ_ONCE(table->nr) != nr ||
		    READ_ONCE(table->check) != gs_check(nr))
			return false;
		/* The last one is that which a shorter table does not have. */
		block = i ? prandom_u32_state(random) % nr : nr - 1;
		if (READ_ONCE(table->blocks[block]) != gs_block(block))
			return false;
		word = prandom_u32_state(random) % GS_BLOCK_WORDS;
		if (READ_ONCE(gs_block(block)->words[word]) !=
		    gs_word(block, word))
			return false;
	}
	return true;
}

/* Until the table has been replaced; false if it was not. */
static bool gs_stay(const struct gs_table *table, bool met)
{
	unsigned long end = jiffies + HZ;
	unsigned int turns;

	if (met)
		atomic_inc(&present);
	for (turns = 0; met ? time_before(jiffies, end) : turns < GS_PATIENCE;
	     turns++) {
		/* Pairs with gs_readers_part(): the table has been replaced. */
		if (met && !smp_load_acquire(&meeting))
			break;
		if (rcu_access_pointer(gs_table) != table)
			break;
		cpu_relax();
	}
	if (met)
		atomic_dec(&present);
	return rcu_access_pointer(gs_table) != table;
}

static void gs_read(struct gs_reader *reader, bool stay)
{
	const struct gs_table *table;
	bool right, outlived = false;
	unsigned int nr, looks;

	rcu_read_lock();
	table = rcu_dereference(gs_table);
	nr = READ_ONCE(table->nr);
	right = nr >= reader->seen && READ_ONCE(table->check) == gs_check(nr) &&
		gs_look(table, nr, &reader->random);
	if (right && stay) {
		bool met = reader->apart && READ_ONCE(meeting);

		outlived = gs_stay(table, met);
		looks = met ? GS_MET_LOOKS : GS_MORE_LOOKS;
		while (outlived && right && looks--)
			right = gs_look(table, nr, &reader->random);
	}
	rcu_read_unlock();

	if (right)
		reader->seen = nr;
	reader->did.reads++;
	reader->did.outlived += outlived;
	reader->did.wrong += !right;
}

static int gs_reader_main(void *data)
{
	struct gs_reader *reader = data;
	unsigned int round = 0;

	while (!kthread_should_stop()) {
		gs_read(reader, READ_ONCE(meeting) || ++round % 4 == 0);
		cond_resched();
	}
	return 0;
}

void gs_readers_meet(void)
{
	unsigned long end = jiffies + 5 * HZ;

	if (!nr_apart)
		return;
	WRITE_ONCE(meeting, true);
	while (!atomic_read(&present) && time_before(jiffies, end))
		usleep_range(20, 50);
}

void gs_readers_part(void)
{
	/* Pairs with gs_stay(). */
	smp_store_release(&meeting, false);
}

struct gs_reads gs_readers_stop(void)
{
	struct gs_reads sum = {};
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct gs_reader *reader = &readers[cpu];

		if (IS_ERR_OR_NULL(reader->task))
			continue;
		kthread_stop(reader->task);
		sum.reads += reader->did.reads;
		sum.outlived += reader->did.outlived;
		sum.wrong += reader->did.wrong;
	}
	kfree(readers);
	return sum;
}

int gs_readers_start(void)
{
	unsigned int cpu;

	readers = kzalloc_objs(*readers, nr_cpu_ids);
	if (!readers)
		return -ENOMEM;
	nr_apart = 0;
	for_each_online_cpu(cpu) {
		struct gs_reader *reader = &readers[cpu];

		prandom_seed_state(&reader->random, cpu);
		reader->apart = cpu != raw_smp_processor_id();
		nr_apart += reader->apart;
		reader->task = kthread_run_on_cpu(gs_reader_main, reader, cpu,
						  "gs_resize/%u");
		if (IS_ERR(reader->task)) {
			int ret = PTR_ERR(reader->task);

			gs_readers_stop();
			return ret;
		}
	}
	return 0;
}
