// SPDX-License-Identifier: GPL-2.0
/*
 * The C half of rust/trace.rs: tracepoints, and who watches them.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"

#include <linux/ktime.h>
#include <linux/module.h>

#include "shim.h"

#ifdef CONFIG_TRACEPOINTS

/* A first probe is attached to a tracepoint, or the last one goes. */
int gs_trace_watch(void)
{
	gs_rs_watch(true);
	return 0;
}

void gs_trace_unwatch(void)
{
	gs_rs_watch(false);
}

#endif

EXPORT_TRACEPOINT_SYMBOL_GPL(gs_alloc);
EXPORT_TRACEPOINT_SYMBOL_GPL(gs_free);
EXPORT_TRACEPOINT_SYMBOL_GPL(gs_free_rcu);
EXPORT_TRACEPOINT_SYMBOL_GPL(gs_seal);
EXPORT_TRACEPOINT_SYMBOL_GPL(gs_reclaim);
EXPORT_TRACEPOINT_SYMBOL_GPL(gs_fallback);
EXPORT_TRACEPOINT_SYMBOL_GPL(gs_barrier);
EXPORT_TRACEPOINT_SYMBOL_GPL(gs_destroy);
EXPORT_TRACEPOINT_SYMBOL_GPL(gs_leak);

/* The names are those of caches, or what stands for one. */

void gs_sys_trace_alloc(const char *cache, const void *obj, gfp_t gfp);
void gs_sys_trace_alloc(const char *cache, const void *obj, gfp_t gfp)
{
	trace_gs_alloc(cache, obj, gfp);
}

void gs_sys_trace_free(const char *cache, const void *obj);
void gs_sys_trace_free(const char *cache, const void *obj)
{
	trace_gs_free(cache, obj);
}

void gs_sys_trace_free_rcu(const char *cache, const void *obj);
void gs_sys_trace_free_rcu(const char *cache, const void *obj)
{
	trace_gs_free_rcu(cache, obj);
}

void gs_sys_trace_seal(const char *cache, unsigned int cpu,
		       unsigned int objects, unsigned long age);
void gs_sys_trace_seal(const char *cache, unsigned int cpu,
		       unsigned int objects, unsigned long age)
{
	if (trace_gs_seal_enabled())
		trace_gs_seal(cache, cpu, objects, jiffies_to_msecs(age));
}

void gs_sys_trace_reclaim(const char *cache, unsigned int objects);
void gs_sys_trace_reclaim(const char *cache, unsigned int objects)
{
	trace_gs_reclaim(cache, objects);
}

void gs_sys_trace_fallback(unsigned int step);
void gs_sys_trace_fallback(unsigned int step)
{
	trace_gs_fallback(step);
}

/* When a barrier began, if somebody wants to know. */
u64 gs_sys_trace_begin(void);
u64 gs_sys_trace_begin(void)
{
	return trace_gs_barrier_enabled() ? ktime_get_ns() : 0;
}

void gs_sys_trace_barrier(const char *cache, u64 pending, u64 begin);
void gs_sys_trace_barrier(const char *cache, u64 pending, u64 begin)
{
	if (begin)
		trace_gs_barrier(cache, pending, ktime_get_ns() - begin);
}

void gs_sys_trace_destroy(const char *cache, bool leaked);
void gs_sys_trace_destroy(const char *cache, bool leaked)
{
	trace_gs_destroy(cache, leaked);
}

void gs_sys_trace_leak(const char *cache, const void *obj);
void gs_sys_trace_leak(const char *cache, const void *obj)
{
	trace_gs_leak(cache, obj);
}
