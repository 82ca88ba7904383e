// SPDX-License-Identifier: GPL-2.0

//! What a cache does to its objects one by one: `GS_CONSISTENCY`, `GS_RED_ZONE`, `GS_POISON`,
//! `GS_STORE_USER`, and the kernel's own `init_on_alloc`, `init_on_free`, KASAN and kmemleak.
//!
//! ```text
//!                 state               red zones   memory                  tracks
//!   new slab      FREE                drawn       poisoned                none
//!   alloc         FREE → IN_USE       checked     poison checked          allocated by
//!   free          IN_USE → FREE       checked     poisoned, or zeroed     freed by
//!   free_rcu      IN_USE → DEFERRED   checked     the readers' still      freed by
//!   reclaim       DEFERRED → FREE                 poisoned, or zeroed
//!   slab goes     FREE                checked     poison checked
//! ```
//!
//! The one who takes an object from one state to the next has it to itself, so whatever else is
//! done comes after that, and before the object is where others find it. Each fault is reported
//! once, by one warning that names cache and object, and repaired: the state is as it ought to
//! be, the pattern is drawn again, the object goes on. Only an object that is freed twice, or
//! handed out twice, stays where the first one put it.
//!
//! Hooks run in the context of the call they belong to, NMI included; reclaim and the end of a
//! slab are in process context.

mod kasan;
mod kmemleak;
mod known;
mod pattern;
mod poison;
mod redzone;
mod state;
mod tracks;

use super::core::{
    Core, CONSISTENCY, DEBUG_FLAGS, INIT_ON_ALLOC, INIT_ON_FREE, KASAN, KMEMLEAK, MERGE, POISON,
    RED_ZONE, STORE_USER, TYPESAFE_BY_RCU,
};
use super::free;
use super::slab::{Extra, Slab};
use crate::percpu::{self, NoPreempt};
use crate::sys::{self, Gfp, Misuse};
use kernel::prelude::*;
pub(crate) use known::Known;
use tracks::Track;

/// The flags of a cache whose caller asked for `asked`: what the module and the kernel were told
/// to do for every cache is among them where the cache can have it. Process context.
///
/// # Errors
///
/// `EINVAL` for poison in objects whose memory is not the allocator's to write.
pub(crate) fn flags(asked: usize, has_ctor: bool) -> Result<usize> {
    let hands_off = has_ctor || asked & TYPESAFE_BY_RCU != 0;
    if hands_off && asked & POISON != 0 {
        return Err(EINVAL);
    }
    let mut flags = asked;
    // SAFETY: Each may be called in any context, but for the last, and this is process context.
    unsafe {
        flags |= sys::gs_sys_debug_flags() & DEBUG_FLAGS;
        if flags & DEBUG_FLAGS != 0 {
            // What is found is one owner's.
            flags &= !MERGE;
        }
        if hands_off {
            flags &= !POISON;
        } else if flags & POISON == 0 {
            // A poisoned object is not zeroed as well: it would never be what is checked for.
            if sys::gs_sys_init_on_alloc() {
                flags |= INIT_ON_ALLOC;
            }
            if sys::gs_sys_init_on_free() {
                flags |= INIT_ON_FREE;
            }
        }
        if sys::gs_sys_kasan() {
            flags |= KASAN;
        }
        if sys::gs_sys_kmemleak() {
            flags |= KMEMLEAK;
        }
        if flags & STORE_USER != 0 && sys::gs_sys_tracks_init() != 0 {
            return Err(ENOMEM);
        }
    }
    Ok(flags)
}

/// What a cache with `flags` keeps beside each object.
pub(crate) fn extra(flags: usize) -> Extra {
    let mut extra = kasan::extra(flags);
    if flags & RED_ZONE != 0 {
        extra.left = redzone::LEAST;
        extra.right = extra.right.max(redzone::LEAST);
    }
    if flags & STORE_USER != 0 {
        extra.tracks = tracks::bytes();
    }
    extra
}

/// Makes the objects of a new slab free ones, before anyone has seen it. As the allocation's gfp.
#[cold]
pub(crate) fn populate(core: &Core, slab: &Slab) {
    for i in 0..slab.objects() {
        let obj = slab.object(i);
        redzone::draw(core, obj);
        poison::draw(core, obj);
        tracks::clear(core, obj);
    }
}

/// After the constructors of a new slab: nobody may use its objects until they are allocated.
#[cold]
pub(crate) fn cover(core: &Core, slab: &Slab) {
    kasan::cover(core, slab);
}

/// Looks at the objects of a slab that goes: all are free, and nobody's. Process context.
#[cold]
pub(crate) fn inspect(core: &Core, slab: &Slab) {
    for i in 0..slab.objects() {
        let obj = slab.object(i);
        redzone::check(core, obj);
        poison::check(core, obj);
        kmemleak::forget(slab, i);
    }
}

/// The objects of a slab that are still in use will never be freed. Process context.
#[cold]
pub(crate) fn forget(slab: &Slab) {
    for i in 0..slab.objects() {
        kmemleak::forget(slab, i);
    }
}

/// Tells kmemleak what it is owed of object `i` of `slab`. Process context.
#[cold]
pub(crate) fn settle(slab: &Slab, i: usize) {
    kmemleak::settle(slab, i);
}

/// Before `obj` is handed out; false if it must not be. To be asked if [`Core::prepares`].
#[cold]
#[inline(never)]
pub(crate) fn on_alloc(core: &Core, obj: *mut u8, gfp: Gfp) -> bool {
    if core.has(DEBUG_FLAGS | KMEMLEAK) {
        // As in `claim`: what is in use already is somebody else's.
        let reader = NoPreempt::new();
        let Some((slab, i)) = free::find(core, obj) else {
            return false;
        };
        if core.has(CONSISTENCY) && !state::on_alloc(core, slab, i) {
            return false;
        }
        drop(reader);
        redzone::check(core, obj);
        poison::check(core, obj);
        tracks::set(core, obj, Track::Alloc, gfp);
        kmemleak::on_alloc(slab, i, gfp);
    }
    kasan::on_alloc(core, obj);
    // Who asked for zeroes himself gets them later.
    if core.has(INIT_ON_ALLOC) && gfp & kernel::bindings::__GFP_ZERO == 0 {
        zero(core, obj);
    }
    true
}

/// Takes `obj` from its user, if it is one of `core` and in use: from then on it is the caller's,
/// and keeps its slab. Reports it as `twice`, or as what else it is, if not.
fn claim<'a>(
    core: &Core,
    obj: *mut u8,
    take: impl FnOnce(&Core, &Slab, usize) -> bool,
    twice: Misuse,
) -> Option<(&'a Slab, usize)> {
    // What is freed twice is not the caller's, and its slab may go at any moment: until the report
    // is over it is there because this is an RCU reader.
    let _reader = NoPreempt::new();
    let (slab, i) = free::find(core, obj)?;
    if core.has(CONSISTENCY) && !take(core, slab, i) {
        return None;
    }
    if kasan::is_freed(core, obj) {
        core.misuse(twice, obj, None);
        describe(slab, i);
        return None;
    }
    Some((slab, i))
}

/// Before `obj` is freed; false if it must not be.
#[cold]
#[inline(never)]
pub(crate) fn on_free(core: &Core, obj: *mut u8) -> bool {
    let Some((slab, i)) = claim(core, obj, state::on_free, Misuse::DoubleFree) else {
        return false;
    };
    redzone::check(core, obj);
    tracks::set(core, obj, Track::Free, gfp_here());
    wipe(core, slab, i);
    true
}

/// Before the free of `obj` is deferred; false if it must not be.
#[cold]
#[inline(never)]
pub(crate) fn on_free_rcu(core: &Core, obj: *mut u8) -> bool {
    if claim(core, obj, state::on_free_rcu, Misuse::DoubleFreeRcu).is_none() {
        return false;
    }
    redzone::check(core, obj);
    tracks::set(core, obj, Track::FreeRcu, gfp_here());
    true
}

/// After the grace period and the destructor, before `obj` can be used again. Process context.
#[cold]
#[inline(never)]
pub(crate) fn on_reclaim(core: &Core, obj: *mut u8) {
    let Some((slab, i)) = free::find(core, obj) else {
        return;
    };
    if core.has(CONSISTENCY) {
        state::on_reclaim(core, slab, i);
    }
    wipe(core, slab, i);
}

/// Leaves nothing of what was in `obj`, if that is asked for, and nobody who may look at it.
fn wipe(core: &Core, slab: &Slab, i: usize) {
    let obj = slab.object(i);
    poison::draw(core, obj);
    if core.has(INIT_ON_FREE) {
        zero(core, obj);
    }
    kmemleak::on_free(slab, i);
    kasan::on_free(core, obj);
}

fn zero(core: &Core, obj: *mut u8) {
    // SAFETY: The object is free, nobody's but the caller's, and of this size.
    unsafe { obj.write_bytes(0, core.geometry.size as usize) };
}

/// What a caller who did not say may allocate with, to keep its stack say; 0 where it must not
/// even wait for a lock.
pub(crate) fn gfp_here() -> Gfp {
    if percpu::may_allocate() {
        // SAFETY: May be called in any context.
        unsafe { sys::gs_sys_gfp_nowait() }
    } else {
        0
    }
}

/// After a report about object `i` of `slab`: says what is known of it.
#[cold]
pub(crate) fn describe(slab: &Slab, i: usize) {
    // SAFETY: The core is alive as long as its slabs.
    let core = unsafe { &*slab.core };
    tracks::print(core, slab.object(i));
}

/// After `obj` was reported as leaked: says who allocated it, and when. It may be freed meanwhile.
pub(crate) fn describe_leaked(core: &Core, obj: *const u8) {
    tracks::print(core, obj);
}
