// SPDX-License-Identifier: GPL-2.0

//! What kmemleak is told, where the kernel has it: which objects are in use.
//!
//! It then finds pointers that objects hold, and objects that nobody points to. A deferred free
//! ends an object's use when it is reclaimed: until then somebody may read pointers there.
//!
//! kmemleak takes locks and memory, so it is told nothing where neither may be had: in NMI, with
//! interrupts off, and by an allocation whose gfp lets it wait for nothing. Then it is owed that,
//! and told a little later. For each object there is a byte that says what it knows ([`Known`]),
//! and a bit in the slab, beside those of deferred frees, that says that somebody is to look:
//!
//! ```text
//!   alloc, free ──► Known::note ──► told, where that may be done
//!                       │ └───────► left to whoever is telling now
//!                       │ owed
//!                       ▼
//!   slab's bit ──► PENDING, the cache's list of slabs ──► service ──► Known::settle
//! ```
//!
//! All of it comes before a freed object is where others find it, and whoever releases a slab
//! takes that token first: it is held while something is owed, but for the moment in which the
//! service gives it back and finds that something is owed again. If the release comes then, it
//! has the token, and tells the rest itself.

use super::super::core::{Core, KMEMLEAK};
use super::super::service;
use super::super::slab::Slab;
use crate::percpu;
use crate::sys::{self, Gfp};

/// Object `i` is in use, by an allocation with `gfp`. For its owner.
pub(super) fn on_alloc(slab: &Slab, i: usize, gfp: Gfp) {
    // SAFETY: May be called in any context.
    let may_tell = percpu::may_spin() && unsafe { sys::gs_sys_gfp_spins(gfp) };
    note(slab, i, true, may_tell.then_some(gfp));
}

/// Object `i` is not in use any more. For its owner.
pub(super) fn on_free(slab: &Slab, i: usize) {
    // SAFETY: May be called in any context.
    let gfp = unsafe { sys::gs_sys_gfp_nowait() };
    note(slab, i, false, percpu::may_spin().then_some(gfp));
}

/// The slab goes, or is left to itself, and object `i` with it. Process context.
pub(super) fn forget(slab: &Slab, i: usize) {
    // SAFETY: May be called in any context.
    let gfp = unsafe { sys::gs_sys_gfp_nowait() };
    note(slab, i, false, Some(gfp));
}

/// Tells what is owed of object `i` of `slab`, which is pending. Process context.
pub(super) fn settle(slab: &Slab, i: usize) {
    // SAFETY: May be called in any context.
    let gfp = unsafe { sys::gs_sys_gfp_kernel() };
    slab.known(i).settle(|used| tell(slab, i, used, gfp));
}

/// Notes whether object `i` is `used`, and tells it now if there is a gfp to do that with.
fn note(slab: &Slab, i: usize, used: bool, gfp: Option<Gfp>) {
    // SAFETY: A slab's core is alive.
    let core: &Core = unsafe { &*slab.core };
    if !core.has(KMEMLEAK) {
        return;
    }
    let tell = gfp.map(|gfp| move |used| tell(slab, i, used, gfp));
    if slab.known(i).note(used, tell) {
        service::owe(slab, i);
    }
}

/// To be called where kmemleak's locks may be waited for, by [`Known`](super::Known) alone.
fn tell(slab: &Slab, i: usize, used: bool, gfp: Gfp) {
    let obj = slab.object(i).cast();
    // SAFETY: The slab's core is alive. The memory is an object's, and whoever tells of it has the
    // object, or the slab's token.
    unsafe {
        if used {
            sys::gs_sys_kmemleak_alloc(obj, (*slab.core).geometry.size as usize, gfp);
        } else {
            sys::gs_sys_kmemleak_free(obj);
        }
    }
}
