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

/* Two words hold a full grace-period cookie on every configuration. */
struct gs_cookie {
	unsigned long w[2];
};

/* The kernel objects that belong to one cache. */
struct gs_core_sys {
	struct work_struct work;	/* destructors, bit path, zombies */
	struct rcu_head bell;		/* bit path: a grace period has passed */
	struct rcu_head retire;		/* frees the core */
	struct mutex service;		/* serialises the bit path's service */
	struct mutex barrier;		/* one barrier of a cache at a time */
	void *pcpu;			/* __percpu area handed to gs_sys_enter() */
};

/* Rust entry points, all called in the context their comment names. */
void gs_rs_serve(unsigned int cpu);		/* preemption off, section closed */
void gs_rs_seal_timer(unsigned int cpu);	/* softirq */
void gs_rs_kick(unsigned int cpu);		/* hard interrupt */
void gs_rs_bell(unsigned int cpu);		/* RCU callback */
void gs_rs_reclaim(unsigned int cpu);		/* process */
void gs_rs_attend(void);			/* process */
void gs_rs_ipi(void *arg);			/* hard interrupt or process, irqs off */
void gs_rs_cpu_dead(unsigned int cpu);		/* process */
void gs_rs_core_work(struct gs_core_sys *sys);	/* process */
void gs_rs_core_bell(struct gs_core_sys *sys);	/* RCU callback */
void gs_rs_core_free(struct gs_core_sys *sys);	/* RCU callback */
void gs_rs_slab_free(struct rcu_head *head);	/* RCU callback */
void gs_rs_module_going(const void *mod);	/* process */

#endif /* _GRACESLAB_SHIM_H */
