/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the Rust side cannot say itself: macros and inline functions of the
 * kernel, and the kernel objects whose layout Rust need not know.
 *
 * gs_sys_*: C called from Rust. gs_rs_*: Rust called from C.
 */
#ifndef _GRACESLAB_SHIM_H
#define _GRACESLAB_SHIM_H

#include <linux/types.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#ifdef CONFIG_TINY_RCU
#define rcu_gp_is_normal() false
#else
/* Exported for tests of RCU; no header for modules has it. */
bool rcu_gp_is_normal(void);
#endif

/* Two words hold a full grace-period cookie on every configuration. */
struct gs_cookie {
	unsigned long w[2];
};

/* The kernel objects that belong to one cache. */
struct gs_core_sys {
	struct work_struct work;     /* destructors, bit path, zombies */
	struct rcu_head bell;        /* bit path: a grace period has passed */
	struct rcu_head retire;      /* frees the core */
	struct mutex service;        /* serialises the bit path's service */
	struct mutex barrier;        /* one barrier of a cache at a time */
	struct mutex trim;           /* one gives memory back at a time */
	struct work_struct family;   /* children made and closed */
	struct rcu_head family_bell; /* children that leave: the same */
	struct xarray children;      /* by key; the family work changes it */
	void *pcpu;                  /* __percpu area of gs_sys_enter() */
};

/* The module's numbers: Param of rust/sys.rs. */
enum gs_param_id {
	GS_PARAM_SEAL_MS,
	GS_PARAM_RESERVE_PAGES,
	GS_PARAM_RESERVE_WRAPPERS,
	GS_PARAM_EXPEDITE_MS,
	GS_PARAM_EXPEDITE_BATCHES,
};

/* The files in debugfs: File of rust/sys.rs. */
enum gs_file_id {
	GS_FILE_CACHES,
	GS_FILE_BATCHER,
	GS_FILE_STATS,
	GS_FILE_ALIASES,
	GS_FILE_CHILDREN,
	GS_FILE_CAPACITY,
};

void gs_sys_param_changed(void (*changed)(void));

/* Rust entry points, all called in the context their comment names. */
void gs_rs_serve(unsigned int cpu);      /* preemption off, section closed */
void gs_rs_seal_timer(unsigned int cpu); /* softirq */
void gs_rs_kick(unsigned int cpu);       /* hard interrupt */
void gs_rs_bell(unsigned int cpu);       /* RCU callback */
void gs_rs_reclaim(unsigned int cpu);    /* process */
void gs_rs_cpu_dead(unsigned int cpu);   /* process */
void gs_rs_ipi(void *arg);               /* hard interrupt; process, irqs off */
void gs_rs_attend(void);                 /* process */
void gs_rs_trims(void);                  /* process */
void gs_rs_heads(void);                  /* process */
void gs_rs_watch(bool on);               /* process */
void gs_rs_debug_changed(void);          /* process */
void gs_rs_reserve_fit(void);            /* process */
void gs_rs_seal_all(void);               /* process */

void gs_rs_core_work(struct gs_core_sys *sys);   /* process */
void gs_rs_core_bell(struct gs_core_sys *sys);   /* RCU callback */
void gs_rs_core_free(struct gs_core_sys *sys);   /* RCU callback */
void gs_rs_family_work(struct gs_core_sys *sys); /* process */
void gs_rs_family_bell(struct gs_core_sys *sys); /* RCU callback */
void gs_rs_module_going(const void *mod);        /* process */
void gs_rs_slab_free(struct rcu_head *head);     /* RCU callback */

/* Hard interrupt; softirq on RT. Early of rust/rcu/doorbell.rs. */
enum gs_glance {
	GS_GLANCE_NONE, /* the glance before a tick is not armed */
	GS_GLANCE_DUE,  /* this is it */
	GS_GLANCE_LATER,
};

void gs_rs_glance(unsigned int cpu, enum gs_glance early);

/* Process. */
struct seq_file;
void gs_rs_file_show(struct seq_file *m, enum gs_file_id id, const void *core);
int gs_rs_capacity_write(const void *core, const char *text, size_t len);

/* Process, others' locks held. */
unsigned long gs_rs_reclaimable(void);
unsigned long gs_rs_reclaim_pages(unsigned long wanted);

#endif /* _GRACESLAB_SHIM_H */
