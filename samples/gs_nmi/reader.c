// SPDX-License-Identifier: GPL-2.0
/*
 * A reader: takes a record, stays until a probe has put another one in its
 * place, and looks at it again. While it stays it calls what is probed by
 * default, so that the probe interrupts it right there, frees the record that it
 * has, and may not do so before the reader has left.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "reader.h"
#include "records.h"

static struct task_struct *task;
static struct gs_reads did;

static bool gs_look(const struct gs_record *record, u64 number)
{
	return READ_ONCE(record->number) == number &&
	       READ_ONCE(record->check) ==
		       gs_record_check(number, READ_ONCE(record->ip));
}

static void gs_read(struct gs_record __rcu **slot)
{
	const struct gs_record *record;
	unsigned int turns;
	bool right;
	u64 number;

	rcu_read_lock();
	record = rcu_dereference(*slot);
	if (record) {
		number = READ_ONCE(record->number);
		right = gs_look(record, number);
		/* Once for each slot, and for some hits that had no memory. */
		for (turns = 0; turns < 4 * GS_SLOTS; turns++) {
			if (rcu_access_pointer(*slot) != record) {
				did.outlived++;
				break;
			}
			wake_up_process(current);
		}
		for (turns = 0; turns < 100 && right; turns++)
			right = gs_look(record, number);
		did.reads++;
		did.wrong += !right;
	}
	rcu_read_unlock();
}

static int gs_reader_main(void *unused)
{
	unsigned int slot = 0;

	while (!kthread_should_stop()) {
		gs_read(&gs_slots[GS_OURS][slot % GS_SLOTS]);
		gs_read(&gs_slots[GS_KERNELS][slot % GS_SLOTS]);
		slot++;
		usleep_range(500, 1000);
	}
	return 0;
}

int gs_reader_start(void)
{
	task = kthread_run(gs_reader_main, NULL, "gs_nmi");
	return PTR_ERR_OR_ZERO(task);
}

struct gs_reads gs_reader_stop(void)
{
	kthread_stop(task);
	return did;
}
