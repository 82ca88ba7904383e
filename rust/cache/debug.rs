// SPDX-License-Identifier: GPL-2.0

//! `GS_CONSISTENCY`: one state byte per object, exchanged on every operation.
//!
//! Objects in sheaves have no bit set, so without these bytes a double free is only seen when the
//! second one reaches the slab. With them the one who comes second learns it at once, and the
//! object stays where the first one put it.

use super::core::Core;
use super::free;
use super::slab::{DEFERRED, FREE, IN_USE};
use crate::sys::Misuse;

/// Moves `obj` from one state to another; false, with a report, if it was not in the first.
#[cold]
#[inline(never)]
fn change(core: &Core, obj: *mut u8, from: i8, to: i8, otherwise: Misuse) -> bool {
    let Some((slab, i)) = free::find(core, obj) else {
        return false;
    };
    let changed = slab.change(i, from, to).is_ok();
    if !changed {
        core.misuse(otherwise, obj, None);
    }
    changed
}

/// Before `obj` is handed out; false if it must not be.
pub(crate) fn on_alloc(core: &Core, obj: *mut u8) -> bool {
    change(core, obj, FREE, IN_USE, Misuse::DoubleFree)
}

/// Before `obj` is freed; false if it must not be.
pub(crate) fn on_free(core: &Core, obj: *mut u8) -> bool {
    change(core, obj, IN_USE, FREE, Misuse::DoubleFree)
}

/// Before the free of `obj` is deferred; false if it must not be.
pub(crate) fn on_free_rcu(core: &Core, obj: *mut u8) -> bool {
    change(core, obj, IN_USE, DEFERRED, Misuse::DoubleFreeRcu)
}

/// After the grace period and the destructor, before `obj` can be used again.
pub(crate) fn on_reclaim(core: &Core, obj: *mut u8) {
    // A deferred object is nobody's but ours: nothing else changes it.
    change(core, obj, DEFERRED, FREE, Misuse::DoubleFree);
}
