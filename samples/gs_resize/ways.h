/* SPDX-License-Identifier: GPL-2.0 */
/* The ways to get rid of a table that readers may be looking at. */
#ifndef _GS_RESIZE_WAYS_H
#define _GS_RESIZE_WAYS_H

#include "table.h"

struct gs_way {
	const char *name;
	void (*give)(struct gs_table *old); /* may sleep */
	void (*wait)(void); /* until all are freed; NULL where modules cannot */
	bool sleeps;        /* for a grace period, each time */
	bool ours;          /* graceslab counts them */
};

extern const struct gs_way gs_ways[];
extern const unsigned int gs_nr_ways;

/* One that is wrong: readers must notice. */
extern const struct gs_way gs_wrong_way;

#endif /* _GS_RESIZE_WAYS_H */
