// SPDX-License-Identifier: GPL-2.0

//! `GS_CONSISTENCY`: one state byte per object, exchanged on every operation.
//!
//! Objects in sheaves have no bit set, so without these bytes a double free is only seen when the
//! second one reaches the slab. With them the one who comes second learns it at once, and the
//! object stays where the first one put it.

use super::core::Core;
use super::slab::{Slab, DEFERRED, FREE, IN_USE};
use crate::sys::Misuse;

/// The slab and index of `obj` if it is an object of `core`; reports it if not.
fn find<'a>(core: &Core, obj: *mut u8) -> Option<(&'a Slab, usize)> {
    let slab = match Slab::of(obj) {
        Some(slab) if core::ptr::eq(slab.core, core) => slab,
        // SAFETY: A slab's core is alive.
        Some(slab) => {
            core.misuse(Misuse::WrongCache, obj, Some(unsafe { &*slab.core }));
            return None;
        }
        None => {
            core.misuse(Misuse::BadPointer, obj, None);
            return None;
        }
    };
    let i = slab.index_of(obj);
    if i.is_none() {
        core.misuse(Misuse::BadPointer, obj, None);
    }
    Some((slab, i?))
}

/// Before `obj` is handed out; false if it must not be.
#[cold]
#[inline(never)]
pub(crate) fn on_alloc(core: &Core, obj: *mut u8) -> bool {
    let Some((slab, i)) = find(core, obj) else {
        return false;
    };
    match slab.change(i, FREE, IN_USE) {
        Ok(()) => true,
        Err(_) => {
            core.misuse(Misuse::DoubleFree, obj, None);
            false
        }
    }
}

/// Before `obj` is freed; false if it must not be.
#[cold]
#[inline(never)]
pub(crate) fn on_free(core: &Core, obj: *mut u8) -> bool {
    let Some((slab, i)) = find(core, obj) else {
        return false;
    };
    match slab.change(i, IN_USE, FREE) {
        Ok(()) => true,
        Err(_) => {
            core.misuse(Misuse::DoubleFree, obj, None);
            false
        }
    }
}

/// Before the free of `obj` is deferred; false if it must not be.
#[cold]
#[inline(never)]
pub(crate) fn on_free_rcu(core: &Core, obj: *mut u8) -> bool {
    let Some((slab, i)) = find(core, obj) else {
        return false;
    };
    match slab.change(i, IN_USE, DEFERRED) {
        Ok(()) => true,
        Err(_) => {
            core.misuse(Misuse::DoubleFreeRcu, obj, None);
            false
        }
    }
}

/// After the grace period and the destructor, before `obj` can be used again.
pub(crate) fn on_reclaim(core: &Core, obj: *mut u8) {
    if let Some((slab, i)) = find(core, obj) {
        // A deferred object is nobody's but ours: nothing else changes it.
        let _ = slab.change(i, DEFERRED, FREE);
    }
}
