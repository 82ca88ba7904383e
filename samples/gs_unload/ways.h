/* SPDX-License-Identifier: GPL-2.0 */
/* A cache, and how its objects are freed after a grace period. */
#ifndef _GS_UNLOAD_WAYS_H
#define _GS_UNLOAD_WAYS_H

#include "entry.h"

struct gs_way {
	const char *name;
	int (*create)(void);
	struct gs_entry *(*alloc)(void);
	void (*free_rcu)(struct gs_entry *entry);
	/*
	 * Everything that has to be done before this module's code may go; 0,
	 * or what the cache said.
	 */
	int (*destroy)(void);
	/* Frees that have not been done yet; NULL where that cannot be known. */
	u64 (*pending)(void);
	/* Entries that this module itself saw to their end, or NULL. */
	atomic_t *seen;
};

extern const struct gs_way gs_ways[];
extern const unsigned int gs_nr_ways;

#endif /* _GS_UNLOAD_WAYS_H */
