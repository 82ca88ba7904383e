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
    trim: bindings::mutex,
    family: bindings::work_struct,
    family_bell: bindings::callback_head,
    children: bindings::xarray,
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

    /// The mutex of those who give memory back.
    pub(crate) fn trim(this: *mut Self) -> *mut bindings::mutex {
        // SAFETY: Only the field's address is taken.
        unsafe { &raw mut (*this).trim }
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

/// A number that the module's user can set; `enum gs_param_id` of the shim.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Param {
    SealMs,
    ReservePages,
    ReserveWrappers,
    ExpediteMs,
    ExpediteBatches,
}

/// The value of a parameter, as it is now.
///
/// Context: Any context.
pub(crate) fn param(which: Param) -> u32 {
    // SAFETY: May be called in any context; each of them is one of the shim's.
    unsafe { gs_sys_param(which as u32) }
}

/// A file in debugfs; `enum gs_file_id` of the shim.
#[derive(Clone, Copy)]
#[repr(u32)]
#[expect(dead_code, reason = "they come from C")]
pub(crate) enum File {
    Caches,
    Batcher,
    Stats,
    Aliases,
    Children,
    Capacity,
}

/// What a file's text is written to, as C has it.
pub(crate) type SeqFile = bindings::seq_file;

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
    NotAllocated,
    NoMemory,
    GivenTwice,
}

/// Memory that holds a pattern; `struct gs_pattern` of the shim.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Pattern {
    pub(crate) at: *mut u8,
    pub(crate) len: usize,
    pub(crate) fill: u8,
    pub(crate) last: u8,
}

/// Which pattern was overwritten; `enum gs_clobbered` of the shim.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Clobbered {
    LeftZone,
    RightZone,
    Poison,
}

#[allow(
    improper_ctypes,
    reason = "some of the kernel's structures are empty on some configurations"
)]
extern "C" {
    pub(crate) fn gs_sys_enter(offset: *mut usize) -> bool;
    pub(crate) fn gs_sys_here(area: *mut c_void, offset: usize) -> *mut c_void;
    pub(crate) fn gs_sys_here_load(place: *mut *mut c_void, offset: usize) -> *mut c_void;
    pub(crate) fn gs_sys_here_inc(place: *mut u64, offset: usize);
    pub(crate) fn gs_sys_close(offset: usize) -> bool;
    pub(crate) fn gs_sys_serve();
    pub(crate) fn gs_sys_want();
    pub(crate) fn gs_sys_unwant();
    pub(crate) fn gs_sys_percpu_alloc(size: usize, align: usize) -> *mut c_void;
    pub(crate) fn gs_sys_percpu_free(area: *mut c_void);
    pub(crate) fn gs_sys_percpu_ptr(area: *mut c_void, cpu: c_uint) -> *mut c_void;

    pub(crate) fn gs_sys_irqs_disabled() -> bool;
    pub(crate) fn gs_sys_in_nmi() -> bool;
    pub(crate) fn gs_sys_preempt_disable();
    pub(crate) fn gs_sys_preempt_enable();
    pub(crate) fn gs_sys_may_allocate(ours: c_uint) -> bool;
    pub(crate) fn gs_sys_may_sleep() -> bool;
    pub(crate) fn gs_sys_this_cpu() -> c_uint;
    pub(crate) fn gs_sys_numa_node() -> c_int;
    pub(crate) fn gs_sys_cond_resched();
    pub(crate) fn gs_sys_might_sleep();
    pub(crate) fn gs_sys_would_sleep();
    pub(crate) fn gs_sys_sleep_tick();
    pub(crate) fn gs_sys_cpu_relax();
    pub(crate) fn gs_sys_jiffies() -> c_ulong;
    pub(crate) fn gs_sys_now_ns() -> u64;
    pub(crate) fn gs_sys_msecs_to_jiffies(ms: c_uint) -> c_ulong;
    pub(crate) fn gs_sys_ticks_within(ms: c_uint) -> c_ulong;
    pub(crate) fn gs_sys_jiffies_to_msecs(ticks: usize) -> c_uint;

    pub(crate) fn gs_sys_gfp_spins(gfp: Gfp) -> bool;
    pub(crate) fn gs_sys_gfp_inner(gfp: Gfp) -> Gfp;
    pub(crate) fn gs_sys_gfp_try() -> Gfp;
    pub(crate) fn gs_sys_gfp_nowait() -> Gfp;
    pub(crate) fn gs_sys_gfp_kernel() -> Gfp;
    pub(crate) fn gs_sys_gfp_pointers(gfp: Gfp) -> Gfp;
    pub(crate) fn gs_sys_gfp_blocks(gfp: Gfp) -> bool;

    pub(crate) fn gs_sys_smp_mb();
    pub(crate) fn gs_sys_fetch_or(word: *mut usize, bits: usize) -> usize;
    pub(crate) fn gs_sys_fetch_and(word: *mut usize, bits: usize) -> usize;

    pub(crate) fn gs_sys_lock_init(lock: *mut RawSpinLock, class: c_uint);
    pub(crate) fn gs_sys_lock(lock: *mut RawSpinLock) -> c_ulong;
    pub(crate) fn gs_sys_trylock(lock: *mut RawSpinLock, flags: *mut c_ulong) -> bool;
    pub(crate) fn gs_sys_unlock(lock: *mut RawSpinLock, flags: c_ulong);
    pub(crate) fn gs_sys_lock_own(lock: *mut RawSpinLock, spin: bool, flags: *mut c_ulong) -> bool;
    pub(crate) fn gs_sys_unlock_own(lock: *mut RawSpinLock, flags: c_ulong);
    pub(crate) fn gs_sys_mutex_lock_global(which: c_uint);
    pub(crate) fn gs_sys_mutex_unlock_global(which: c_uint);
    pub(crate) fn gs_sys_mutex_lock(m: *mut bindings::mutex);
    pub(crate) fn gs_sys_mutex_unlock(m: *mut bindings::mutex);
    pub(crate) fn gs_sys_wait_zero(count: *mut c_long);
    pub(crate) fn gs_sys_wake(count: *mut c_long);

    pub(crate) fn gs_sys_cookie_get(cookie: *mut [c_ulong; 2]);
    pub(crate) fn gs_sys_cookie_poll(cookie: *mut [c_ulong; 2]) -> bool;
    pub(crate) fn gs_sys_cookie_wait(cookie: *mut [c_ulong; 2]);
    pub(crate) fn gs_sys_period_start();
    pub(crate) fn gs_sys_expedites() -> bool;
    pub(crate) fn gs_sys_synchronize_rcu_expedited();
    pub(crate) fn gs_sys_grace_periods() -> c_ulong;
    pub(crate) fn gs_sys_current() -> *mut c_void;
    pub(crate) fn gs_sys_slab_retire(head: *mut RcuHead);

    pub(crate) fn gs_sys_vzalloc(size: usize) -> *mut c_void;
    pub(crate) fn gs_sys_watch_pointers(on: bool);
    pub(crate) fn gs_sys_kmalloc(size: usize, gfp: Gfp) -> *mut c_void;
    pub(crate) fn gs_sys_kfree(p: *const c_void);
    pub(crate) fn gs_sys_untagged(p: *mut c_void) -> *mut c_void;
    pub(crate) fn gs_sys_kvfree(p: *const c_void);
    pub(crate) fn gs_sys_kfree_bulk(nr: usize, p: *mut *mut u8);
    pub(crate) fn gs_sys_slab_pages(gfp: Gfp, order: c_uint, node: c_int) -> *mut c_void;
    pub(crate) fn gs_sys_slab_mark(base: *mut c_void, slab: *mut c_void);
    pub(crate) fn gs_sys_slab_pages_free(base: *mut c_void, order: c_uint);
    pub(crate) fn gs_sys_slab_of(p: *const c_void) -> *mut c_void;
    pub(crate) fn gs_sys_node_of(p: *const c_void) -> c_int;
    pub(crate) fn gs_sys_is_slab_object(p: *const c_void) -> bool;
    pub(crate) fn gs_sys_kind(p: *const c_void, slab: *mut *mut c_void) -> c_int;
    pub(crate) fn gs_sys_nr_nodes() -> c_uint;
    pub(crate) fn gs_sys_random() -> u64;
    pub(crate) fn gs_sys_cache_line() -> c_uint;
    pub(crate) fn gs_sys_page_size() -> c_uint;

    pub(crate) fn gs_sys_timer_arm(cpu: c_uint, delay: c_ulong);
    pub(crate) fn gs_sys_glance_arm(cpu: c_uint, early: c_ulong, look: c_int);
    pub(crate) fn gs_sys_kick();
    pub(crate) fn gs_sys_bell_ring(cpu: c_uint);
    pub(crate) fn gs_sys_reclaim_queue(cpu: c_uint);
    pub(crate) fn gs_sys_attend_queue();
    pub(crate) fn gs_sys_trims_queue();
    pub(crate) fn gs_sys_heads_queue();
    pub(crate) fn gs_sys_core_init(sys: *mut CoreSys);
    pub(crate) fn gs_sys_core_queue(sys: *mut CoreSys) -> bool;
    pub(crate) fn gs_sys_core_bell(sys: *mut CoreSys);
    pub(crate) fn gs_sys_core_retire(sys: *mut CoreSys);
    pub(crate) fn gs_sys_family_queue(sys: *mut CoreSys) -> bool;
    pub(crate) fn gs_sys_family_bell(sys: *mut CoreSys);
    pub(crate) fn gs_sys_core_fini(sys: *mut CoreSys);
    pub(crate) fn gs_sys_child_find(sys: *mut CoreSys, key: u64) -> *mut c_void;
    pub(crate) fn gs_sys_child_set(sys: *mut CoreSys, key: u64, child: *mut c_void) -> c_int;
    pub(crate) fn gs_sys_child_drop(sys: *mut CoreSys, key: u64, child: *mut c_void);

    pub(crate) fn gs_sys_nr_cpus() -> c_uint;
    pub(crate) fn gs_sys_cpu_possible(cpu: c_uint) -> bool;
    pub(crate) fn gs_sys_cpu_online(cpu: c_uint) -> bool;
    pub(crate) fn gs_sys_cpus_read_lock();
    pub(crate) fn gs_sys_cpus_read_unlock();
    pub(crate) fn gs_sys_ipi_all();
    pub(crate) fn gs_sys_ipi(cpu: c_uint);
    pub(crate) fn gs_sys_within_module(addr: *const c_void, module: *const c_void) -> bool;
    fn gs_sys_param(which: c_uint) -> c_uint;
    pub(crate) fn gs_sys_params_live(live: bool);
    pub(crate) fn gs_sys_files_start();
    pub(crate) fn gs_sys_files_stop();
    pub(crate) fn gs_sys_cache_files_start(name: *const c_char, core: *mut c_void) -> *mut c_void;
    pub(crate) fn gs_sys_cache_files_stop(dir: *mut c_void);
    pub(crate) fn gs_sys_start() -> c_int;
    pub(crate) fn gs_sys_shrinker_start() -> c_int;
    pub(crate) fn gs_sys_shrinker_stop();
    pub(crate) fn gs_sys_quiesce();
    pub(crate) fn gs_sys_unhook();
    pub(crate) fn gs_sys_stop();

    pub(crate) fn gs_sys_misuse(
        what: c_uint,
        name: *const c_char,
        obj: *const c_void,
        other: *const c_char,
    );
    pub(crate) fn gs_sys_debug_flags() -> c_ulong;
    pub(crate) fn gs_sys_init_on_alloc() -> bool;
    pub(crate) fn gs_sys_init_on_free() -> bool;
    pub(crate) fn gs_sys_kasan() -> bool;
    pub(crate) fn gs_sys_kasan_cover(pages: *const c_void, size: usize);
    pub(crate) fn gs_sys_kasan_alloc(obj: *const c_void, size: usize);
    pub(crate) fn gs_sys_kasan_free(obj: *const c_void, size: usize);
    pub(crate) fn gs_sys_kasan_freed(obj: *const c_void) -> bool;
    pub(crate) fn gs_sys_kmemleak() -> bool;
    pub(crate) fn gs_sys_kmemleak_alloc(obj: *const c_void, size: usize, gfp: Gfp);
    pub(crate) fn gs_sys_kmemleak_free(obj: *const c_void);
    pub(crate) fn gs_sys_pattern_fill(pattern: *const Pattern);
    pub(crate) fn gs_sys_pattern_check(
        pattern: *const Pattern,
        name: *const c_char,
        what: c_uint,
        obj: *const c_void,
    ) -> bool;
    pub(crate) fn gs_sys_bad_state(name: *const c_char, obj: *const c_void, state: c_int);
    pub(crate) fn gs_sys_bad_bit(name: *const c_char, obj: *const c_void, deferred: bool);
    pub(crate) fn gs_sys_tracks_init() -> c_int;
    pub(crate) fn gs_sys_tracks_bytes() -> usize;
    pub(crate) fn gs_sys_track_set(tracks: *mut c_void, which: c_uint, gfp: Gfp);
    pub(crate) fn gs_sys_tracks_print(
        name: *const c_char,
        obj: *const c_void,
        tracks: *const c_void,
    );
    pub(crate) fn gs_sys_trace_alloc(cache: *const c_char, obj: *const c_void, gfp: Gfp);
    pub(crate) fn gs_sys_trace_free(cache: *const c_char, obj: *const c_void);
    pub(crate) fn gs_sys_trace_free_rcu(cache: *const c_char, obj: *const c_void);
    pub(crate) fn gs_sys_trace_seal(cache: *const c_char, cpu: c_uint, objects: c_uint, age: usize);
    pub(crate) fn gs_sys_trace_reclaim(cache: *const c_char, objects: c_uint);
    pub(crate) fn gs_sys_trace_fallback(step: c_uint);
    pub(crate) fn gs_sys_trace_begin() -> u64;
    pub(crate) fn gs_sys_trace_barrier(cache: *const c_char, pending: u64, begin: u64);
    pub(crate) fn gs_sys_trace_destroy(cache: *const c_char, leaked: bool);
    pub(crate) fn gs_sys_trace_leak(cache: *const c_char, obj: *const c_void);
    pub(crate) fn gs_sys_leak_line(name: *const c_char, obj: *const c_void);
    pub(crate) fn gs_sys_leak_more(name: *const c_char, more: c_ulong);
    pub(crate) fn gs_sys_leak_summary(name: *const c_char, leaked: c_ulong, total: c_ulong);
}
