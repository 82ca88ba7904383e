// SPDX-License-Identifier: GPL-2.0

//! The one door to C: the shim's functions, and the kernel objects that are embedded.
//!
//! `shim.c` says what each function does and where it may be called from.

use kernel::bindings;
use kernel::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

/// A page allocator flag word, as C has it.
pub(crate) type Gfp = bindings::gfp_t;

/// `struct gs_core_sys` of the shim.
#[repr(C)]
pub(crate) struct CoreSys {
    work: bindings::work_struct,
    bell: bindings::callback_head,
    retire: bindings::callback_head,
    service: bindings::mutex,
    barrier: bindings::mutex,
    /// The `__percpu` area, as [`gs_sys_enter`] takes it.
    pub(crate) pcpu: *mut c_void,
}

impl CoreSys {
    /// The mutex that serialises the service of pending bits.
    pub(crate) fn service(this: *mut Self) -> *mut bindings::mutex {
        // SAFETY: Only the field's address is taken.
        unsafe { &raw mut (*this).service }
    }

    /// The mutex that serialises barriers.
    pub(crate) fn barrier(this: *mut Self) -> *mut bindings::mutex {
        // SAFETY: Only the field's address is taken.
        unsafe { &raw mut (*this).barrier }
    }
}

/// A raw spinlock, as C has it.
pub(crate) type RawSpinLock = bindings::raw_spinlock_t;
/// An RCU head, as C has it.
pub(crate) type RcuHead = bindings::callback_head;

/// Which of the module's own mutexes.
pub(crate) const REGISTRY: c_uint = 0;
/// See [`REGISTRY`].
pub(crate) const OFFLINE: c_uint = 1;
/// See [`REGISTRY`].
pub(crate) const CHANNEL_BARRIER: c_uint = 2;

/// What a misuse report says; `enum gs_misuse` of the shim.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Misuse {
    DoubleFree,
    DoubleFreeRcu,
    WrongCache,
    DeadAlloc,
    BadPointer,
    BarrierInDtor,
    UnknownCache,
    AtomicKvfree,
}

#[allow(
    improper_ctypes,
    reason = "some of the kernel's structures are empty on some configurations"
)]
extern "C" {
    pub(crate) fn gs_sys_enter(area: *mut c_void) -> *mut c_void;
    pub(crate) fn gs_sys_leave(offset: usize);
    pub(crate) fn gs_sys_section_area() -> *mut c_void;
    pub(crate) fn gs_sys_close() -> bool;
    pub(crate) fn gs_sys_want();
    pub(crate) fn gs_sys_unwant();
    pub(crate) fn gs_sys_percpu_alloc(size: usize, align: usize) -> *mut c_void;
    pub(crate) fn gs_sys_percpu_free(area: *mut c_void);
    pub(crate) fn gs_sys_percpu_ptr(area: *mut c_void, cpu: c_uint) -> *mut c_void;

    pub(crate) fn gs_sys_irqs_disabled() -> bool;
    pub(crate) fn gs_sys_in_nmi() -> bool;
    pub(crate) fn gs_sys_preempt_disable();
    pub(crate) fn gs_sys_preempt_enable();
    pub(crate) fn gs_sys_may_allocate() -> bool;
    pub(crate) fn gs_sys_may_sleep() -> bool;
    pub(crate) fn gs_sys_this_cpu() -> c_uint;
    pub(crate) fn gs_sys_numa_node() -> c_int;
    pub(crate) fn gs_sys_cond_resched();
    pub(crate) fn gs_sys_might_sleep();
    pub(crate) fn gs_sys_sleep_tick();
    pub(crate) fn gs_sys_cpu_relax();
    pub(crate) fn gs_sys_jiffies() -> c_ulong;
    pub(crate) fn gs_sys_msecs_to_jiffies(ms: c_uint) -> c_ulong;

    pub(crate) fn gs_sys_gfp_spins(gfp: Gfp) -> bool;
    pub(crate) fn gs_sys_gfp_inner(gfp: Gfp) -> Gfp;
    pub(crate) fn gs_sys_gfp_try() -> Gfp;
    pub(crate) fn gs_sys_gfp_nowait() -> Gfp;
    pub(crate) fn gs_sys_gfp_kernel() -> Gfp;

    pub(crate) fn gs_sys_smp_mb();
    pub(crate) fn gs_sys_fetch_or(word: *mut usize, bits: usize) -> usize;
    pub(crate) fn gs_sys_fetch_and(word: *mut usize, bits: usize) -> usize;

    pub(crate) fn gs_sys_lock_init(lock: *mut RawSpinLock, class: c_uint);
    pub(crate) fn gs_sys_lock(lock: *mut RawSpinLock) -> c_ulong;
    pub(crate) fn gs_sys_trylock(lock: *mut RawSpinLock, flags: *mut c_ulong) -> bool;
    pub(crate) fn gs_sys_unlock(lock: *mut RawSpinLock, flags: c_ulong);
    pub(crate) fn gs_sys_mutex_lock_global(which: c_uint);
    pub(crate) fn gs_sys_mutex_unlock_global(which: c_uint);
    pub(crate) fn gs_sys_mutex_lock(m: *mut bindings::mutex);
    pub(crate) fn gs_sys_mutex_unlock(m: *mut bindings::mutex);
    pub(crate) fn gs_sys_wait_zero(count: *mut c_long);
    pub(crate) fn gs_sys_wake(count: *mut c_long);

    pub(crate) fn gs_sys_cookie_get(cookie: *mut [c_ulong; 2]);
    pub(crate) fn gs_sys_cookie_poll(cookie: *mut [c_ulong; 2]) -> bool;
    pub(crate) fn gs_sys_cookie_wait(cookie: *mut [c_ulong; 2]);
    pub(crate) fn gs_sys_synchronize_rcu();
    pub(crate) fn gs_sys_grace_periods() -> c_ulong;
    pub(crate) fn gs_sys_current() -> *mut c_void;
    pub(crate) fn gs_sys_slab_retire(head: *mut RcuHead);

    pub(crate) fn gs_sys_kmalloc(size: usize, gfp: Gfp) -> *mut c_void;
    pub(crate) fn gs_sys_kfree(p: *const c_void);
    pub(crate) fn gs_sys_kvfree(p: *const c_void);
    pub(crate) fn gs_sys_kfree_bulk(nr: usize, p: *mut *mut u8);
    pub(crate) fn gs_sys_slab_pages(gfp: Gfp, order: c_uint, node: c_int) -> *mut c_void;
    pub(crate) fn gs_sys_slab_mark(base: *mut c_void, slab: *mut c_void);
    pub(crate) fn gs_sys_slab_pages_free(base: *mut c_void, order: c_uint);
    pub(crate) fn gs_sys_slab_of(p: *const c_void) -> *mut c_void;
    pub(crate) fn gs_sys_node_of(base: *const c_void) -> c_uint;
    pub(crate) fn gs_sys_is_vmalloc(p: *const c_void) -> bool;
    pub(crate) fn gs_sys_nr_nodes() -> c_uint;
    pub(crate) fn gs_sys_cache_line() -> c_uint;
    pub(crate) fn gs_sys_page_size() -> c_uint;

    pub(crate) fn gs_sys_timer_arm(cpu: c_uint, delay: c_ulong);
    pub(crate) fn gs_sys_kick();
    pub(crate) fn gs_sys_bell_ring(cpu: c_uint);
    pub(crate) fn gs_sys_reclaim_queue(cpu: c_uint);
    pub(crate) fn gs_sys_attend_queue();
    pub(crate) fn gs_sys_core_init(sys: *mut CoreSys);
    pub(crate) fn gs_sys_core_queue(sys: *mut CoreSys) -> bool;
    pub(crate) fn gs_sys_core_bell(sys: *mut CoreSys);
    pub(crate) fn gs_sys_core_retire(sys: *mut CoreSys);

    pub(crate) fn gs_sys_nr_cpus() -> c_uint;
    pub(crate) fn gs_sys_cpu_possible(cpu: c_uint) -> bool;
    pub(crate) fn gs_sys_cpu_online(cpu: c_uint) -> bool;
    pub(crate) fn gs_sys_cpus_read_lock();
    pub(crate) fn gs_sys_cpus_read_unlock();
    pub(crate) fn gs_sys_ipi_all();
    pub(crate) fn gs_sys_within_module(addr: *const c_void, module: *const c_void) -> bool;
    pub(crate) fn gs_sys_start() -> c_int;
    pub(crate) fn gs_sys_quiesce();
    pub(crate) fn gs_sys_stop();

    pub(crate) fn gs_sys_misuse(
        what: c_uint,
        name: *const c_char,
        obj: *const c_void,
        other: *const c_char,
    );
    pub(crate) fn gs_sys_leak_line(name: *const c_char, obj: *const c_void);
    pub(crate) fn gs_sys_leak_more(name: *const c_char, more: c_ulong);
    pub(crate) fn gs_sys_leak_summary(name: *const c_char, leaked: c_ulong, total: c_ulong);
}
