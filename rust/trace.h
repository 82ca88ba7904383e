/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: what happens to objects, and what the batcher does. Their fields
 * are in Documentation/tracing.rst.
 *
 * Of allocations and frees the fast paths know nothing: as long as a probe is
 * attached to one of these three, they give way to the slow paths.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM graceslab

#if !defined(_GRACESLAB_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _GRACESLAB_TRACE_H

#include <linux/tracepoint.h>
#include <trace/events/mmflags.h>

#ifdef CONFIG_TRACEPOINTS
int gs_trace_watch(void);
void gs_trace_unwatch(void);
#endif

/* Fields and statements a line each, as tracepoints are written. */
/* clang-format off */

TRACE_EVENT_FN(gs_alloc,
	TP_PROTO(const char *cache, const void *obj, gfp_t gfp),
	TP_ARGS(cache, obj, gfp),
	TP_STRUCT__entry(
		__string(cache, cache)
		__field(const void *, obj)
		__field(unsigned long, gfp)
	),
	TP_fast_assign(
		__assign_str(cache);
		__entry->obj = obj;
		__entry->gfp = (__force unsigned long)gfp;
	),
	TP_printk("cache=%s obj=%p gfp=%s", __get_str(cache), __entry->obj,
		  show_gfp_flags(__entry->gfp)),
	gs_trace_watch, gs_trace_unwatch
);

TRACE_EVENT_FN(gs_free,
	TP_PROTO(const char *cache, const void *obj),
	TP_ARGS(cache, obj),
	TP_STRUCT__entry(
		__string(cache, cache)
		__field(const void *, obj)
	),
	TP_fast_assign(
		__assign_str(cache);
		__entry->obj = obj;
	),
	TP_printk("cache=%s obj=%p", __get_str(cache), __entry->obj),
	gs_trace_watch, gs_trace_unwatch
);

/* Of another allocator's pointer, cache is "kmalloc" or "vmalloc". */
TRACE_EVENT_FN(gs_free_rcu,
	TP_PROTO(const char *cache, const void *obj),
	TP_ARGS(cache, obj),
	TP_STRUCT__entry(
		__string(cache, cache)
		__field(const void *, obj)
	),
	TP_fast_assign(
		__assign_str(cache);
		__entry->obj = obj;
	),
	TP_printk("cache=%s obj=%p", __get_str(cache), __entry->obj),
	gs_trace_watch, gs_trace_unwatch
);

TRACE_EVENT(gs_seal,
	TP_PROTO(const char *cache, unsigned int cpu, unsigned int objects,
		 unsigned int age_ms),
	TP_ARGS(cache, cpu, objects, age_ms),
	TP_STRUCT__entry(
		__string(cache, cache)
		__field(unsigned int, cpu)
		__field(unsigned int, objects)
		__field(unsigned int, age_ms)
	),
	TP_fast_assign(
		__assign_str(cache);
		__entry->cpu = cpu;
		__entry->objects = objects;
		__entry->age_ms = age_ms;
	),
	TP_printk("cache=%s cpu=%u objects=%u age_ms=%u", __get_str(cache),
		  __entry->cpu, __entry->objects, __entry->age_ms)
);

TRACE_EVENT(gs_reclaim,
	TP_PROTO(const char *cache, unsigned int objects),
	TP_ARGS(cache, objects),
	TP_STRUCT__entry(
		__string(cache, cache)
		__field(unsigned int, objects)
	),
	TP_fast_assign(
		__assign_str(cache);
		__entry->objects = objects;
	),
	TP_printk("cache=%s objects=%u", __get_str(cache), __entry->objects)
);

/* A step of enum gs_step that served: Documentation/low-memory.rst. */
TRACE_EVENT(gs_fallback,
	TP_PROTO(unsigned int step),
	TP_ARGS(step),
	TP_STRUCT__entry(
		__field(unsigned int, step)
	),
	TP_fast_assign(
		__entry->step = step;
	),
	TP_printk("step=%s",
		  __print_symbolic(__entry->step,
				   { 0, "cached_page" },
				   { 1, "page" },
				   { 2, "reserve_wrapper" },
				   { 3, "wrapper" },
				   { 4, "waited" },
				   { 5, "refused" },
				   { 6, "linked" },
				   { 7, "slot" },
				   { 8, "leaked" }))
);

/* A barrier that returns; of gs_barrier(), cache is "*". */
TRACE_EVENT(gs_barrier,
	TP_PROTO(const char *cache, u64 pending, u64 ns),
	TP_ARGS(cache, pending, ns),
	TP_STRUCT__entry(
		__string(cache, cache)
		__field(u64, pending)
		__field(u64, ns)
	),
	TP_fast_assign(
		__assign_str(cache);
		__entry->pending = pending;
		__entry->ns = ns;
	),
	TP_printk("cache=%s pending=%llu us=%llu", __get_str(cache),
		  __entry->pending, __entry->ns / 1000)
);

TRACE_EVENT(gs_destroy,
	TP_PROTO(const char *cache, bool leaked),
	TP_ARGS(cache, leaked),
	TP_STRUCT__entry(
		__string(cache, cache)
		__field(bool, leaked)
	),
	TP_fast_assign(
		__assign_str(cache);
		__entry->leaked = leaked;
	),
	TP_printk("cache=%s leaked=%d", __get_str(cache), __entry->leaked)
);

TRACE_EVENT(gs_leak,
	TP_PROTO(const char *cache, const void *obj),
	TP_ARGS(cache, obj),
	TP_STRUCT__entry(
		__string(cache, cache)
		__field(const void *, obj)
	),
	TP_fast_assign(
		__assign_str(cache);
		__entry->obj = obj;
	),
	TP_printk("cache=%s obj=%p", __get_str(cache), __entry->obj)
);

/* clang-format on */

#endif /* _GRACESLAB_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
