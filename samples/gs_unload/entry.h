/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entries of a list that readers walk: what batman-adv's translation table has
 * for each client. They go all at once, when the module is unloaded.
 */
#ifndef _GS_UNLOAD_ENTRY_H
#define _GS_UNLOAD_ENTRY_H

#include <linux/rcupdate.h>
#include <linux/types.h>

#define GS_MAGIC	0x7472616e736c6174ULL

struct gs_entry {
	struct list_head list;
	u64 magic;
	u8 addr[6];
	u16 vid;
	struct rcu_head rcu; /* for the kernel's ways only */
};

struct gs_way;

int gs_entries_add(const struct gs_way *way, struct list_head *list,
		   unsigned int nr);
/* Takes each off the list, and gives it away; returns how many there were. */
unsigned int gs_entries_remove(const struct gs_way *way, struct list_head *list);
/* What a reader does. */
unsigned int gs_entries_count(struct list_head *list);

#endif /* _GS_UNLOAD_ENTRY_H */
