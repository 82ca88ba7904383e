// SPDX-License-Identifier: GPL-2.0
/*
 * The C half of rust/sys.rs: see shim.h.
 *
 * The per-CPU section lives here because this_cpu operations are macros. The
 * section is open while gs_busy is set on a CPU; it is entered and left with
 * preemption off, by one CPU for itself, so plain accesses with compiler
 * barriers order it against interrupts and NMIs of the same CPU.
 */
#include <linux/annotate.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kallsyms.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <linux/wait_bit.h>

#include "shim.h"

#ifdef GS_SHIM_INLINE
#define GS_SHIM __attribute__((always_inline))
#else
#define GS_SHIM
#endif

/* ---- the per-CPU section ------------------------------------------------ */

struct gs_pcpu {
	u8 busy;	/* the section is open */
	u8 wanted;	/* an interrupt that met it open wants service */
};

static DEFINE_PER_CPU_ALIGNED(struct gs_pcpu, gs_pcpu);

/*
 * A section is entered with a per-CPU address and left with the offset that
 * made it this CPU's, so that the offset is looked up once. Where per-CPU
 * accesses have an instruction of their own, that is used instead.
 */
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
#define gs_section_read(field, offset)		__this_cpu_read(gs_pcpu.field)
#define gs_section_write(field, offset, val)	__this_cpu_write(gs_pcpu.field, val)
#else
#define gs_section(offset) \
	((struct gs_pcpu *)((unsigned long)(void __force *)&gs_pcpu + (offset)))
#define gs_section_read(field, offset)		READ_ONCE(gs_section(offset)->field)
#define gs_section_write(field, offset, val)	WRITE_ONCE(gs_section(offset)->field, val)
#endif

/*
 * Every place where a section is open, inlined or not, has its address in an
 * ELF section: tests put a probe on each, for re-entry in the middle of it.
 */
#define gs_section_entry()						\
	asm volatile("771:\n\t"						\
		     ANNOTATE_NOENDBR "\n\t"				\
		     ".pushsection gs_section_entries, \"a\"\n\t"	\
		     ".balign 4\n\t"					\
		     ".long 771b - .\n\t"				\
		     ".popsection" ::: "memory")

/* A per-CPU address for those who want the section and nothing else. */
void *gs_sys_section_area(void);
void *gs_sys_section_area(void)
{
	return (void __force *)&gs_pcpu;
}

/*
 * Opens the section and returns this CPU's copy of @area, or NULL, with
 * preemption as it was, when this CPU is inside one already.
 */
GS_SHIM void *gs_sys_enter(void *area);
GS_SHIM void *gs_sys_enter(void *area)
{
	void *here;

	preempt_disable();
	here = this_cpu_ptr((void __percpu __force *)area);
	if (!here)
		__builtin_unreachable();
	if (unlikely(gs_section_read(busy, here - area))) {
		preempt_enable();
		return NULL;
	}
	gs_section_write(busy, here - area, 1);
	gs_section_entry();
	return here;
}

/* Closes the section and serves what interrupts asked for meanwhile. */
GS_SHIM void gs_sys_leave(unsigned long offset);
GS_SHIM void gs_sys_leave(unsigned long offset)
{
	barrier();
	gs_section_write(busy, offset, 0);
	/* Pairs with gs_sys_want() in an interrupt of this CPU. */
	barrier();
	if (unlikely(gs_section_read(wanted, offset)))
		gs_rs_serve(smp_processor_id());
	preempt_enable();
}

/* Closes the section; true when an interrupt asked for service meanwhile. */
bool gs_sys_close(void);
bool gs_sys_close(void)
{
	bool wanted;

	barrier();
	__this_cpu_write(gs_pcpu.busy, 0);
	/* Pairs with gs_sys_want() in an interrupt of this CPU. */
	barrier();
	wanted = __this_cpu_read(gs_pcpu.wanted);
	preempt_enable();
	return wanted;
}

/* Asks the open section that this interrupt met to serve when it closes. */
void gs_sys_want(void);
void gs_sys_want(void)
{
	__this_cpu_write(gs_pcpu.wanted, 1);
	barrier();
}

/* Takes the request back; called by whoever serves it now. */
void gs_sys_unwant(void);
void gs_sys_unwant(void)
{
	__this_cpu_write(gs_pcpu.wanted, 0);
	barrier();
}

void *gs_sys_percpu_alloc(size_t size, size_t align);
void *gs_sys_percpu_alloc(size_t size, size_t align)
{
	return (void __force *)__alloc_percpu(size, align);
}

void gs_sys_percpu_free(void *area);
void gs_sys_percpu_free(void *area)
{
	free_percpu((void __percpu __force *)area);
}

void *gs_sys_percpu_ptr(void *area, unsigned int cpu);
void *gs_sys_percpu_ptr(void *area, unsigned int cpu)
{
	return per_cpu_ptr((void __percpu __force *)area, cpu);
}

/* ---- context ------------------------------------------------------------ */

GS_SHIM bool gs_sys_irqs_disabled(void);
GS_SHIM bool gs_sys_irqs_disabled(void)
{
	return irqs_disabled();
}

GS_SHIM bool gs_sys_in_nmi(void);
GS_SHIM bool gs_sys_in_nmi(void)
{
	return in_nmi();
}

GS_SHIM void gs_sys_preempt_disable(void);
GS_SHIM void gs_sys_preempt_disable(void)
{
	preempt_disable();
}

GS_SHIM void gs_sys_preempt_enable(void);
GS_SHIM void gs_sys_preempt_enable(void)
{
	preempt_enable();
}

/* On PREEMPT_RT, and where lockdep looks for it, allocators are not for raw locks. */
bool gs_sys_may_allocate(void);
bool gs_sys_may_allocate(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT) ||
	    IS_ENABLED(CONFIG_PROVE_RAW_LOCK_NESTING))
		return preemptible();
	return true;
}

/* Whether the caller can be one that may sleep, as far as can be told. */
bool gs_sys_may_sleep(void);
bool gs_sys_may_sleep(void)
{
	if (in_nmi() || in_hardirq() || in_serving_softirq() || irqs_disabled())
		return false;
	return !IS_ENABLED(CONFIG_PREEMPT_COUNT) || preemptible();
}

unsigned int gs_sys_this_cpu(void);
unsigned int gs_sys_this_cpu(void)
{
	return raw_smp_processor_id();
}

int gs_sys_numa_node(void);
int gs_sys_numa_node(void)
{
	return numa_mem_id();
}

void gs_sys_cond_resched(void);
void gs_sys_cond_resched(void)
{
	cond_resched();
}

void gs_sys_might_sleep(void);
void gs_sys_might_sleep(void)
{
	might_sleep();
}

void gs_sys_sleep_tick(void);
void gs_sys_sleep_tick(void)
{
	schedule_timeout_uninterruptible(1);
}

void gs_sys_cpu_relax(void);
void gs_sys_cpu_relax(void)
{
	cpu_relax();
}

unsigned long gs_sys_jiffies(void);
unsigned long gs_sys_jiffies(void)
{
	return jiffies;
}

unsigned long gs_sys_msecs_to_jiffies(unsigned int ms);
unsigned long gs_sys_msecs_to_jiffies(unsigned int ms)
{
	return msecs_to_jiffies(ms);
}

/* Whether an allocation with @gfp may wait for a lock here. */
bool gs_sys_gfp_spins(gfp_t gfp);
bool gs_sys_gfp_spins(gfp_t gfp)
{
	return gfpflags_allow_spinning(gfp) && !in_nmi();
}

/* What our own bookkeeping may be allocated with, on behalf of @gfp. */
gfp_t gs_sys_gfp_inner(gfp_t gfp);
gfp_t gs_sys_gfp_inner(gfp_t gfp)
{
	return (gfp & (GFP_KERNEL | __GFP_NORETRY | __GFP_NOMEMALLOC |
		       __GFP_MEMALLOC | __GFP_HIGH | __GFP_RETRY_MAYFAIL |
		       __GFP_NOFAIL)) | __GFP_NOWARN;
}

/* A call that may sleep, has a fallback, and leaves the reserves alone. */
gfp_t gs_sys_gfp_try(void);
gfp_t gs_sys_gfp_try(void)
{
	return GFP_KERNEL | __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN;
}

gfp_t gs_sys_gfp_nowait(void);
gfp_t gs_sys_gfp_nowait(void)
{
	return GFP_NOWAIT | __GFP_NOWARN;
}

gfp_t gs_sys_gfp_kernel(void);
gfp_t gs_sys_gfp_kernel(void)
{
	return GFP_KERNEL;
}

/* ---- atomics that the Rust kernel crate lacks ---------------------------- */

GS_SHIM unsigned long gs_sys_fetch_or(unsigned long *word, unsigned long bits);
GS_SHIM unsigned long gs_sys_fetch_or(unsigned long *word, unsigned long bits)
{
	return atomic_long_fetch_or(bits, (atomic_long_t *)word);
}

GS_SHIM unsigned long gs_sys_fetch_and(unsigned long *word, unsigned long bits);
GS_SHIM unsigned long gs_sys_fetch_and(unsigned long *word, unsigned long bits)
{
	return atomic_long_fetch_and(bits, (atomic_long_t *)word);
}

GS_SHIM void gs_sys_smp_mb(void);
GS_SHIM void gs_sys_smp_mb(void)
{
	smp_mb();
}

/* ---- raw locks ----------------------------------------------------------- */

static struct lock_class_key gs_lock_keys[4];
static const char * const gs_lock_names[4] = {
	"graceslab_requests", "graceslab_sealed", "graceslab_node",
	"graceslab_dtors",
};

void gs_sys_lock_init(raw_spinlock_t *lock, unsigned int class);
void gs_sys_lock_init(raw_spinlock_t *lock, unsigned int class)
{
	raw_spin_lock_init(lock);
	lockdep_set_class_and_name(lock, &gs_lock_keys[class],
				   gs_lock_names[class]);
}

unsigned long gs_sys_lock(raw_spinlock_t *lock);
unsigned long gs_sys_lock(raw_spinlock_t *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}

bool gs_sys_trylock(raw_spinlock_t *lock, unsigned long *flags);
bool gs_sys_trylock(raw_spinlock_t *lock, unsigned long *flags)
{
	return raw_spin_trylock_irqsave(lock, *flags);
}

void gs_sys_unlock(raw_spinlock_t *lock, unsigned long flags);
void gs_sys_unlock(raw_spinlock_t *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}

/* The registry of caches: process context only. */
static DEFINE_MUTEX(gs_registry_mutex);
/* Whoever acts for CPUs that are offline. */
static DEFINE_MUTEX(gs_offline_mutex);

/* One barrier of the channels for others' pointers at a time. */
static DEFINE_MUTEX(gs_channel_mutex);

static struct mutex * const gs_mutexes[] = {
	&gs_registry_mutex, &gs_offline_mutex, &gs_channel_mutex,
};

void gs_sys_mutex_lock_global(unsigned int which);
void gs_sys_mutex_lock_global(unsigned int which)
{
	mutex_lock(gs_mutexes[which]);
}

void gs_sys_mutex_unlock_global(unsigned int which);
void gs_sys_mutex_unlock_global(unsigned int which)
{
	mutex_unlock(gs_mutexes[which]);
}

void gs_sys_mutex_lock(struct mutex *m);
void gs_sys_mutex_lock(struct mutex *m)
{
	mutex_lock(m);
}

void gs_sys_mutex_unlock(struct mutex *m);
void gs_sys_mutex_unlock(struct mutex *m)
{
	mutex_unlock(m);
}

/* Sleeps until *@count is zero; whoever makes it so calls gs_sys_wake(). */
void gs_sys_wait_zero(long *count);
void gs_sys_wait_zero(long *count)
{
	wait_var_event(count, !atomic_long_read_acquire((atomic_long_t *)count));
}

void gs_sys_wake(long *count);
void gs_sys_wake(long *count)
{
	wake_up_var(count);
}

/* ---- grace periods ------------------------------------------------------- */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#define gs_gp_state rcu_gp_seq
#else
#define gs_gp_state rcu_gp_oldstate
#endif

static_assert(sizeof(struct gs_gp_state) <= sizeof(struct gs_cookie));

void gs_sys_cookie_get(struct gs_cookie *cookie);
void gs_sys_cookie_get(struct gs_cookie *cookie)
{
	get_state_synchronize_rcu_full((struct gs_gp_state *)cookie);
}

bool gs_sys_cookie_poll(struct gs_cookie *cookie);
bool gs_sys_cookie_poll(struct gs_cookie *cookie)
{
	return poll_state_synchronize_rcu_full((struct gs_gp_state *)cookie);
}

void gs_sys_cookie_wait(struct gs_cookie *cookie);
void gs_sys_cookie_wait(struct gs_cookie *cookie)
{
	if (IS_ENABLED(CONFIG_TINY_RCU)) {
		/* cond_synchronize_rcu_full() is only might_sleep() there. */
		if (!gs_sys_cookie_poll(cookie))
			synchronize_rcu();
	} else {
		cond_synchronize_rcu_full((struct gs_gp_state *)cookie);
	}
}

/*
 * Grace periods since the module was loaded, whoever asked for them. The
 * number is in the cookie above the bits that tell the state of one.
 */
static unsigned long gs_gp_start;

static unsigned long gs_gp_number(void)
{
	return get_state_synchronize_rcu() >> (IS_ENABLED(CONFIG_TINY_RCU) ? 1 : 2);
}

unsigned long gs_sys_grace_periods(void);
unsigned long gs_sys_grace_periods(void)
{
	return gs_gp_number() - gs_gp_start;
}

void *gs_sys_current(void);
void *gs_sys_current(void)
{
	return current;
}

void gs_sys_synchronize_rcu(void);
void gs_sys_synchronize_rcu(void)
{
	synchronize_rcu();
}

void gs_sys_slab_retire(struct rcu_head *head);
void gs_sys_slab_retire(struct rcu_head *head)
{
	call_rcu(head, gs_rs_slab_free);
}

/* ---- memory -------------------------------------------------------------- */

void *gs_sys_kmalloc(size_t size, gfp_t gfp);
void *gs_sys_kmalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp);
}

void gs_sys_kfree(const void *p);
void gs_sys_kfree(const void *p)
{
	kfree(p);
}

void gs_sys_kvfree(const void *p);
void gs_sys_kvfree(const void *p)
{
	kvfree(p);
}

void gs_sys_kfree_bulk(size_t nr, void **p);
void gs_sys_kfree_bulk(size_t nr, void **p)
{
	kmem_cache_free_bulk(NULL, nr, p);
}

/*
 * A slab's head page carries our magic in the word that page cache pages use
 * for their index (no file offset comes near it) and the descriptor in
 * ->private, which nothing reads before the magic has matched.
 */
#define GS_PAGE_MAGIC	((pgoff_t)(0xa5c3967e1b84d20fULL >> (64 - BITS_PER_LONG)))

void *gs_sys_slab_pages(gfp_t gfp, unsigned int order, int node);
void *gs_sys_slab_pages(gfp_t gfp, unsigned int order, int node)
{
	struct page *page;

	gfp &= ~(__GFP_ZERO | __GFP_HIGHMEM | __GFP_MOVABLE | __GFP_RECLAIMABLE);
	if (order)
		gfp |= __GFP_COMP;
	if (gs_sys_gfp_spins(gfp))
		page = alloc_pages_node(node, gfp, order);
	else
		page = alloc_pages_nolock(gfp & __GFP_ACCOUNT, node, order);
	return page ? page_address(page) : NULL;
}

void gs_sys_slab_mark(void *base, void *slab);
void gs_sys_slab_mark(void *base, void *slab)
{
	struct page *page = virt_to_page(base);

	page->private = (unsigned long)slab;
	/* Pairs with the acquire in gs_sys_slab_of(). */
	smp_store_release(&page->__folio_index, slab ? GS_PAGE_MAGIC : 0);
}

void gs_sys_slab_pages_free(void *base, unsigned int order);
void gs_sys_slab_pages_free(void *base, unsigned int order)
{
	gs_sys_slab_mark(base, NULL);
	free_pages((unsigned long)base, order);
}

/* The descriptor of the slab that @p lies in, or NULL: any pointer will do. */
GS_SHIM void *gs_sys_slab_of(const void *p);
GS_SHIM void *gs_sys_slab_of(const void *p)
{
	struct page *page;

	if (is_vmalloc_addr(p) || !virt_addr_valid(p))
		return NULL;
	page = virt_to_head_page(p);
	if (page_has_type(page))
		return NULL;
	/* Pairs with the release in gs_sys_slab_mark(). */
	if (smp_load_acquire(&page->__folio_index) != GS_PAGE_MAGIC)
		return NULL;
	return (void *)page->private;
}

/* The NUMA node that a slab's pages are on. */
unsigned int gs_sys_node_of(const void *base);
unsigned int gs_sys_node_of(const void *base)
{
	return page_to_nid(virt_to_page(base));
}

bool gs_sys_is_vmalloc(const void *p);
bool gs_sys_is_vmalloc(const void *p)
{
	return is_vmalloc_addr(p);
}

unsigned int gs_sys_nr_nodes(void);
unsigned int gs_sys_nr_nodes(void)
{
	return nr_node_ids;
}

unsigned int gs_sys_cache_line(void);
unsigned int gs_sys_cache_line(void)
{
	return cache_line_size();
}

unsigned int gs_sys_page_size(void);
unsigned int gs_sys_page_size(void)
{
	return PAGE_SIZE;
}

/* ---- each CPU's timer, doorbell, irq_work and worker --------------------- */

struct gs_cpu_sys {
	struct timer_list timer;
	struct irq_work kick;
	struct rcu_head bell;
	struct work_struct reclaim;
	unsigned int cpu;
};

static DEFINE_PER_CPU(struct gs_cpu_sys, gs_cpu_sys);
static struct workqueue_struct *gs_wq;
static struct work_struct gs_attend_work;
static int gs_hp_state;

static void gs_timer_fn(struct timer_list *timer)
{
	gs_rs_seal_timer(container_of(timer, struct gs_cpu_sys, timer)->cpu);
}

static void gs_kick_fn(struct irq_work *work)
{
	gs_rs_kick(container_of(work, struct gs_cpu_sys, kick)->cpu);
}

static void gs_bell_fn(struct rcu_head *head)
{
	gs_rs_bell(container_of(head, struct gs_cpu_sys, bell)->cpu);
}

static void gs_reclaim_fn(struct work_struct *work)
{
	gs_rs_reclaim(container_of(work, struct gs_cpu_sys, reclaim)->cpu);
}

static void gs_attend_fn(struct work_struct *work)
{
	gs_rs_attend();
}

void gs_sys_timer_arm(unsigned int cpu, unsigned long delay);
void gs_sys_timer_arm(unsigned int cpu, unsigned long delay)
{
	struct timer_list *timer = &per_cpu(gs_cpu_sys, cpu).timer;

	/* Not pending: whoever arms it has just claimed it. */
	timer->expires = jiffies + delay;
	add_timer_on(timer, cpu);
}

void gs_sys_kick(void);
void gs_sys_kick(void)
{
	irq_work_queue(this_cpu_ptr(&gs_cpu_sys.kick));
}

void gs_sys_bell_ring(unsigned int cpu);
void gs_sys_bell_ring(unsigned int cpu)
{
	call_rcu_hurry(&per_cpu(gs_cpu_sys, cpu).bell, gs_bell_fn);
}

void gs_sys_reclaim_queue(unsigned int cpu);
void gs_sys_reclaim_queue(unsigned int cpu)
{
	queue_work(gs_wq, &per_cpu(gs_cpu_sys, cpu).reclaim);
}

void gs_sys_attend_queue(void);
void gs_sys_attend_queue(void)
{
	queue_work(gs_wq, &gs_attend_work);
}

/* ---- each cache's work, mutexes and callbacks ----------------------------- */

static void gs_core_work_fn(struct work_struct *work)
{
	gs_rs_core_work(container_of(work, struct gs_core_sys, work));
}

static void gs_core_bell_fn(struct rcu_head *head)
{
	gs_rs_core_bell(container_of(head, struct gs_core_sys, bell));
}

static void gs_core_free_fn(struct rcu_head *head)
{
	gs_rs_core_free(container_of(head, struct gs_core_sys, retire));
}

void gs_sys_core_init(struct gs_core_sys *sys);
void gs_sys_core_init(struct gs_core_sys *sys)
{
	INIT_WORK(&sys->work, gs_core_work_fn);
	mutex_init(&sys->service);
	mutex_init(&sys->barrier);
}

bool gs_sys_core_queue(struct gs_core_sys *sys);
bool gs_sys_core_queue(struct gs_core_sys *sys)
{
	return queue_work(gs_wq, &sys->work);
}

void gs_sys_core_bell(struct gs_core_sys *sys);
void gs_sys_core_bell(struct gs_core_sys *sys)
{
	call_rcu_hurry(&sys->bell, gs_core_bell_fn);
}

void gs_sys_core_retire(struct gs_core_sys *sys);
void gs_sys_core_retire(struct gs_core_sys *sys)
{
	call_rcu(&sys->retire, gs_core_free_fn);
}

/* ---- CPUs ----------------------------------------------------------------- */

unsigned int gs_sys_nr_cpus(void);
unsigned int gs_sys_nr_cpus(void)
{
	return nr_cpu_ids;
}

bool gs_sys_cpu_possible(unsigned int cpu);
bool gs_sys_cpu_possible(unsigned int cpu)
{
	return cpu_possible(cpu);
}

bool gs_sys_cpu_online(unsigned int cpu);
bool gs_sys_cpu_online(unsigned int cpu)
{
	return cpu_online(cpu);
}

void gs_sys_cpus_read_lock(void);
void gs_sys_cpus_read_lock(void)
{
	cpus_read_lock();
}

void gs_sys_cpus_read_unlock(void);
void gs_sys_cpus_read_unlock(void)
{
	cpus_read_unlock();
}

void gs_sys_ipi_all(void);
void gs_sys_ipi_all(void)
{
	on_each_cpu(gs_rs_ipi, NULL, 1);
}

static int gs_cpu_dead(unsigned int cpu)
{
	gs_rs_cpu_dead(cpu);
	return 0;
}

/* ---- modules that go ------------------------------------------------------- */

bool gs_sys_within_module(const void *addr, const void *mod);
bool gs_sys_within_module(const void *addr, const void *mod)
{
#ifdef CONFIG_MODULES
	return within_module((unsigned long)addr, mod);
#else
	return false;
#endif
}

#ifdef CONFIG_MODULES
static int gs_module_event(struct notifier_block *nb, unsigned long event,
			   void *mod)
{
	if (event == MODULE_STATE_GOING)
		gs_rs_module_going(mod);
	return NOTIFY_OK;
}

static struct notifier_block gs_module_nb = { .notifier_call = gs_module_event };
#endif

/* ---- start and stop --------------------------------------------------------- */

int gs_sys_start(void);
int gs_sys_start(void)
{
	unsigned int cpu;
	int ret;

	gs_wq = alloc_workqueue("graceslab", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!gs_wq)
		return -ENOMEM;
	gs_gp_start = gs_gp_number();
	INIT_WORK(&gs_attend_work, gs_attend_fn);
	for_each_possible_cpu(cpu) {
		struct gs_cpu_sys *sys = &per_cpu(gs_cpu_sys, cpu);

		sys->cpu = cpu;
		timer_setup(&sys->timer, gs_timer_fn, TIMER_PINNED);
		sys->kick = IRQ_WORK_INIT_HARD(gs_kick_fn);
		INIT_WORK(&sys->reclaim, gs_reclaim_fn);
	}
	ret = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "graceslab:dead",
					NULL, gs_cpu_dead);
	if (ret < 0)
		goto out_wq;
	gs_hp_state = ret;
#ifdef CONFIG_MODULES
	ret = register_module_notifier(&gs_module_nb);
	if (ret)
		goto out_hp;
#endif
	return 0;
#ifdef CONFIG_MODULES
out_hp:
	cpuhp_remove_state_nocalls(gs_hp_state);
#endif
out_wq:
	destroy_workqueue(gs_wq);
	return ret;
}

/* Each CPU's timers and irq_works are idle, and stay so, on return. */
void gs_sys_quiesce(void);
void gs_sys_quiesce(void)
{
	unsigned int cpu;
	int pass;

	for_each_possible_cpu(cpu) {
		struct gs_cpu_sys *sys = &per_cpu(gs_cpu_sys, cpu);

		/* One at a time: concurrent irq_work_sync() can hang on RT. */
		irq_work_sync(&sys->kick);
		timer_shutdown_sync(&sys->timer);
		irq_work_sync(&sys->kick);
	}
	/* A callback queues work, and a work may queue one more. */
	for (pass = 0; pass < 2; pass++) {
		rcu_barrier();
		flush_workqueue(gs_wq);
	}
	rcu_barrier();
}

void gs_sys_stop(void);
void gs_sys_stop(void)
{
#ifdef CONFIG_MODULES
	unregister_module_notifier(&gs_module_nb);
#endif
	cpuhp_remove_state_nocalls(gs_hp_state);
	destroy_workqueue(gs_wq);
	rcu_barrier();
}

/* ---- reports ------------------------------------------------------------------ */

enum gs_misuse {
	GS_DOUBLE_FREE, GS_DOUBLE_FREE_RCU, GS_WRONG_CACHE, GS_DEAD_ALLOC,
	GS_BAD_POINTER, GS_BARRIER_IN_DTOR, GS_UNKNOWN_CACHE, GS_ATOMIC_KVFREE,
};

/* One WARN that names the cache and the object: the caller leaks it. */
void gs_sys_misuse(unsigned int what, const char *name, const void *obj,
		   const char *other);
void gs_sys_misuse(unsigned int what, const char *name, const void *obj,
		   const char *other)
{
	switch (what) {
	case GS_DOUBLE_FREE:
		WARN(1, "graceslab: %s: double free of object 0x%px\n", name, obj);
		break;
	case GS_DOUBLE_FREE_RCU:
		WARN(1, "graceslab: %s: double free_rcu of object 0x%px\n", name, obj);
		break;
	case GS_WRONG_CACHE:
		WARN(1, "graceslab: %s: object 0x%px belongs to cache %s\n", name,
		     obj, other);
		break;
	case GS_DEAD_ALLOC:
		WARN(1, "graceslab: %s: allocation from a destroyed cache\n", name);
		break;
	case GS_BAD_POINTER:
		WARN(1, "graceslab: %s: 0x%px is not an object of this cache\n",
		     name, obj);
		break;
	case GS_BARRIER_IN_DTOR:
		WARN(1, "graceslab: %s: barrier called from its own destructor\n",
		     name);
		break;
	case GS_ATOMIC_KVFREE:
		WARN_ONCE(1, "graceslab: gs_kvfree_rcu(0x%px) where nobody may sleep: leaked\n",
			  obj);
		break;
	case GS_UNKNOWN_CACHE:
		WARN(1, "graceslab: 0x%px is no live cache\n", obj);
		break;
	}
}

void gs_sys_leak_line(const char *name, const void *obj);
void gs_sys_leak_line(const char *name, const void *obj)
{
	pr_err("graceslab: %s: leaked object 0x%px\n", name, obj);
}

void gs_sys_leak_more(const char *name, unsigned long more);
void gs_sys_leak_more(const char *name, unsigned long more)
{
	pr_err("graceslab: %s: ... and %lu more\n", name, more);
}

void gs_sys_leak_summary(const char *name, unsigned long leaked,
			 unsigned long total);
void gs_sys_leak_summary(const char *name, unsigned long leaked,
			 unsigned long total)
{
	pr_err("graceslab: %s: destroyed with %lu of %lu objects still in use\n",
	       name, leaked, total);
}
