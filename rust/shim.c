// SPDX-License-Identifier: GPL-2.0
/*
 * The C half of rust/sys.rs: see shim.h.
 *
 * The per-CPU section lives here because this_cpu operations are macros. The
 * section is open while gs_pcpu says so of a CPU; it is entered and left with
 * preemption off, by one CPU for itself, so plain accesses with compiler
 * barriers order it against interrupts and NMIs of the same CPU.
 */
#include <linux/annotate.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kallsyms.h>
#include <linux/kasan.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/poison.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/shrinker.h>
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

/*
 * Where per-CPU accesses have an instruction of their own, openings are counted
 * downwards above the byte that holds the request of an interrupt: subtracting
 * borrows only from a section that is shut, and adding leaves zero only when
 * nothing was asked for meanwhile, so that one instruction opens or closes the
 * section and tells. Elsewhere it takes two bytes, and a section is left with
 * the offset that it was entered with, which is looked up once.
 */
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
#define GS_PCPU_INSN	1
#endif

struct gs_pcpu {
#ifdef GS_PCPU_INSN
	u32 openings; /* and what an interrupt wants */
#else
	u8 busy;   /* the section is open */
	u8 wanted; /* an interrupt that met it open wants service */
#endif
};

static DEFINE_PER_CPU_ALIGNED(struct gs_pcpu, gs_pcpu);

#ifdef GS_PCPU_INSN

#define GS_OPENING	0x100
#define GS_WANTED	0x01

static __always_inline bool gs_open(unsigned long offset)
{
	bool was_shut;

	asm volatile("subl %[opening], " __percpu_arg([openings])
		     : [openings] "+m"(__my_cpu_var(gs_pcpu.openings)),
		       "=@ccc"(was_shut)
		     : [opening] "i"(GS_OPENING)
		     : "memory");
	return was_shut;
}

/* Takes back an opening that failed. */
static __always_inline void gs_open_not(void)
{
	raw_cpu_add(gs_pcpu.openings, GS_OPENING);
}

/* True if an interrupt left a request. */
static __always_inline bool gs_close(unsigned long offset)
{
	bool wanted;

	asm volatile("addl %[opening], " __percpu_arg([openings])
		     : [openings] "+m"(__my_cpu_var(gs_pcpu.openings)),
		       "=@ccnz"(wanted)
		     : [opening] "i"(GS_OPENING)
		     : "memory");
	return wanted;
}

static __always_inline void gs_set_wanted(void)
{
	raw_cpu_or(gs_pcpu.openings, GS_WANTED);
}

static __always_inline void gs_clear_wanted(void)
{
	raw_cpu_and(gs_pcpu.openings, ~GS_WANTED);
}

static __always_inline unsigned long gs_offset(void)
{
	return 0;
}

#else

#define gs_section(offset) \
	((struct gs_pcpu *)((unsigned long)(void __force *)&gs_pcpu + (offset)))

static __always_inline bool gs_open(unsigned long offset)
{
	if (READ_ONCE(gs_section(offset)->busy))
		return false;
	WRITE_ONCE(gs_section(offset)->busy, 1);
	return true;
}

static __always_inline void gs_open_not(void)
{
}

static __always_inline bool gs_close(unsigned long offset)
{
	WRITE_ONCE(gs_section(offset)->busy, 0);
	/* Pairs with gs_sys_want() in an interrupt of this CPU. */
	barrier();
	return READ_ONCE(gs_section(offset)->wanted);
}

static __always_inline void gs_set_wanted(void)
{
	__this_cpu_write(gs_pcpu.wanted, 1);
}

static __always_inline void gs_clear_wanted(void)
{
	__this_cpu_write(gs_pcpu.wanted, 0);
}

static __always_inline unsigned long gs_offset(void)
{
	return (unsigned long)this_cpu_ptr(&gs_pcpu) -
	       (unsigned long)(void __force *)&gs_pcpu;
}

#endif /* GS_PCPU_INSN */

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

/*
 * Opens the section; false, with preemption as it was, when this CPU is inside
 * one already. *@offset is what gs_sys_here() and gs_sys_close() want to know.
 */
GS_SHIM bool gs_sys_enter(unsigned long *offset);
GS_SHIM bool gs_sys_enter(unsigned long *offset)
{
	preempt_disable();
	*offset = gs_offset();
	if (unlikely(!gs_open(*offset))) {
		gs_open_not();
		preempt_enable();
		return false;
	}
	gs_section_entry();
	return true;
}

/* This CPU's copy of @area, inside a section. */
GS_SHIM void *gs_sys_here(void *area, unsigned long offset);
GS_SHIM void *gs_sys_here(void *area, unsigned long offset)
{
#ifdef GS_PCPU_INSN
	return raw_cpu_ptr((void __percpu __force *)area);
#else
	return area + offset;
#endif
}

/* The pointer at @place of this CPU's copy of an area, inside a section. */
GS_SHIM void *gs_sys_here_load(void **place, unsigned long offset);
GS_SHIM void *gs_sys_here_load(void **place, unsigned long offset)
{
#ifdef GS_PCPU_INSN
	return raw_cpu_read(*(void * __percpu __force *)place);
#else
	return *(void **)((void *)place + offset);
#endif
}

/* Adds one to the counter at @place of this CPU's copy of an area. */
GS_SHIM void gs_sys_here_inc(u64 *place, unsigned long offset);
GS_SHIM void gs_sys_here_inc(u64 *place, unsigned long offset)
{
#ifdef GS_PCPU_INSN
	raw_cpu_inc(*(u64 __percpu __force *)place);
#else
	u64 *here = (void *)place + offset;

	WRITE_ONCE(*here, *here + 1);
#endif
}

/*
 * Closes the section; true when an interrupt asked for service meanwhile. Then
 * the caller goes on with gs_sys_serve(), or with gs_sys_unwant() and service
 * of its own; preemption stays off until gs_sys_preempt_enable().
 */
GS_SHIM bool gs_sys_close(unsigned long offset);
GS_SHIM bool gs_sys_close(unsigned long offset)
{
	barrier();
	return unlikely(gs_close(offset));
}

/* Serves what an interrupt asked for, and turns preemption on again. */
void gs_sys_serve(void);
void gs_sys_serve(void)
{
	gs_rs_serve(smp_processor_id());
	preempt_enable();
}

/* Asks the open section that this interrupt met to serve when it closes. */
void gs_sys_want(void);
void gs_sys_want(void)
{
	gs_set_wanted();
	barrier();
}

/* Takes the request back; called by whoever serves it now. */
void gs_sys_unwant(void);
void gs_sys_unwant(void)
{
	gs_clear_wanted();
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

/*
 * On PREEMPT_RT, and where lockdep looks for it, allocators are not for raw
 * locks, nor for those who have interrupts off. We have preemption off @ours
 * times: what is more than that is the caller's.
 */
bool gs_sys_may_allocate(unsigned int ours);
bool gs_sys_may_allocate(unsigned int ours)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT) ||
	    IS_ENABLED(CONFIG_PROVE_RAW_LOCK_NESTING))
		return !irqs_disabled() &&
		       (preempt_count() & ~SOFTIRQ_MASK) ==
			       ours * PREEMPT_DISABLE_OFFSET;
	return true;
}

/*
 * Whether the caller can be one that may sleep, as far as can be told: outside
 * of readers, too, for it may come to wait for them.
 */
GS_SHIM bool gs_sys_may_sleep(void);
GS_SHIM bool gs_sys_may_sleep(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_COUNT))
		return likely(preemptible() && !rcu_preempt_depth());
	return in_task() && !irqs_disabled() && !rcu_preempt_depth();
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

/* Where the kernel looks for callers that may not. */
GS_SHIM void gs_sys_would_sleep(void);
GS_SHIM void gs_sys_would_sleep(void)
{
	if (IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		might_sleep();
}

GS_SHIM void gs_sys_might_sleep(void);
GS_SHIM void gs_sys_might_sleep(void)
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

u64 gs_sys_now_ns(void);
u64 gs_sys_now_ns(void)
{
	return ktime_get_mono_fast_ns();
}

unsigned long gs_sys_msecs_to_jiffies(unsigned int ms);
unsigned long gs_sys_msecs_to_jiffies(unsigned int ms)
{
	return msecs_to_jiffies(ms);
}

/* Ticks that are over within @ms, but never none. */
unsigned long gs_sys_ticks_within(unsigned int ms);
unsigned long gs_sys_ticks_within(unsigned int ms)
{
	return max(1ULL, (u64)ms * HZ / MSEC_PER_SEC);
}

unsigned int gs_sys_jiffies_to_msecs(unsigned long ticks);
unsigned int gs_sys_jiffies_to_msecs(unsigned long ticks)
{
	return jiffies_to_msecs(ticks);
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
		       __GFP_NOFAIL)) |
	       __GFP_NOWARN;
}

/* A call that may sleep, has a fallback, and leaves the reserves alone. */
gfp_t gs_sys_gfp_try(void);
gfp_t gs_sys_gfp_try(void)
{
	return GFP_KERNEL | __GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN;
}

/*
 * What memory for others' pointers may be asked for with, on behalf of @gfp;
 * 0 where none may. A caller that says it may sleep, and may not, is one that
 * says so.
 */
gfp_t gs_sys_gfp_pointers(gfp_t gfp);
gfp_t gs_sys_gfp_pointers(gfp_t gfp)
{
	if (!gs_sys_gfp_spins(gfp))
		return 0;
	if (gfpflags_allow_blocking(gfp) && gs_sys_may_sleep())
		return (gfp & GFP_KERNEL) | __GFP_NORETRY | __GFP_NOMEMALLOC |
		       __GFP_NOWARN;
	return gs_sys_may_allocate(0) ? GFP_NOWAIT | __GFP_NOWARN : 0;
}

bool gs_sys_gfp_blocks(gfp_t gfp);
bool gs_sys_gfp_blocks(gfp_t gfp)
{
	return gfpflags_allow_blocking(gfp);
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

static const char * const gs_lock_names[] = {
	"graceslab_requests", "graceslab_sealed",  "graceslab_node",
	"graceslab_dtors",    "graceslab_reserve", "graceslab_latch",
};
static struct lock_class_key gs_lock_keys[ARRAY_SIZE(gs_lock_names)];

void gs_sys_lock_init(raw_spinlock_t *lock, unsigned int class);
void gs_sys_lock_init(raw_spinlock_t *lock, unsigned int class)
{
	raw_spin_lock_init(lock);
	lockdep_set_class_and_name(lock, &gs_lock_keys[class],
				   gs_lock_names[class]);
}

/*
 * Interrupts are off while a lock is held. The section would keep those of this
 * CPU away from the lock itself, but not from a lock of somebody else's: its
 * owner on another CPU may be waiting for ours.
 */
GS_SHIM unsigned long gs_sys_lock(raw_spinlock_t *lock);
GS_SHIM unsigned long gs_sys_lock(raw_spinlock_t *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}

GS_SHIM bool gs_sys_trylock(raw_spinlock_t *lock, unsigned long *flags);
GS_SHIM bool gs_sys_trylock(raw_spinlock_t *lock, unsigned long *flags)
{
	return raw_spin_trylock_irqsave(lock, *flags);
}

GS_SHIM void gs_sys_unlock(raw_spinlock_t *lock, unsigned long flags);
GS_SHIM void gs_sys_unlock(raw_spinlock_t *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}

/*
 * This CPU's own lock, for which others wait only where they could sleep, so
 * that they hold nothing which interrupts wait for: those stay on. Lockdep knows
 * neither of that nor of sections.
 */
GS_SHIM bool gs_sys_lock_own(raw_spinlock_t *lock, bool spin,
			     unsigned long *flags);
GS_SHIM bool gs_sys_lock_own(raw_spinlock_t *lock, bool spin,
			     unsigned long *flags)
{
	if (IS_ENABLED(CONFIG_PROVE_LOCKING))
		local_irq_save(*flags);
	if (spin) {
		raw_spin_lock(lock);
		return true;
	}
	if (raw_spin_trylock(lock))
		return true;
	if (IS_ENABLED(CONFIG_PROVE_LOCKING))
		local_irq_restore(*flags);
	return false;
}

GS_SHIM void gs_sys_unlock_own(raw_spinlock_t *lock, unsigned long flags);
GS_SHIM void gs_sys_unlock_own(raw_spinlock_t *lock, unsigned long flags)
{
	raw_spin_unlock(lock);
	if (IS_ENABLED(CONFIG_PROVE_LOCKING))
		local_irq_restore(flags);
}

/* The registry of caches: process context only. */
static DEFINE_MUTEX(gs_registry_mutex);
/* Whoever acts for CPUs that are offline. */
static DEFINE_MUTEX(gs_offline_mutex);

/* One barrier of the channels for others' pointers at a time. */
static DEFINE_MUTEX(gs_channel_mutex);

static struct mutex * const gs_mutexes[] = {
	&gs_registry_mutex,
	&gs_offline_mutex,
	&gs_channel_mutex,
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

/*
 * A destructor may wait for another cache than its own, so that mutexes of
 * several caches are held: for lockdep, how many of this kind there are.
 */
static __maybe_unused unsigned int gs_mutex_depth(const struct mutex *m)
{
	unsigned int depth = 0;
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	int i;

	for (i = 0; i < current->lockdep_depth; i++)
		depth += current->held_locks[i].instance->key == m->dep_map.key;
	depth = min(depth, MAX_LOCKDEP_SUBCLASSES - 1U);
#endif
	return depth;
}

void gs_sys_mutex_lock(struct mutex *m);
void gs_sys_mutex_lock(struct mutex *m)
{
	mutex_lock_nested(m, gs_mutex_depth(m));
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

/* What waits from now on is waited for by the next grace period at once. */
void gs_sys_period_start(void);
void gs_sys_period_start(void)
{
	start_poll_synchronize_rcu();
}

/*
 * Grace periods since the module was loaded, whoever asked for them. The
 * number is in the cookie above the bits that tell the state of one.
 */
static unsigned long gs_gp_start;

static unsigned long gs_gp_number(void)
{
	return get_state_synchronize_rcu() >>
	       (IS_ENABLED(CONFIG_TINY_RCU) ? 1 : 2);
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

/* Not where the system says that none is to be. */
bool gs_sys_expedites(void);
bool gs_sys_expedites(void)
{
	return !rcu_gp_is_normal();
}

void gs_sys_synchronize_rcu_expedited(void);
void gs_sys_synchronize_rcu_expedited(void)
{
	synchronize_rcu_expedited();
}

void gs_sys_slab_retire(struct rcu_head *head);
void gs_sys_slab_retire(struct rcu_head *head)
{
	call_rcu(head, gs_rs_slab_free);
}

/* ---- memory -------------------------------------------------------------- */

void *gs_sys_vzalloc(size_t size);
void *gs_sys_vzalloc(size_t size)
{
	return vzalloc(size);
}

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

/* An address alone: tag-based KASAN has bits of its own in a pointer. */
GS_SHIM void *gs_sys_untagged(void *p);
GS_SHIM void *gs_sys_untagged(void *p)
{
	return kasan_reset_tag(p);
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

/* Memory that was added later may lie beyond high_memory. */
static noinline struct page *gs_head_page_elsewhere(const void *p)
{
	if (is_vmalloc_addr(p) || !virt_addr_valid(p))
		return NULL;
	return virt_to_head_page(p);
}

/*
 * The first of the pages that @p lies in, or NULL. Nearly all pointers are into
 * the linear mapping, and vmalloc areas are not.
 */
static __always_inline struct page *gs_head_page(const void *p)
{
	if (likely((unsigned long)p >= PAGE_OFFSET &&
		   (unsigned long)p < (unsigned long)high_memory))
		return virt_to_head_page(p);
	return gs_head_page_elsewhere(p);
}

/*
 * Bytes of the linear mapping, as of when we looked last. What is plugged in later is
 * only found out by gs_sys_kind().
 */
static unsigned long gs_linear __read_mostly;

/*
 * While pointers are watched none is in there, so that all of them go the way
 * of those that are less common.
 */
void gs_sys_watch_pointers(bool on);
void gs_sys_watch_pointers(bool on)
{
	WRITE_ONCE(gs_linear, on ? 0 : (unsigned long)high_memory - PAGE_OFFSET);
}

/* Whether @p is an object of the kernel's slabs: what most pointers are. */
GS_SHIM bool gs_sys_is_slab_object(const void *p);
GS_SHIM bool gs_sys_is_slab_object(const void *p)
{
	unsigned long linear = (unsigned long)p - PAGE_OFFSET;
	struct page *page;

	if (unlikely(linear >= READ_ONCE(gs_linear)))
		return false;
#if defined(CONFIG_X86_64) && defined(CONFIG_SPARSEMEM_VMEMMAP)
	/* virt_to_page() would ask whether it is in the kernel's image. */
	page = vmemmap + (linear >> PAGE_SHIFT);
#else
	page = virt_to_page(p);
#endif
	/* PageSlab(), for which the compiler finds no single instruction. */
	BUILD_BUG_ON(IS_ENABLED(CONFIG_CPU_BIG_ENDIAN));
	page = compound_head(page);
	return likely(READ_ONCE(((u8 *)&page->page_type)[3]) == PGTY_slab);
}

/* The descriptor that a page has if it is one of a slab of ours, or NULL. */
static __always_inline void *gs_page_slab(struct page *page)
{
	if (page_has_type(page))
		return NULL;
	/* Pairs with the release in gs_sys_slab_mark(). */
	if (smp_load_acquire(&page->__folio_index) != GS_PAGE_MAGIC)
		return NULL;
	return (void *)page->private;
}

/* The descriptor of the slab that @p lies in, or NULL: any pointer will do. */
GS_SHIM void *gs_sys_slab_of(const void *p);
GS_SHIM void *gs_sys_slab_of(const void *p)
{
	struct page *page = gs_head_page(p);

	return page ? gs_page_slab(page) : NULL;
}

/* The NUMA node of the memory at @p, or NUMA_NO_NODE: any pointer will do. */
int gs_sys_node_of(const void *p);
int gs_sys_node_of(const void *p)
{
	struct page *page = gs_head_page(p);

	return page ? page_to_nid(page) : NUMA_NO_NODE;
}

/*
 * Whether @p, which lies where vmalloc() has its areas, may be in one. On arm64 the
 * kernel's image is among them, of pages that were never anybody's to free.
 */
static __always_inline bool gs_in_vmalloc_area(const void *p)
{
	struct page *page;

	if (object_is_on_stack(p))
		return false;
	if (!IS_ENABLED(CONFIG_ARM64))
		return true;
	page = vmalloc_to_page(p);
	/* What is mapped there and is no memory has no page to look at. */
	return page && pfn_valid(page_to_pfn(page)) && !PageReserved(page);
}

enum gs_kind { GS_KIND_KMALLOC, GS_KIND_VMALLOC, GS_KIND_OWN, GS_KIND_BAD };

/* What a pointer is, and for an object of ours the slab that it lies in. */
GS_SHIM int gs_sys_kind(const void *p, void **slab);
GS_SHIM int gs_sys_kind(const void *p, void **slab)
{
	struct page *page = gs_head_page(p);

	if (unlikely(!page))
		return is_vmalloc_addr(p) && gs_in_vmalloc_area(p) ?
			       GS_KIND_VMALLOC :
			       GS_KIND_BAD;
	if (PageSlab(page) || PageLargeKmalloc(page))
		return GS_KIND_KMALLOC;
	*slab = gs_page_slab(page);
	return *slab ? GS_KIND_OWN : GS_KIND_BAD;
}

u64 gs_sys_random(void);
u64 gs_sys_random(void)
{
	return get_random_u64();
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
	struct hrtimer glance;
	u64 early; /* when the glance before a tick comes; 0: none does */
	struct irq_work kick;
	struct rcu_head bell;
	struct work_struct reclaim;
	unsigned int cpu;
};

static DEFINE_PER_CPU(struct gs_cpu_sys, gs_cpu_sys);
static struct workqueue_struct *gs_wq;
/* For what may wait for memory, as nothing that frees some may. */
static struct workqueue_struct *gs_family_wq;
static struct work_struct gs_attend_work;
static struct delayed_work gs_trims_work;
static struct work_struct gs_heads_work;
static int gs_hp_state;

static void gs_timer_fn(struct timer_list *timer)
{
	gs_rs_seal_timer(container_of(timer, struct gs_cpu_sys, timer)->cpu);
}

/* Only ever sooner: one that is put off again and again would never come. */
static void gs_glance_at(struct gs_cpu_sys *sys, u64 at)
{
	if (!hrtimer_is_queued(&sys->glance) ||
	    ktime_to_ns(hrtimer_get_expires(&sys->glance)) > at)
		hrtimer_start(&sys->glance, ns_to_ktime(at),
			      HRTIMER_MODE_ABS_PINNED);
}

static enum hrtimer_restart gs_glance_fn(struct hrtimer *timer)
{
	struct gs_cpu_sys *sys = container_of(timer, struct gs_cpu_sys, glance);
	u64 early = READ_ONCE(sys->early);
	enum gs_glance glance = early ? GS_GLANCE_LATER : GS_GLANCE_NONE;

	if (early && ktime_get_ns() >= early)
		glance = GS_GLANCE_DUE;
	/* A CPU that has gone leaves its timer to another one, for nothing. */
	if (glance == GS_GLANCE_DUE || sys->cpu != smp_processor_id())
		WRITE_ONCE(sys->early, 0);
	gs_rs_glance(sys->cpu, glance);
	early = READ_ONCE(sys->early);
	if (early && sys->cpu == smp_processor_id())
		gs_glance_at(sys, early);
	return HRTIMER_NORESTART;
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

static void gs_trims_fn(struct work_struct *work)
{
	gs_rs_trims();
}

static void gs_heads_fn(struct work_struct *work)
{
	gs_rs_heads();
}

void gs_sys_timer_arm(unsigned int cpu, unsigned long delay);
void gs_sys_timer_arm(unsigned int cpu, unsigned long delay)
{
	struct timer_list *timer = &per_cpu(gs_cpu_sys, cpu).timer;

	/*
	 * Not pending: whoever arms it has just claimed it. A timer is never
	 * early, so that one that expires now fires at the next tick.
	 */
	timer->expires = jiffies + delay - 1;
	add_timer_on(timer, cpu);
}

#define GS_NEAR_TICK	(TICK_NSEC / 16)

/*
 * Nothing where ticks are so close that the next one is soon enough. Else the
 * CPU, which is this one, glances shortly before the @early-th tick from here,
 * if that is not 0; and where @look is 0 right after a tick, where it is
 * positive an eighth of a tick from now, or that times two for each that it is
 * more than one. Ticks come at multiples of their length.
 */
void gs_sys_glance_arm(unsigned int cpu, unsigned long early, int look);
void gs_sys_glance_arm(unsigned int cpu, unsigned long early, int look)
{
	struct gs_cpu_sys *sys = &per_cpu(gs_cpu_sys, cpu);
	u64 now, tick, at = U64_MAX;
	u32 into;

	if (HZ >= 1000)
		return;
	now = ktime_get_ns();
	tick = now;
	into = do_div(tick, TICK_NSEC);
	tick = now - into;
	if (early) {
		at = tick + early * TICK_NSEC - GS_NEAR_TICK;
		if (at <= now)
			at += TICK_NSEC;
		WRITE_ONCE(sys->early, at);
	}
	if (look > 0)
		at = min(at, now + (TICK_NSEC / 8 << (look - 1)));
	else if (!look)
		at = min(at, tick + GS_NEAR_TICK +
				     (into < GS_NEAR_TICK ? 0 : TICK_NSEC));
	if (at != U64_MAX)
		gs_glance_at(sys, at);
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

void gs_sys_trims_queue(void);
void gs_sys_trims_queue(void)
{
	queue_delayed_work(gs_wq, &gs_trims_work, msecs_to_jiffies(10));
}

void gs_sys_heads_queue(void);
void gs_sys_heads_queue(void)
{
	queue_work(gs_wq, &gs_heads_work);
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

static void gs_family_work_fn(struct work_struct *work)
{
	gs_rs_family_work(container_of(work, struct gs_core_sys, family));
}

static void gs_family_bell_fn(struct rcu_head *head)
{
	gs_rs_family_bell(container_of(head, struct gs_core_sys, family_bell));
}

void gs_sys_core_init(struct gs_core_sys *sys);
void gs_sys_core_init(struct gs_core_sys *sys)
{
	INIT_WORK(&sys->family, gs_family_work_fn);
	xa_init(&sys->children);
	INIT_WORK(&sys->work, gs_core_work_fn);
	mutex_init(&sys->service);
	mutex_init(&sys->barrier);
	mutex_init(&sys->trim);
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

bool gs_sys_family_queue(struct gs_core_sys *sys);
bool gs_sys_family_queue(struct gs_core_sys *sys)
{
	return queue_work(gs_family_wq, &sys->family);
}

void gs_sys_family_bell(struct gs_core_sys *sys);
void gs_sys_family_bell(struct gs_core_sys *sys)
{
	call_rcu_hurry(&sys->family_bell, gs_family_bell_fn);
}

/*
 * The core is about to be freed: whoever comes late is to find that out. Only
 * a cache that nobody destroyed has children still, and then this is process
 * context.
 */
void gs_sys_core_fini(struct gs_core_sys *sys);
void gs_sys_core_fini(struct gs_core_sys *sys)
{
	if (!xa_empty(&sys->children))
		xa_destroy(&sys->children);
	memset(sys, POISON_FREE, sizeof(*sys));
}

void *gs_sys_child_find(struct gs_core_sys *sys, u64 key);
void *gs_sys_child_find(struct gs_core_sys *sys, u64 key)
{
	return xa_load(&sys->children, key);
}

int gs_sys_child_set(struct gs_core_sys *sys, u64 key, void *child);
int gs_sys_child_set(struct gs_core_sys *sys, u64 key, void *child)
{
	return xa_err(xa_store(&sys->children, key, child, GFP_KERNEL));
}

void gs_sys_child_drop(struct gs_core_sys *sys, u64 key, void *child);
void gs_sys_child_drop(struct gs_core_sys *sys, u64 key, void *child)
{
	xa_cmpxchg(&sys->children, key, child, NULL, 0);
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

void gs_sys_ipi(unsigned int cpu);
void gs_sys_ipi(unsigned int cpu)
{
	smp_call_function_single(cpu, gs_rs_ipi, NULL, 1);
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

/* ---- memory that is short --------------------------------------------------- */

static struct shrinker *gs_shrinker;

static unsigned long gs_shrinker_count(struct shrinker *shrinker,
				       struct shrink_control *sc)
{
	return gs_rs_reclaimable() ?: SHRINK_EMPTY;
}

static unsigned long gs_shrinker_scan(struct shrinker *shrinker,
				      struct shrink_control *sc)
{
	return gs_rs_reclaim_pages(sc->nr_to_scan) ?: SHRINK_STOP;
}

/* Last, when all that it looks at is there. */
int gs_sys_shrinker_start(void);
int gs_sys_shrinker_start(void)
{
	gs_shrinker = shrinker_alloc(0, "graceslab");
	if (!gs_shrinker)
		return -ENOMEM;
	gs_shrinker->count_objects = gs_shrinker_count;
	gs_shrinker->scan_objects = gs_shrinker_scan;
	shrinker_register(gs_shrinker);
	return 0;
}

/* Nobody is in it any more on return. */
void gs_sys_shrinker_stop(void);
void gs_sys_shrinker_stop(void)
{
	shrinker_free(gs_shrinker);
}

/* ---- start and stop --------------------------------------------------------- */

int gs_sys_start(void);
int gs_sys_start(void)
{
	unsigned int cpu;
	int ret;

	gs_wq = alloc_workqueue("graceslab", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!gs_wq)
		return -ENOMEM;
	gs_family_wq = alloc_workqueue("graceslab_children", WQ_UNBOUND, 0);
	if (!gs_family_wq) {
		ret = -ENOMEM;
		goto out_wq;
	}
	gs_gp_start = gs_gp_number();
	INIT_WORK(&gs_attend_work, gs_attend_fn);
	INIT_DELAYED_WORK(&gs_trims_work, gs_trims_fn);
	INIT_WORK(&gs_heads_work, gs_heads_fn);
	for_each_possible_cpu(cpu) {
		struct gs_cpu_sys *sys = &per_cpu(gs_cpu_sys, cpu);

		sys->cpu = cpu;
		timer_setup(&sys->timer, gs_timer_fn, TIMER_PINNED);
		hrtimer_setup(&sys->glance, gs_glance_fn, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED);
		sys->kick = IRQ_WORK_INIT_HARD(gs_kick_fn);
		INIT_WORK(&sys->reclaim, gs_reclaim_fn);
	}
	ret = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "graceslab:dead",
					NULL, gs_cpu_dead);
	if (ret < 0)
		goto out_family_wq;
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
out_family_wq:
	destroy_workqueue(gs_family_wq);
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
		hrtimer_cancel(&sys->glance);
		irq_work_sync(&sys->kick);
	}
	/* A callback queues work, and a work may queue one more. */
	for (pass = 0; pass < 2; pass++) {
		rcu_barrier();
		flush_delayed_work(&gs_trims_work);
		/* Asked for by an irq_work that came too late. */
		gs_rs_attend();
		gs_rs_trims();
		flush_workqueue(gs_family_wq);
		flush_workqueue(gs_wq);
	}
	/* What a worker still armed does nothing, but has to be over. */
	for_each_possible_cpu(cpu) {
		hrtimer_cancel(&per_cpu(gs_cpu_sys, cpu).glance);
		irq_work_sync(&per_cpu(gs_cpu_sys, cpu).kick);
	}
	rcu_barrier();
}

/* No module that goes and no CPU that dies has the caches looked through any more. */
void gs_sys_unhook(void);
void gs_sys_unhook(void)
{
#ifdef CONFIG_MODULES
	unregister_module_notifier(&gs_module_nb);
#endif
	cpuhp_remove_state_nocalls(gs_hp_state);
}

void gs_sys_stop(void);
void gs_sys_stop(void)
{
	destroy_workqueue(gs_family_wq);
	destroy_workqueue(gs_wq);
	/* A child that goes queues its root's callback. */
	rcu_barrier();
	rcu_barrier();
}

/* ---- reports ------------------------------------------------------------------ */

enum gs_misuse {
	GS_DOUBLE_FREE,
	GS_DOUBLE_FREE_RCU,
	GS_WRONG_CACHE,
	GS_DEAD_ALLOC,
	GS_BAD_POINTER,
	GS_BARRIER_IN_DTOR,
	GS_UNKNOWN_CACHE,
	GS_ATOMIC_KVFREE,
	GS_NOT_ALLOCATED,
	GS_NO_MEMORY,
	GS_GIVEN_TWICE,
};

/* One WARN that names the cache and the object: the caller leaks it. */
void gs_sys_misuse(unsigned int what, const char *name, const void *obj,
		   const char *other);
void gs_sys_misuse(unsigned int what, const char *name, const void *obj,
		   const char *other)
{
	switch (what) {
	case GS_DOUBLE_FREE:
		WARN(1, "graceslab: %s: double free of object 0x%px\n", name,
		     obj);
		break;
	case GS_DOUBLE_FREE_RCU:
		WARN(1, "graceslab: %s: double free_rcu of object 0x%px\n",
		     name, obj);
		break;
	case GS_WRONG_CACHE:
		WARN(1, "graceslab: %s: object 0x%px belongs to cache %s\n",
		     name, obj, other);
		break;
	case GS_DEAD_ALLOC:
		WARN(1, "graceslab: %s: allocation from a destroyed cache\n",
		     name);
		break;
	case GS_BAD_POINTER:
		WARN(1, "graceslab: %s: 0x%px is not an object of this cache\n",
		     name, obj);
		break;
	case GS_BARRIER_IN_DTOR:
		WARN(1,
		     "graceslab: %s: barrier called from its own destructor\n",
		     name);
		break;
	case GS_ATOMIC_KVFREE:
		WARN_ONCE(1,
			  "graceslab: gs_kvfree_rcu(0x%px) where nobody may sleep: leaked\n",
			  obj);
		break;
	case GS_NOT_ALLOCATED:
		WARN(1, "graceslab: 0x%px is no allocator's: not freed\n", obj);
		break;
	case GS_NO_MEMORY:
		WARN_ONCE(1,
			  "graceslab: no memory to free 0x%px where nobody may sleep: leaked\n",
			  obj);
		break;
	case GS_GIVEN_TWICE:
		WARN(1,
		     "graceslab: %s 0x%px waits to be freed already: not freed twice\n",
		     name, obj);
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
