// SPDX-License-Identifier: GPL-2.0
/*
 * Clocks and samples.
 *
 * Time is ktime where it is native. Under qemu's -icount shift=0 the machine's
 * time stamp counter advances by one with each instruction, whatever the host
 * is doing, and is read at the cost of two.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/sched.h>
#include <linux/sort.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
#include <asm/msr.h>
#endif

#include "gs_bench.h"

/* Longer than the timers of either side. */
#define GS_SETTLE_MS	50

#define GS_LINES_SIZE	(4 << 20)

bool gs_bench_insn;
char *gs_bench_lines;
size_t gs_bench_length;
int gs_bench_lost;

static bool gs_warm;

u64 gs_bench_now(void)
{
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
	if (gs_bench_insn)
		return rdtsc_ordered();
#endif
	return ktime_get_ns();
}

const char *gs_bench_unit(void)
{
	return gs_bench_insn ? "insn" : "ns";
}

static __printf(1, 2) void gs_line(const char *fmt, ...)
{
	size_t room = GS_LINES_SIZE - gs_bench_length;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(gs_bench_lines + gs_bench_length, room, fmt, args);
	va_end(args);
	if (n < room)
		gs_bench_length += n;
	else
		gs_bench_lost++;
}

static const char * const gs_side[] = { "ours", "peer" };

void gs_bench_sample(const char *name, const char *unit,
		     enum gs_bench_side side, u64 milli)
{
	if (!gs_warm)
		gs_line("gs_bench: sample %s %s %s %llu\n", name, unit,
			gs_side[side], milli);
}

void gs_bench_each(const char *name, enum gs_bench_side side, u64 spent, u64 nr)
{
	gs_bench_sample(name, gs_bench_unit(), side, spent * 1000 / nr);
}

void gs_bench_point(const char *curve, enum gs_bench_side side, u64 x, u64 y)
{
	if (!gs_warm)
		gs_line("gs_bench: point %s %s %llu %llu\n", curve,
			gs_side[side], x, y);
}

int gs_bench_repeat(unsigned int repeats, gs_bench_once once)
{
	unsigned int i, turn;
	int ret = 0;

	for (i = 0; i <= repeats && !ret; i++) {
		gs_warm = i == 0;
		/* Whoever comes second finds the machine as the other left it. */
		for (turn = 0; turn < SIDES && !ret; turn++) {
			/* What a side puts off is not the other one's to pay. */
			msleep(GS_SETTLE_MS);
			ret = once((i + turn) % SIDES);
		}
	}
	gs_warm = false;
	return ret;
}

static int gs_compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

void gs_bench_sort(u64 *values, size_t nr)
{
	sort(values, nr, sizeof(*values), gs_compare, NULL);
}

unsigned long gs_bench_free_pages(void)
{
	unsigned long pages = 0;
	struct zone *zone;
	int nid, cpu;

	for_each_online_node(nid) {
		struct zone *zones = NODE_DATA(nid)->node_zones;

		for (zone = zones; zone < zones + MAX_NR_ZONES; zone++) {
			struct per_cpu_pages
				__percpu *pcp = zone->per_cpu_pageset;

			if (!populated_zone(zone))
				continue;
			pages += zone_page_state_snapshot(zone, NR_FREE_PAGES);
			for_each_online_cpu(cpu)
				pages += READ_ONCE(per_cpu_ptr(pcp, cpu)->count);
		}
	}
	return pages;
}

unsigned long gs_bench_period_now(void)
{
	unsigned long seq = rcu_get_gp_seq();

	/* The lowest bits say whether one runs. */
	return seq & 3 ? seq : 0;
}

unsigned long gs_bench_grace_periods(void)
{
	return rcu_get_gp_seq() >> 2;
}

unsigned long gs_bench_expedited(void)
{
	return rcu_exp_batches_completed() >> 2;
}

int gs_bench_measure_init(void)
{
	gs_bench_lines = vzalloc(GS_LINES_SIZE);
	return gs_bench_lines ? 0 : -ENOMEM;
}

void gs_bench_measure_exit(void)
{
	vfree(gs_bench_lines);
}
