// SPDX-License-Identifier: GPL-2.0
/* Records: made, and freed after a grace period, wherever a probe may be. */
#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "records.h"

struct gs_record __rcu *gs_slots[GS_KINDS][GS_SLOTS];
const char * const gs_kind_names[GS_KINDS] = { "gs_cache", "kmalloc" };

static struct gs_cache *cache;
static atomic64_t number;
static DEFINE_PER_CPU(struct gs_counts, counts[GS_KINDS]);

static void gs_record_dtor(void *obj)
{
	struct gs_record *record = obj;

	record->check = 0;
	this_cpu_inc(counts[GS_OURS].dropped);
}

static struct gs_record *gs_record_alloc(enum gs_kind kind)
{
	/* Neither may wait for a lock, whatever it was that the probe hit. */
	if (kind == GS_OURS)
		return gs_cache_alloc(cache, 0);
	return kmalloc_nolock(sizeof(struct gs_record), 0, NUMA_NO_NODE);
}

static void gs_record_free(enum gs_kind kind, struct gs_record *record)
{
	if (kind == GS_OURS)
		gs_cache_free_rcu(cache, record);
	else
		gs_kfree_rcu_nolock(record, head);
	this_cpu_inc(counts[kind].given);
}

static void gs_record_put(enum gs_kind kind, unsigned int slot,
			  struct gs_record *record)
{
	struct gs_record __rcu **place = &gs_slots[kind][slot];
	struct gs_record *old;

	old = unrcu_pointer(xchg(place, RCU_INITIALIZER(record)));
	if (old)
		gs_record_free(kind, old);
}

void gs_record(unsigned long ip)
{
	u64 this = atomic64_inc_return(&number);
	enum gs_kind kind;

	for (kind = 0; kind < GS_KINDS; kind++) {
		struct gs_record *record = gs_record_alloc(kind);

		if (!record) {
			this_cpu_inc(counts[kind].none);
			continue;
		}
		record->number = this;
		record->ip = ip;
		record->cpu = raw_smp_processor_id();
		record->check = gs_record_check(this, ip);
		this_cpu_inc(counts[kind].made);
		gs_record_put(kind, this % GS_SLOTS, record);
	}
}

struct gs_counts gs_records_counts(enum gs_kind kind)
{
	struct gs_counts sum = {};
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		const struct gs_counts *c = per_cpu_ptr(&counts[kind], cpu);

		sum.made += c->made;
		sum.none += c->none;
		sum.given += c->given;
		sum.dropped += c->dropped;
	}
	return sum;
}

int gs_records_init(void)
{
	struct gs_cache_args args = { .rcu_dtor = gs_record_dtor };

	cache = gs_cache_create("gs_nmi", sizeof(struct gs_record), &args,
				GS_CONSISTENCY);
	return PTR_ERR_OR_ZERO(cache);
}

int gs_records_exit(void)
{
	struct gs_cache_stats stats;
	enum gs_kind kind;
	unsigned int slot;

	for (kind = 0; kind < GS_KINDS; kind++)
		for (slot = 0; slot < GS_SLOTS; slot++)
			gs_record_put(kind, slot, NULL);
	if (!gs_cache_stats(cache, &stats))
		pr_info("gs_nmi: exit: %llu frees pending\n",
			stats.queued - stats.done);
	return gs_cache_destroy(cache);
}
