// SPDX-License-Identifier: GPL-2.0
/*
 * The benchmark's rows, run by hand: writing "ROW REPEATS" to gs_bench/run in
 * debugfs runs one, and fails if it could not be measured; what it measured is
 * then in gs_bench/samples, in lines of
 *
 *   gs_bench: sample NAME UNIT ours|peer THOUSANDTHS
 *   gs_bench: point CURVE ours|peer X Y
 *
 * gs_bench/rows lists all of them. A row may give samples of several names.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "gs_bench.h"

module_param_named(insn, gs_bench_insn, bool, 0444);
MODULE_PARM_DESC(insn, "the machine's nanoseconds are instructions");

static const struct gs_bench_row * const tables[] = {
	gs_bench_fast_rows,  gs_bench_grace_rows, gs_bench_insert_rows,
	gs_bench_life_rows,  gs_bench_load_rows,  gs_bench_memory_rows,
	gs_bench_peers_rows, gs_bench_scale_rows,
};

static DEFINE_MUTEX(gs_bench_mutex);
static struct dentry *gs_bench_dir;

static int gs_bench_rows_show(struct seq_file *m, void *unused)
{
	const struct gs_bench_row *row;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tables); i++)
		for (row = tables[i]; row->name; row++)
			seq_printf(m, "%s\n", row->name);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(gs_bench_rows);

static const struct gs_bench_row *gs_bench_find(const char *name)
{
	const struct gs_bench_row *row;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tables); i++)
		for (row = tables[i]; row->name; row++)
			if (!strcmp(row->name, name))
				return row;
	return NULL;
}

static ssize_t gs_bench_run_write(struct file *file, const char __user *from,
				  size_t count, loff_t *pos)
{
	const struct gs_bench_row *row;
	char text[64], name[48];
	unsigned int repeats;
	int ret;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = 0;
	if (sscanf(text, "%47s %u", name, &repeats) != 2 || !repeats)
		return -EINVAL;
	row = gs_bench_find(name);
	if (!row)
		return -ENOENT;

	mutex_lock(&gs_bench_mutex);
	gs_bench_length = 0;
	gs_bench_lost = 0;
	/* Not the CPU that the machine boots on, where there are others. */
	set_cpus_allowed_ptr(current, cpumask_of(cpumask_last(cpu_online_mask)));
	ret = row->run(repeats);
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	if (!ret && gs_bench_lost)
		ret = -ENOSPC;
	mutex_unlock(&gs_bench_mutex);
	return ret ?: count;
}

static ssize_t gs_bench_samples_read(struct file *file, char __user *to,
				     size_t count, loff_t *pos)
{
	ssize_t ret;

	mutex_lock(&gs_bench_mutex);
	ret = simple_read_from_buffer(to, count, pos, gs_bench_lines,
				      gs_bench_length);
	mutex_unlock(&gs_bench_mutex);
	return ret;
}

static const struct file_operations gs_bench_run_fops = {
	.owner = THIS_MODULE,
	.write = gs_bench_run_write,
};

static const struct file_operations gs_bench_samples_fops = {
	.owner = THIS_MODULE,
	.read = gs_bench_samples_read,
};

static int __init gs_bench_init(void)
{
	int ret = gs_bench_measure_init();

	if (ret)
		return ret;
	gs_bench_dir = debugfs_create_dir("gs_bench", NULL);
	debugfs_create_file("rows", 0400, gs_bench_dir, NULL,
			    &gs_bench_rows_fops);
	debugfs_create_file("run", 0200, gs_bench_dir, NULL, &gs_bench_run_fops);
	debugfs_create_file("samples", 0400, gs_bench_dir, NULL,
			    &gs_bench_samples_fops);
	return 0;
}

static void __exit gs_bench_exit(void)
{
	debugfs_remove(gs_bench_dir);
	/* Callbacks of the peer's run code of this module. */
	rcu_barrier();
	gs_bench_measure_exit();
}

module_init(gs_bench_init);
module_exit(gs_bench_exit);
MODULE_DESCRIPTION("graceslab benchmark");
MODULE_LICENSE("GPL");
