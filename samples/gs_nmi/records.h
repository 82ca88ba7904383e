/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The latest records of what was hit, in slots that readers look at without a
 * lock: once in objects of a cache of ours, once in memory of the kernel's.
 *
 * Whoever makes a record puts it into the next slot and frees the one that was
 * there, in any context.
 */
#ifndef _GS_NMI_RECORDS_H
#define _GS_NMI_RECORDS_H

#include <linux/hash.h>
#include <linux/types.h>

#include <graceslab.h>

#define GS_SLOTS	16

struct gs_record {
	struct gs_rcu_head head; /* for those that are the kernel's */
	u64 number;
	unsigned long ip;
	int cpu;
	u64 check;
};

enum gs_kind { GS_OURS, GS_KERNELS, GS_KINDS };

extern struct gs_record __rcu *gs_slots[GS_KINDS][GS_SLOTS];
extern const char * const gs_kind_names[GS_KINDS];

/* What was done, on all CPUs. */
struct gs_counts {
	unsigned long made;
	unsigned long none;    /* there was no memory at hand */
	unsigned long given;   /* to a deferred free */
	unsigned long dropped; /* destructors */
};

static inline u64 gs_record_check(u64 number, unsigned long ip)
{
	return (number ^ ip) * GOLDEN_RATIO_64;
}

int gs_records_init(void);
/* Context: Any context, NMI included. */
void gs_record(unsigned long ip);
struct gs_counts gs_records_counts(enum gs_kind kind);
/* Without probes and readers. Frees what is in the slots, and destroys the cache. */
int gs_records_exit(void);

#endif /* _GS_NMI_RECORDS_H */
