// SPDX-License-Identifier: GPL-2.0
/* Entries, and a list of them. */
#include <linux/rculist.h>

#include "entry.h"
#include "ways.h"

int gs_entries_add(const struct gs_way *way, struct list_head *list,
		   unsigned int nr)
{
	while (nr--) {
		struct gs_entry *entry = way->alloc();

		if (!entry)
			return -ENOMEM;
		entry->magic = GS_MAGIC;
		entry->vid = nr;
		list_add_rcu(&entry->list, list);
	}
	return 0;
}

unsigned int gs_entries_remove(const struct gs_way *way, struct list_head *list)
{
	struct gs_entry *entry, *next;
	unsigned int nr = 0;

	list_for_each_entry_safe(entry, next, list, list) {
		list_del_rcu(&entry->list);
		way->free_rcu(entry);
		nr++;
	}
	return nr;
}

unsigned int gs_entries_count(struct list_head *list)
{
	struct gs_entry *entry;
	unsigned int nr = 0;

	rcu_read_lock();
	list_for_each_entry_rcu(entry, list, list)
		nr += entry->magic == GS_MAGIC;
	rcu_read_unlock();
	return nr;
}
