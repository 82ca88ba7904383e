// SPDX-License-Identifier: GPL-2.0
/*
 * A witness: outlives the modules that are tested and uses none of them.
 *
 * It counts the destructors that others report, which are all that is left of
 * a module that has gone, and it holds an RCU reader, under which what others
 * free stays pending. For a script it also gives pointers to gs_kvfree_rcu()
 * under one, which are pending until the script says so even while graceslab is
 * unloaded.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <graceslab.h>

#include "gs_witness.h"

#define GS_POINTERS	100

static atomic_t dtors = ATOMIC_INIT(0);

void gs_witness_dtor(void)
{
	atomic_inc(&dtors);
}
EXPORT_SYMBOL_GPL(gs_witness_dtor);

/* dtors: how many were reported; writing sets it. */

static int dtors_set(const char *val, const struct kernel_param *kp)
{
	int n, ret = kstrtoint(val, 0, &n);

	if (!ret)
		atomic_set(&dtors, n);
	return ret;
}

static int dtors_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&dtors));
}

static const struct kernel_param_ops dtors_ops = {
	.set = dtors_set,
	.get = dtors_get,
};
module_param_cb(dtors, &dtors_ops, NULL, 0644);
MODULE_PARM_DESC(dtors, "Destructors that were reported");

/* The reader. One that is forgotten leaves before RCU complains of it. */

#define GS_READER_MOST_S	15

static struct task_struct *reader;
static DECLARE_COMPLETION(entered);
static bool inside, leave;

static int gs_reader_main(void *unused)
{
	u64 end = ktime_get_ns() + GS_READER_MOST_S * NSEC_PER_SEC;

	rcu_read_lock();
	WRITE_ONCE(inside, true);
	complete(&entered);
	while (!READ_ONCE(leave) && ktime_get_ns() < end)
		cpu_relax();
	WRITE_ONCE(inside, false);
	rcu_read_unlock();

	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

void gs_witness_leave(void)
{
	WRITE_ONCE(leave, true);
	if (reader)
		kthread_stop(reader);
	reader = NULL;
}
EXPORT_SYMBOL_GPL(gs_witness_leave);

int gs_witness_enter(void)
{
	struct task_struct *task;

	gs_witness_leave();
	reinit_completion(&entered);
	WRITE_ONCE(leave, false);
	task = kthread_create(gs_reader_main, NULL, "gs_witness");
	if (IS_ERR(task))
		return PTR_ERR(task);
	reader = task;
	/* Not where those run that this reader holds up. */
	kthread_bind(reader, cpumask_last(cpu_online_mask));
	wake_up_process(reader);
	wait_for_completion(&entered);
	return 0;
}
EXPORT_SYMBOL_GPL(gs_witness_enter);

/*
 * reader: writing 1 holds one and queues pointers under it, 0 lets it go;
 * reading says whether it is inside.
 */

static int gs_queue_pointers(void)
{
	void (*give)(const void *p) = symbol_get(gs_kvfree_rcu);
	int i;

	if (!give)
		return -ENOENT;
	for (i = 0; i < GS_POINTERS; i++)
		give(kmalloc(64 + i, GFP_KERNEL));
	symbol_put(gs_kvfree_rcu);
	return 0;
}

static int reader_set(const char *val, const struct kernel_param *kp)
{
	bool hold;
	int ret = kstrtobool(val, &hold);

	if (ret)
		return ret;
	if (!hold) {
		gs_witness_leave();
		return 0;
	}
	ret = gs_witness_enter();
	return ret ?: gs_queue_pointers();
}

static int reader_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(inside));
}

static const struct kernel_param_ops reader_ops = {
	.set = reader_set,
	.get = reader_get,
};
module_param_cb(reader, &reader_ops, NULL, 0644);
MODULE_PARM_DESC(reader, "Hold a reader, and queue pointers under it");

static int __init gs_witness_init(void)
{
	return 0;
}
module_init(gs_witness_init);

static void __exit gs_witness_exit(void)
{
	gs_witness_leave();
}
module_exit(gs_witness_exit);

MODULE_DESCRIPTION("Sees modules come and go");
MODULE_LICENSE("GPL");
