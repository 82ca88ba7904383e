// SPDX-License-Identifier: GPL-2.0

//! Tracepoints: `trace.h` has their fields. Without a probe each is a test of a static key, on slow
//! paths.

use crate::cache::core::Core;
use crate::rcu::domain::{Domain, Kind};
use crate::rcu::steps::Step;
use crate::sys::{self, Gfp};
use kernel::ffi::c_char;
use kernel::prelude::*;

/// What stands for a cache where there is none.
fn name(domain: &Domain) -> *const c_char {
    match domain.kind {
        Kind::Cache => match Core::of_domain(domain) {
            // SAFETY: A cache's domain is alive as long as its core.
            Some(core) => unsafe { (*core).name_ptr() },
            None => c"?".as_char_ptr(),
        },
        Kind::Kmalloc => c"kmalloc".as_char_ptr(),
        Kind::Vmalloc => c"vmalloc".as_char_ptr(),
        Kind::Linked => c"*".as_char_ptr(),
    }
}

/// `obj` is handed out. Any context.
pub(crate) fn alloc(core: &Core, obj: *const u8, gfp: Gfp) {
    // SAFETY: The name ends in NUL and outlives the call.
    unsafe { sys::gs_sys_trace_alloc(core.name_ptr(), obj.cast(), gfp) }
}

/// `obj` is freed. Any context.
pub(crate) fn free(core: &Core, obj: *const u8) {
    // SAFETY: As in `alloc`.
    unsafe { sys::gs_sys_trace_free(core.name_ptr(), obj.cast()) }
}

/// The free of `p` is deferred. Any context.
pub(crate) fn free_rcu(domain: &Domain, p: *const u8) {
    // SAFETY: As in `alloc`.
    unsafe { sys::gs_sys_trace_free_rcu(name(domain), p.cast()) }
}

/// A batch of `objects` is sealed on `cpu`, `age` jiffies after its first one came. Any context.
pub(crate) fn seal(domain: &Domain, cpu: u32, objects: u32, age: usize) {
    // SAFETY: As in `alloc`.
    unsafe { sys::gs_sys_trace_seal(name(domain), cpu, objects, age) }
}

/// A ripe batch of `objects` is given back by a worker or a barrier.
pub(crate) fn reclaim(domain: &Domain, objects: u32) {
    // SAFETY: As in `alloc`.
    unsafe { sys::gs_sys_trace_reclaim(name(domain), objects) }
}

/// `step` served somebody. Any context.
pub(crate) fn fallback(step: Step) {
    // SAFETY: May be called in any context.
    unsafe { sys::gs_sys_trace_fallback(step as u32) }
}

/// A barrier under way, of one cache or of all. Its end is when it is dropped.
pub(crate) struct Barrier {
    cache: *const c_char,
    pending: u64,
    begin: u64,
}

impl Barrier {
    /// Begins.
    pub(crate) fn of(core: Option<&Core>, pending: u64) -> Self {
        Self {
            cache: core.map_or(c"*".as_char_ptr(), Core::name_ptr),
            pending,
            // SAFETY: May be called in any context.
            begin: unsafe { sys::gs_sys_trace_begin() },
        }
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        // SAFETY: As in `alloc`: the caller of a barrier keeps the cache.
        unsafe { sys::gs_sys_trace_barrier(self.cache, self.pending, self.begin) }
    }
}

/// `core` was destroyed.
pub(crate) fn destroy(core: &Core, leaked: bool) {
    // SAFETY: As in `alloc`.
    unsafe { sys::gs_sys_trace_destroy(core.name_ptr(), leaked) }
}

/// `obj` was still in use when its cache was destroyed.
pub(crate) fn leak(core: &Core, obj: *const u8) {
    // SAFETY: As in `alloc`.
    unsafe { sys::gs_sys_trace_leak(core.name_ptr(), obj.cast()) }
}
