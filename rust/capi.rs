// SPDX-License-Identifier: GPL-2.0

//! The C interface of `include/graceslab.h`, which the Rust interface goes by as well.
//!
//! Each function does what its documentation there says; here arguments become references and
//! errors become codes, nothing else.

#![expect(
    clippy::missing_safety_doc,
    reason = "the header says what each function asks for"
)]

use crate::cache::core::Hook;
use crate::cache::core::{
    Core, Spec, ACCOUNT, ALL_FLAGS, HWCACHE_ALIGN, MERGE, NAME_LEN, TYPESAFE_BY_RCU,
};
use crate::cache::slab::Geometry;
use crate::cache::{
    alloc, bulk, capacity, children, debug, destroy, free, prefill, reclaim, registry, shrink,
    stats,
};
use crate::inject;
use crate::rcu::queue::Batch;
use crate::rcu::{barrier, foreign, steps};
use crate::sys::{self, Gfp};
use core::ptr::null_mut;
use kernel::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use kernel::prelude::*;

/// `struct gs_cache_args`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct RawArgs {
    /// Alignment, a power of two, or 0.
    pub align: c_uint,
    /// Objects per sheaf, or 0.
    pub sheaf_capacity: c_uint,
    /// Called once per object, when its slab is populated.
    pub ctor: Option<Hook>,
    /// Called on each object after the grace period of a deferred free.
    pub rcu_dtor: Option<Hook>,
}

/// Sheaf capacity by object size, as the kernel has it.
fn default_capacity(size: usize) -> u32 {
    match size {
        4096.. => 4,
        1024.. => 12,
        256.. => 28,
        _ => 60,
    }
}

fn create(name: *const c_char, size: c_uint, args: RawArgs, flags: c_ulong) -> Result<*mut Core> {
    if name.is_null() || flags & !ALL_FLAGS != 0 || args.sheaf_capacity > capacity::MAX {
        return Err(EINVAL);
    }
    if flags & TYPESAFE_BY_RCU != 0 && args.rcu_dtor.is_some() {
        return Err(EINVAL);
    }
    let shared = flags & MERGE != 0;
    let alone = args.ctor.is_some() || args.rcu_dtor.is_some();
    if shared && (alone || flags & !(MERGE | HWCACHE_ALIGN | ACCOUNT) != 0) {
        return Err(EINVAL);
    }
    // SAFETY: By the interface's contract `name` is a string.
    let name = unsafe { CStr::from_char_ptr(name) }.to_bytes();
    let mut own = [0; NAME_LEN];
    if name.is_empty() || name.len() >= NAME_LEN {
        return Err(EINVAL);
    }
    own[..name.len()].copy_from_slice(name);
    // SAFETY: May be called in any context.
    let (line, page) = unsafe { (sys::gs_sys_cache_line(), sys::gs_sys_page_size()) };
    let line = if flags & HWCACHE_ALIGN != 0 { line } else { 0 };
    let flags = debug::flags(flags, args.ctor.is_some())?;
    let mut geometry = Geometry::new(
        size as usize,
        args.align as usize,
        line as usize,
        page as usize,
        debug::extra(flags),
    )?;
    if flags & MERGE != 0 {
        // Another name's objects may be as large as there is room.
        geometry.size = geometry.stride;
    }
    let capacity = match args.sheaf_capacity {
        0 => default_capacity(geometry.stride as usize),
        n => n.max(capacity::MIN),
    };
    registry::create(Spec {
        flags,
        capacity,
        grows: args.sheaf_capacity == 0,
        geometry,
        ctor: args.ctor,
        dtor: args.rcu_dtor,
        name: own,
    })
}

#[no_mangle]
unsafe extern "C" fn gs_cache_create(
    name: *const c_char,
    size: c_uint,
    args: *const RawArgs,
    flags: c_ulong,
) -> *mut Core {
    // SAFETY: By the interface's contract `args` is NULL or valid.
    let args = unsafe { args.as_ref() }.copied().unwrap_or_default();
    match create(name, size, args, flags) {
        Ok(core) => core,
        Err(e) => e.to_errno() as isize as *mut Core,
    }
}

fn code(result: Result) -> c_int {
    result.map_or_else(|e| e.to_errno(), |()| 0)
}

#[no_mangle]
extern "C" fn gs_cache_destroy(c: *const Core) -> c_int {
    if c.is_null() {
        return EINVAL.to_errno();
    }
    code(destroy::destroy(c))
}

#[no_mangle]
unsafe extern "C" fn gs_cache_alloc(c: *const Core, gfp: Gfp) -> *mut c_void {
    // SAFETY: By the interface's contract `c` is NULL or a cache.
    match unsafe { c.as_ref() } {
        Some(core) => alloc::alloc(core, gfp).cast(),
        None => null_mut(),
    }
}

#[no_mangle]
unsafe extern "C" fn gs_cache_free(c: *const Core, obj: *mut c_void) {
    if !c.is_null() && !obj.is_null() {
        // SAFETY: By the interface's contract `obj` is an object of `c`.
        unsafe { __gs_cache_free(c, obj) }
    }
}

/// What the header calls once it has checked that there is a cache, and no `__GFP_ZERO`.
#[no_mangle]
unsafe extern "C" fn __gs_cache_alloc(c: &Core, gfp: Gfp) -> *mut c_void {
    alloc::alloc_plain(c, gfp).cast()
}

/// What the header calls once it has checked that there is a cache and an object.
#[no_mangle]
#[inline(never)]
unsafe extern "C" fn __gs_cache_free(c: *const Core, obj: *mut c_void) {
    // SAFETY: By the interface's contract `obj` is an object of `c`.
    unsafe { free::free(c, obj.cast()) }
}

/// See [`__gs_cache_free`].
#[no_mangle]
#[inline(never)]
unsafe extern "C" fn __gs_cache_free_rcu(c: *const Core, obj: *mut c_void) {
    // SAFETY: By the interface's contract `obj` is an object of `c`.
    unsafe { free::free_rcu(c, obj.cast()) }
}

#[no_mangle]
unsafe extern "C" fn gs_cache_alloc_bulk(
    c: *const Core,
    gfp: Gfp,
    nr: usize,
    p: *mut *mut u8,
) -> c_int {
    if nr == 0 || nr > c_int::MAX as usize || p.is_null() {
        return 0;
    }
    // SAFETY: By the interface's contract `c` is NULL or a cache, and `p` has `nr` places.
    unsafe {
        let Some(core) = c.as_ref() else {
            return 0;
        };
        let p = core::slice::from_raw_parts_mut(p, nr);
        if bulk::alloc(core, gfp, p) {
            nr as c_int
        } else {
            0
        }
    }
}

#[no_mangle]
unsafe extern "C" fn gs_cache_free_bulk(c: *const Core, nr: usize, p: *mut *mut u8) {
    if nr == 0 || p.is_null() {
        return;
    }
    // SAFETY: By the interface's contract `c` is NULL or a cache, and `p` has `nr` objects of it.
    unsafe {
        if let Some(core) = c.as_ref() {
            bulk::free(core, core::slice::from_raw_parts_mut(p, nr));
        }
    }
}

#[no_mangle]
unsafe extern "C" fn gs_cache_free_rcu(c: *const Core, obj: *mut c_void) {
    if !c.is_null() && !obj.is_null() {
        // SAFETY: By the interface's contract `obj` is an object of `c`.
        unsafe { __gs_cache_free_rcu(c, obj) }
    }
}

#[no_mangle]
unsafe extern "C" fn gs_sheaf_prefill(c: *const Core, gfp: Gfp, n: c_uint) -> *mut Batch {
    // SAFETY: By the interface's contract `c` is NULL or a cache.
    match unsafe { c.as_ref() } {
        Some(core) => prefill::prefill(core, gfp, n),
        None => null_mut(),
    }
}

#[no_mangle]
unsafe extern "C" fn gs_sheaf_refill(
    c: *const Core,
    gfp: Gfp,
    s: *mut *mut Batch,
    n: c_uint,
) -> c_int {
    // SAFETY: By the interface's contract each is NULL or valid, and the sheaf is of the cache.
    unsafe {
        match (c.as_ref(), s.as_mut()) {
            (Some(core), Some(sheaf)) if !sheaf.is_null() => {
                code(prefill::refill(core, gfp, sheaf, n))
            }
            _ => EINVAL.to_errno(),
        }
    }
}

#[no_mangle]
unsafe extern "C" fn gs_sheaf_alloc(c: *const Core, s: *mut Batch) -> *mut c_void {
    // SAFETY: As above.
    unsafe {
        match c.as_ref() {
            Some(core) if !s.is_null() => prefill::take(core, s).cast(),
            _ => null_mut(),
        }
    }
}

#[no_mangle]
unsafe extern "C" fn gs_sheaf_return(c: *const Core, _gfp: Gfp, s: *mut Batch) {
    // SAFETY: As above; the sheaf is the caller's to give.
    unsafe {
        if let (Some(core), false) = (c.as_ref(), s.is_null()) {
            prefill::give_back(core, s);
        }
    }
}

#[no_mangle]
extern "C" fn gs_cache_barrier(c: *const Core) {
    if !c.is_null() {
        registry::with_live(c, children::wait);
    }
}

#[no_mangle]
unsafe extern "C" fn gs_cache_tryget(c: *const Core) -> bool {
    // SAFETY: By the interface's contract `c` is NULL or a cache whose memory is there.
    unsafe { c.as_ref() }.is_some_and(Core::tryget)
}

#[no_mangle]
unsafe extern "C" fn gs_cache_put(c: *mut Core) {
    if !c.is_null() {
        // SAFETY: By the interface's contract the caller has a reference.
        unsafe { Core::put(c) }
    }
}

#[no_mangle]
unsafe extern "C" fn gs_cache_child(parent: *mut Core, key: u64) -> *mut Core {
    // SAFETY: By the interface's contract `parent` is NULL or a cache.
    match unsafe { parent.as_ref() } {
        Some(core) => children::child(core, key),
        None => null_mut(),
    }
}

#[no_mangle]
unsafe extern "C" fn gs_cache_child_gone(parent: *mut Core, key: u64) {
    // SAFETY: By the interface's contract `parent` is NULL or a cache.
    if let Some(core) = unsafe { parent.as_ref() } {
        children::gone(core, key);
    }
}

#[no_mangle]
extern "C" fn gs_cache_shrink(c: *const Core) -> c_uint {
    if c.is_null() {
        return 0;
    }
    registry::with_live(c, shrink::shrink).unwrap_or(0) as c_uint
}

#[no_mangle]
extern "C" fn gs_cache_set_sheaf_capacity(c: *const Core, n: c_uint) -> c_int {
    if c.is_null() {
        return EINVAL.to_errno();
    }
    code(registry::with_live(c, |core| capacity::set(core, n)).unwrap_or(Err(EINVAL)))
}

#[no_mangle]
extern "C" fn gs_reclaim(pages: c_ulong) -> c_ulong {
    reclaim::gs_rs_reclaim_pages(pages)
}

#[no_mangle]
unsafe extern "C" fn gs_cache_stats(c: *const Core, out: *mut stats::Stats) -> c_int {
    if c.is_null() || out.is_null() {
        return EINVAL.to_errno();
    }
    match registry::with_live(c, stats::take) {
        Some(s) => {
            // SAFETY: By the interface's contract `out` is valid for a write.
            unsafe { out.write(s) };
            0
        }
        None => EINVAL.to_errno(),
    }
}

#[no_mangle]
extern "C" fn gs_cache_zombies() -> c_uint {
    registry::zombies()
}

#[no_mangle]
unsafe extern "C" fn gs_kvfree_rcu(p: *const c_void) {
    // SAFETY: By the interface's contract `p` is the caller's to free.
    unsafe { foreign::kvfree_rcu(p) }
}

#[no_mangle]
unsafe extern "C" fn gs_try_kvfree_rcu(p: *const c_void, gfp: Gfp) -> c_int {
    // SAFETY: As above.
    code(unsafe { foreign::try_kvfree_rcu(p, gfp) })
}

/// `gs_kvfree_rcu_head()` and `gs_kfree_rcu_nolock()`, which are macros.
#[no_mangle]
unsafe extern "C" fn gs_kvfree_rcu_at(p: *const c_void, offset: usize) {
    // SAFETY: As above; the macro knows the head's place.
    unsafe { foreign::kvfree_rcu_head(p, offset, false) }
}

/// See [`gs_kvfree_rcu_at`].
#[no_mangle]
unsafe extern "C" fn gs_kfree_rcu_nolock_at(p: *const c_void, offset: usize) {
    // SAFETY: As above.
    unsafe { foreign::kvfree_rcu_head(p, offset, true) }
}

#[no_mangle]
unsafe extern "C" fn gs_kvfree_rcu_defer(p: *const c_void) {
    // SAFETY: As above.
    unsafe { foreign::kvfree_rcu_defer(p) }
}

#[no_mangle]
extern "C" fn gs_steps(step: c_uint) -> u64 {
    steps::get(step)
}

#[no_mangle]
extern "C" fn gs_inject(point: c_uint, nr: c_int) -> c_int {
    if inject::arm(point, nr) {
        0
    } else {
        EINVAL.to_errno()
    }
}

#[no_mangle]
extern "C" fn gs_barrier() {
    barrier::everything();
}

/// Frees an object whose cache the caller does not know, for `CBox`.
#[no_mangle]
unsafe extern "C" fn gs_object_free(obj: *mut c_void) {
    if let Some(slab) = crate::cache::slab::Slab::of(obj.cast()) {
        // SAFETY: `obj` is an object of this slab that the caller gives up.
        unsafe { free::free(slab.core, obj.cast()) }
    }
}

/// Defers the free of an object whose cache the caller does not know, for `CBox`.
#[no_mangle]
unsafe extern "C" fn gs_object_free_rcu(obj: *mut c_void) {
    if let Some(slab) = crate::cache::slab::Slab::of(obj.cast()) {
        // SAFETY: `obj` is an object of this slab that the caller gives up.
        unsafe { free::free_rcu(slab.core, obj.cast()) }
    }
}

/// [`gs_object_free_rcu`] of an object whose cache has a destructor: that of the type that the
/// caller knows it by, should the one that the cache was made with have gone with its module.
#[no_mangle]
unsafe extern "C" fn gs_object_drop_rcu(obj: *mut c_void, dtor: Hook) {
    if let Some(slab) = crate::cache::slab::Slab::of(obj.cast()) {
        // SAFETY: `obj` is an object of this slab that the caller gives up; it keeps the core.
        unsafe {
            (*slab.core).adopt(dtor);
            free::free_rcu(slab.core, obj.cast());
        }
    }
}
