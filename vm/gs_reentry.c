// SPDX-License-Identifier: GPL-2.0
/*
 * Re-entry like an NMI's, at every place where a section has just been opened.
 *
 * graceslab.ko has the addresses of these places in a section of its own. A
 * kprobe on each, and on some of the kernel's functions that work under locks,
 * frees, defers frees and allocates, in the cache that is in use right there,
 * while a thread on each CPU does ordinary things with that cache. Each object
 * that a probe took or gave is accounted for at the end.
 *
 * A probe in a probe is not handled (the CPU steps over it), so that a handler
 * never runs within itself.
 */
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <graceslab.h>

#include "../torture/gs_alone.h"
#include "../torture/gs_like_nmi.h"
#include "gs_object.h"

#define GS_STOCK	32	/* objects that a CPU's handler has at hand */
#define GS_BATCH	200	/* objects that a thread has, more than a few sheaves */

static unsigned long entries;
module_param(entries, ulong, 0400);
MODULE_PARM_DESC(entries, "Address of graceslab's section gs_section_entries");

static unsigned int nr_entries;
module_param(nr_entries, uint, 0444);
MODULE_PARM_DESC(nr_entries, "Number of entries there");

static unsigned int rounds = 40;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "Rounds of each thread with each kind of cache");

static unsigned int probe_limit = 4000;
module_param(probe_limit, uint, 0444);
MODULE_PARM_DESC(probe_limit, "Times that one probe acts with each kind of cache");

/* Called with locks held, interrupts off, or by those who are about to. */
static const char * const symbols[] = {
	"call_rcu",
	"__call_rcu_common",
	"rcu_segcblist_enqueue",
	"add_timer_on",
	"__mod_timer",
	"enqueue_timer",
	"calc_wheel_index",
	"__queue_work",
	"insert_work",
	"__irq_work_queue_local",
	"irq_work_queue",
	"try_to_wake_up",
	"get_state_synchronize_rcu_full",
	"gs_sys_unlock",
	"gs_sys_close",
	"gs_sys_lock",
	"_raw_spin_unlock_irqrestore",
	"__free_pages_ok",
	"free_frozen_pages",
};

struct gs_probe {
	struct kprobe kp;
	char name[KSYM_NAME_LEN];
	bool entry; /* one of graceslab's, which must be hit */
	bool placed;
	atomic_t hits;
	atomic_t acted; /* with all kinds of caches */
	atomic_t now;   /* with this one */
};

static struct gs_probe *probes;
static unsigned int nr_probes;

/* What a cache and its objects are like. */
static const struct gs_kind {
	const char *name;
	unsigned int size;
	unsigned long flags;
	bool ctor;
	bool dtor;
} kinds[] = {
	{ "plain", 64, 0, false, false },
	{ "consistency", 64, GS_CONSISTENCY, true, false },
	{ "dtor", 64, 0, true, true },
	{ "dtor_consistency", 200, GS_CONSISTENCY, true, true },
	{ "typesafe", 64, GS_TYPESAFE_BY_RCU, true, false },
	{ "large", 3000, GS_CONSISTENCY, true, false },
	{ "debug", 64, GS_CONSISTENCY | GS_RED_ZONE | GS_STORE_USER, true,
	  true },
	{ "poison", 64, GS_CONSISTENCY | GS_POISON, false, false },
};

struct gs_object {
	atomic_t owners; /* valid where there is a constructor */
	u32 fill;
};

static const struct gs_kind *kind;
static struct gs_cache *cache;
static atomic_long_t dtors, shared, surprises, pointers;

/* Each CPU's handler and thread. */
struct gs_side {
	bool on; /* the thread is not looking at the stock */
	unsigned int have;
	struct gs_object *stock[GS_STOCK];
	unsigned long frees, frees_rcu, allocs, empty, not_nmi;
};

static DEFINE_PER_CPU(struct gs_side, sides);

static void gs_object_ctor(void *p)
{
	struct gs_object *obj = p;

	atomic_set(&obj->owners, 0);
}

static void gs_object_dtor(void *p)
{
	atomic_long_inc(&dtors);
}

/* Nobody else may have an object that was just allocated. */
static void gs_take(struct gs_object *obj)
{
	if (kind->ctor && atomic_xchg(&obj->owners, 1))
		atomic_long_inc(&shared);
}

static void gs_give(struct gs_object *obj)
{
	if (kind->ctor && !atomic_xchg(&obj->owners, 0))
		atomic_long_inc(&shared);
}

static struct gs_object *gs_new(gfp_t gfp)
{
	struct gs_object *obj = gs_cache_alloc(cache, gfp);

	if (obj)
		gs_take(obj);
	return obj;
}

static void gs_free(struct gs_object *obj)
{
	gs_give(obj);
	gs_cache_free(cache, obj);
}

static void gs_free_rcu(struct gs_object *obj)
{
	gs_give(obj);
	gs_cache_free_rcu(cache, obj);
}

/* ---- the probes ---------------------------------------------------------- */

static int gs_hit(struct kprobe *kp, struct pt_regs *regs)
{
	struct gs_probe *probe = container_of(kp, struct gs_probe, kp);
	struct gs_side *side = this_cpu_ptr(&sides);
	struct gs_object *obj;
	unsigned int i;

	atomic_inc(&probe->hits);
	if (!gs_like_nmi())
		side->not_nmi++;
	if (!READ_ONCE(side->on) || side->have < 2)
		return 0;
	if (atomic_inc_return(&probe->now) > probe_limit)
		return 0;
	atomic_inc(&probe->acted);

	gs_free(side->stock[--side->have]);
	side->frees++;
	gs_free_rcu(side->stock[--side->have]);
	side->frees_rcu++;
	for (i = 0; i < 2; i++) {
		obj = gs_new(0);
		if (obj) {
			side->stock[side->have++] = obj;
			side->allocs++;
		} else {
			side->empty++;
		}
	}
	return 0;
}

NOKPROBE_SYMBOL(gs_hit);

static int gs_place(struct gs_probe *probe)
{
	int ret;

	probe->kp.pre_handler = gs_hit;
	ret = register_kprobe(&probe->kp);
	probe->placed = !ret;
	if (ret)
		pr_info("gs_reentry: no probe at %s: %d\n", probe->name, ret);
	return ret;
}

static int gs_place_all(void)
{
	const s32 *offset = (const s32 *)entries;
	unsigned int i, placed = 0;
	struct gs_probe *probe;
	int ret;

	nr_probes = nr_entries + ARRAY_SIZE(symbols);
	probes = kvcalloc(nr_probes, sizeof(*probes), GFP_KERNEL);
	if (!probes)
		return -ENOMEM;
	for (i = 0; i < nr_entries; i++) {
		probe = &probes[i];
		probe->entry = true;
		probe->kp.addr = (void *)((unsigned long)&offset[i] + offset[i]);
		sprint_symbol(probe->name, (unsigned long)probe->kp.addr);
		*strchrnul(probe->name, ' ') = '\0'; /* [graceslab] */
		ret = gs_place(probe);
		if (ret)
			return ret;
		placed++;
	}
	pr_info("gs_reentry: probes at %u entries of the section\n", placed);
	for (i = 0; i < ARRAY_SIZE(symbols); i++) {
		probe = &probes[nr_entries + i];
		strscpy(probe->name, symbols[i], sizeof(probe->name));
		probe->kp.symbol_name = symbols[i];
		gs_place(probe);
	}
	return 0;
}

static void gs_remove_all(void)
{
	static struct cpumask gone;
	unsigned int i;

	if (!probes)
		return;
	gs_alone_begin(&gone);
	for (i = 0; i < nr_probes; i++)
		if (probes[i].placed)
			unregister_kprobe(&probes[i].kp);
	gs_alone_end(&gone);
}

/* ---- ordinary use ----------------------------------------------------------- */

static void gs_restock(struct gs_side *side)
{
	WRITE_ONCE(side->on, false);
	barrier();
	while (side->have < GS_STOCK) {
		struct gs_object *obj = gs_new(GFP_KERNEL);

		if (!obj)
			break;
		side->stock[side->have++] = obj;
	}
	barrier();
	WRITE_ONCE(side->on, true);
}

static void gs_use_pointers(void)
{
	struct gs_object *obj = gs_new(GFP_KERNEL);
	void *p = kmalloc(100, GFP_KERNEL);

	if (obj) {
		gs_give(obj);
		gs_kvfree_rcu(obj); /* which is one of the cache's */
	}
	if (p) {
		atomic_long_inc(&pointers);
		gs_kvfree_rcu(p);
	}
	p = vmalloc(100);
	if (p) {
		atomic_long_inc(&pointers);
		gs_kvfree_rcu(p);
	}
}

/* Every way to give a pointer away, of ours and of others. */
static void gs_give_by(unsigned int how, void *p)
{
	/* Ours keep who owns them in the first word; so heads come later. */
	const size_t head = 16;

	switch (how) {
	case 0:
		if (gs_try_kvfree_rcu(p, GFP_KERNEL))
			atomic_long_inc(&surprises);
		break;
	case 1:
		gs_kvfree_rcu_at(p, head);
		break;
	case 2:
		gs_kfree_rcu_nolock_at(p, head);
		break;
	default:
		gs_kvfree_rcu_defer(p);
	}
}

static void gs_use_heads(void)
{
	unsigned int how;

	for (how = 0; how < 4; how++) {
		struct gs_object *obj = gs_new(GFP_KERNEL);
		void *p = kmalloc(100, GFP_KERNEL);

		if (obj) {
			gs_give(obj);
			gs_give_by(how, obj);
		}
		if (p) {
			atomic_long_inc(&pointers);
			gs_give_by(how, p);
		}
	}
}

static void gs_use_sheaf(void)
{
	struct gs_sheaf *sheaf = gs_sheaf_prefill(cache, GFP_KERNEL, 4);
	struct gs_object *obj;

	if (!sheaf)
		return;
	obj = gs_sheaf_alloc(cache, sheaf);
	if (obj) {
		gs_take(obj);
		gs_free(obj);
	}
	gs_sheaf_return(cache, GFP_KERNEL, sheaf);
}

static void gs_use_singles(struct gs_object **objs, unsigned int round)
{
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < GS_BATCH; i++)
		objs[i] = gs_new(i % 8 ? GFP_KERNEL : GFP_NOWAIT);
	for (i = 0; i < GS_BATCH; i++) {
		unsigned int how = i % 5;

		if (!objs[i])
			continue;
		/* In turns all at once, all deferred, and mixed. */
		if (round % 3)
			how = round % 3 == 1 ? 0 : 4;
		switch (how) {
		case 0:
			gs_free(objs[i]);
			break;
		case 1:
			local_irq_save(flags);
			gs_free(objs[i]);
			local_irq_restore(flags);
			break;
		case 2:
			local_irq_save(flags);
			gs_free_rcu(objs[i]);
			local_irq_restore(flags);
			break;
		case 3:
			/* As a box does that does not know its cache. */
			gs_give(objs[i]);
			if (i % 2)
				gs_object_free(objs[i]);
			else if (i % 4)
				gs_object_free_rcu(objs[i]);
			else
				gs_object_drop_rcu(objs[i], gs_object_dtor);
			break;
		default:
			gs_free_rcu(objs[i]);
		}
	}
}

/* Zeroed memory, or where that would undo a constructor, none. */
static void gs_use_zeroed(void)
{
	struct gs_object *obj = gs_cache_alloc(cache, GFP_KERNEL | __GFP_ZERO);

	if (!obj)
		return;
	if (kind->ctor || memchr_inv(obj, 0, kind->size))
		atomic_long_inc(&surprises);
	gs_cache_free(cache, obj);
}

static void gs_use_bulk(struct gs_object **objs)
{
	unsigned int i;

	if (!gs_cache_alloc_bulk(cache, GFP_KERNEL, GS_BATCH, (void **)objs))
		return;
	for (i = 0; i < GS_BATCH; i++)
		gs_take(objs[i]);
	for (i = 0; i < GS_BATCH; i++)
		gs_give(objs[i]);
	gs_cache_free_bulk(cache, GS_BATCH, (void **)objs);
}

/* Another cache, which comes and goes; now and then with objects left in it. */
static void gs_use_another(unsigned int cpu, bool leak)
{
	struct gs_cache *other;
	char name[24];
	void *obj[8];
	int i;

	snprintf(name, sizeof(name), "gs_reentry_other%u", cpu);
	other = gs_cache_create(name, 48, NULL, 0);
	if (IS_ERR(other))
		return;
	for (i = 0; i < ARRAY_SIZE(obj); i++)
		obj[i] = gs_cache_alloc(other, GFP_KERNEL);
	for (i = leak; i < ARRAY_SIZE(obj); i++)
		gs_cache_free_rcu(other, obj[i]);
	if (gs_cache_destroy(other) != (leak && obj[0] ? -EBUSY : 0))
		atomic_long_inc(&surprises);
	if (leak)
		gs_cache_free(other, obj[0]);
}

static int gs_user_main(void *done)
{
	struct gs_side *side = this_cpu_ptr(&sides);
	struct gs_object **objs;
	struct gs_cache_stats stats;
	unsigned int round;

	objs = kmalloc_objs(*objs, GS_BATCH);
	for (round = 0; objs && round < rounds; round++) {
		gs_restock(side);
		gs_use_singles(objs, round);
		gs_restock(side);
		gs_use_bulk(objs);
		gs_restock(side);
		gs_use_zeroed();
		gs_use_pointers();
		gs_restock(side);
		gs_use_heads();
		gs_restock(side);
		gs_use_sheaf();
		switch (round % 8) {
		case 1:
			gs_cache_barrier(cache);
			break;
		case 2:
			gs_cache_shrink(cache);
			break;
		case 3:
			gs_cache_stats(cache, &stats);
			break;
		case 4:
			gs_use_another(raw_smp_processor_id(), round == 4);
			break;
		case 5:
			gs_barrier();
			break;
		case 6:
			/* Timers, doorbells and workers go about their work. */
			msleep(30);
			break;
		case 7:
			if (gs_cache_tryget(cache))
				gs_cache_put(cache);
		}
	}
	WRITE_ONCE(side->on, false);
	kfree(objs);
	complete(done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* On another CPU, which is about to go: leaves it things to hand over. */
static void gs_leave_behind(void *unused)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		struct gs_object *obj = gs_new(GFP_NOWAIT);

		if (obj && i % 2)
			gs_free_rcu(obj);
		else if (obj)
			gs_free(obj);
	}
}

/* The first CPU, while another one goes and comes. */
static int gs_hotplug_main(void *done)
{
	unsigned int other = cpumask_any_but(cpu_online_mask,
					     smp_processor_id());
	struct gs_side *side = this_cpu_ptr(&sides);

	gs_restock(side);
	if (other < nr_cpu_ids) {
		smp_call_function_single(other, gs_leave_behind, NULL, 1);
		if (remove_cpu(other))
			atomic_long_inc(&surprises);
		gs_restock(side);
		gs_cache_barrier(cache);
		gs_barrier();
		gs_restock(side);
		gs_use_another(smp_processor_id(), false);
		if (add_cpu(other))
			atomic_long_inc(&surprises);
	}
	WRITE_ONCE(side->on, false);
	complete(done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* Has @fn run on each CPU of @cpus, to its end. */
static int gs_run(int (*fn)(void *done), const struct cpumask *cpus)
{
	struct task_struct **users;
	DECLARE_COMPLETION_ONSTACK(done);
	unsigned int cpu;
	int ret = 0;

	users = kcalloc(nr_cpu_ids, sizeof(*users), GFP_KERNEL);
	if (!users)
		return -ENOMEM;
	for_each_cpu(cpu, cpus) {
		users[cpu] = kthread_create(fn, &done, "gs_reentry/%u", cpu);
		if (IS_ERR(users[cpu])) {
			ret = PTR_ERR(users[cpu]);
			users[cpu] = NULL;
			break;
		}
		kthread_bind(users[cpu], cpu);
		wake_up_process(users[cpu]);
	}
	for_each_cpu(cpu, cpus)
		if (users[cpu])
			wait_for_completion(&done);
	for_each_cpu(cpu, cpus)
		if (users[cpu])
			kthread_stop(users[cpu]);
	kfree(users);
	return ret;
}

/* ---- accounts ------------------------------------------------------------------ */

#define GS_CHECK(cond, fmt, ...)					\
	do {								\
		if (!(cond)) {						\
			pr_err("gs_reentry: %s: FAIL: " fmt "\n", kind->name, \
			       ##__VA_ARGS__);				\
			ret = -EIO;					\
		}							\
	} while (0)

/* A worker that moves objects while they are counted can have them counted twice. */
static void gs_settle(struct gs_cache_stats *stats, u64 live)
{
	int i;

	for (i = 0; i < 50; i++) {
		if (!gs_cache_stats(cache, stats) && stats->live == live)
			return;
		msleep(20);
	}
}

static int gs_account(void)
{
	unsigned long frees = 0, frees_rcu = 0, allocs = 0, empty = 0;
	unsigned long not_nmi = 0, have = 0;
	struct gs_cache_stats stats = {};
	unsigned int cpu;
	int ret = 0, destroyed;

	for_each_possible_cpu(cpu) {
		const struct gs_side *side = per_cpu_ptr(&sides, cpu);

		frees += side->frees;
		frees_rcu += side->frees_rcu;
		allocs += side->allocs;
		empty += side->empty;
		not_nmi += side->not_nmi;
		have += side->have;
	}
	gs_cache_barrier(cache);
	gs_settle(&stats, have);
	GS_CHECK(stats.live == have, "%llu objects are out, and %lu are held",
		 stats.live, have);
	for_each_possible_cpu(cpu) {
		struct gs_side *side = per_cpu_ptr(&sides, cpu);

		while (side->have)
			gs_free_rcu(side->stock[--side->have]);
		memset(side, 0, sizeof(*side));
	}
	gs_cache_barrier(cache);
	gs_settle(&stats, 0);
	GS_CHECK(stats.live == 0, "%llu objects are out, and none is held",
		 stats.live);
	GS_CHECK(stats.queued == stats.done, "%llu deferred frees, %llu done",
		 stats.queued, stats.done);
	GS_CHECK(!kind->dtor || atomic_long_read(&dtors) == stats.queued,
		 "%llu deferred frees, %ld destructors", stats.queued,
		 atomic_long_read(&dtors));
	GS_CHECK(!atomic_long_read(&shared),
		 "%ld objects had two owners or none",
		 atomic_long_read(&shared));
	GS_CHECK(!atomic_long_read(&surprises),
		 "%ld times another cache was not destroyed as it should be",
		 atomic_long_read(&surprises));
	GS_CHECK(!not_nmi, "%lu hits were not like an NMI", not_nmi);
	GS_CHECK(frees && frees_rcu && allocs, "the probes did nothing");
	destroyed = gs_cache_destroy(cache);
	GS_CHECK(!destroyed, "destroy returned %d", destroyed);
	pr_info("gs_reentry: %s: in probes %lu freed, %lu deferred, %lu allocated, %lu times nothing; %llu by the bits\n",
		kind->name, frees, frees_rcu, allocs, empty, stats.frees_bits);
	return ret;
}

static int gs_run_kind(void)
{
	struct gs_cache_args args = {
		.ctor = kind->ctor ? gs_object_ctor : NULL,
		.rcu_dtor = kind->dtor ? gs_object_dtor : NULL,
	};
	unsigned int i;
	int ret, bad;

	atomic_long_set(&dtors, 0);
	atomic_long_set(&shared, 0);
	atomic_long_set(&surprises, 0);
	for (i = 0; i < nr_probes; i++)
		atomic_set(&probes[i].now, 0);
	cache = gs_cache_create("gs_reentry", kind->size, &args, kind->flags);
	if (IS_ERR(cache))
		return PTR_ERR(cache);
	ret = gs_run(gs_user_main, cpu_online_mask);
	if (!ret)
		ret = gs_run(gs_hotplug_main,
			     cpumask_of(cpumask_first(cpu_online_mask)));
	bad = gs_account();
	return ret ?: bad;
}

/* Whether each probe was hit, and acted; the script knows which need not. */
static void gs_report(void)
{
	unsigned int i;

	for (i = 0; i < nr_probes; i++) {
		const struct gs_probe *probe = &probes[i];

		if (probe->placed)
			pr_info("gs_reentry: %s %s: %d hits, acted %d times, missed %lu\n",
				probe->entry ? "entry" : "symbol", probe->name,
				atomic_read(&probe->hits),
				atomic_read(&probe->acted), probe->kp.nmissed);
	}
}

static int __init gs_reentry_init(void)
{
	unsigned int i;
	int ret;

	if (!entries || !nr_entries)
		return -EINVAL;
	ret = gs_place_all();
	for (i = 0; !ret && i < ARRAY_SIZE(kinds); i++) {
		kind = &kinds[i];
		ret = gs_run_kind();
	}
	gs_remove_all();
	gs_report();
	kvfree(probes);
	gs_barrier();
	pr_info("gs_reentry: %s; %ld pointers were given\n",
		ret ? "FAIL" : "ok", atomic_long_read(&pointers));
	return ret;
}
module_init(gs_reentry_init);

static void __exit gs_reentry_exit(void)
{
}
module_exit(gs_reentry_exit);

MODULE_DESCRIPTION("Uses a cache from probes inside of its sections");
MODULE_LICENSE("GPL");
