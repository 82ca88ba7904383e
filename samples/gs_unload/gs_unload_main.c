// SPDX-License-Identifier: GPL-2.0
/*
 * A module that goes while RCU still has its objects: what batman-adv ran into
 * when its call_rcu() callbacks, which did nothing but kmem_cache_free(), became
 * kfree_rcu().
 *
 * It has a list of entries for each of three ways (ways.c). When it is unloaded
 * it empties the lists and destroys the caches at once, and says how long each
 * took until nothing was left that needs its code. Then once more with a cache
 * that has no entries, while somebody else has frees pending.
 */
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "entry.h"
#include "ways.h"

static unsigned int entries = 10000;
module_param(entries, uint, 0444);
MODULE_PARM_DESC(entries, "Entries of each list");

static unsigned int strangers = 20000;
module_param(strangers, uint, 0444);
MODULE_PARM_DESC(strangers, "Frees that somebody else has pending when a cache goes that has none");

static bool forget;
module_param(forget, bool, 0444);
MODULE_PARM_DESC(forget, "Keep one entry of graceslab's from being freed, to see it reported");

static struct list_head *lists;

static void gs_remove_all(const struct gs_way *way, struct list_head *list)
{
	gs_entries_remove(way, list);
	way->destroy();
}

static int gs_add_all(const struct gs_way *way, struct list_head *list)
{
	int ret = way->create();

	if (ret)
		return ret;
	INIT_LIST_HEAD(list);
	ret = gs_entries_add(way, list, entries);
	if (ret)
		gs_remove_all(way, list);
	return ret;
}

static int __init gs_unload_init(void)
{
	unsigned int way;
	int ret = 0;

	lists = kmalloc_objs(*lists, gs_nr_ways);
	if (!lists)
		return -ENOMEM;
	for (way = 0; way < gs_nr_ways; way++) {
		ret = gs_add_all(&gs_ways[way], &lists[way]);
		if (ret)
			break;
	}
	if (!ret)
		return 0;
	while (way--)
		gs_remove_all(&gs_ways[way], &lists[way]);
	kfree(lists);
	return ret;
}
module_init(gs_unload_init);

/* Frees that are no concern of ours. */
static void gs_strangers_free(void)
{
	struct stranger {
		struct rcu_head rcu;
	} *stranger;
	unsigned int i;

	for (i = 0; i < strangers; i++) {
		stranger = kmalloc_obj(*stranger);
		if (stranger)
			kfree_rcu(stranger, rcu);
	}
}

/* Whether the cache went, and its entries before it. */
static bool gs_leave(const struct gs_way *way, unsigned int nr, const char *when)
{
	char pending[24] = "-";
	u64 begin, took;
	int ret, seen;

	if (way->pending)
		snprintf(pending, sizeof(pending), "%llu", way->pending());
	begin = ktime_get_ns();
	ret = way->destroy();
	took = ktime_get_ns() - begin;
	seen = way->seen ? atomic_read(way->seen) : nr;
	pr_info("gs_unload: %-17s %6u %7s %9llu %6d %5d  %s\n", way->name, nr,
		pending, took / NSEC_PER_USEC, ret, seen, when);
	return !ret && seen == nr;
}

static void __exit gs_unload_exit(void)
{
	unsigned int way, wrong = 0;

	pr_info("gs_unload: %-17s %6s %7s %9s %6s %5s\n", "way", "given",
		"pending", "exit us", "result", "seen");
	for (way = 0; way < gs_nr_ways; way++) {
		unsigned int nr = gs_entries_count(&lists[way]);

		if (forget && gs_ways[way].pending)
			list_del_rcu(lists[way].next);
		wrong += gs_entries_remove(&gs_ways[way], &lists[way]) != nr;
		wrong += !gs_leave(&gs_ways[way], nr, "at once");
	}
	/* And one without entries, whose owner does not know of any frees. */
	for (way = 0; way < gs_nr_ways; way++) {
		if (gs_ways[way].create()) {
			wrong++;
			continue;
		}
		gs_strangers_free();
		wrong += !gs_leave(&gs_ways[way], 0,
				   "empty, others' frees pending");
	}
	kfree(lists);
	pr_info("gs_unload: %s\n",
		wrong ? "FAIL" : "ok: nothing of this module is left");
}
module_exit(gs_unload_exit);

MODULE_DESCRIPTION("Goes with frees pending, and says how long each way takes");
MODULE_LICENSE("GPL");
