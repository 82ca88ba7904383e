// SPDX-License-Identifier: GPL-2.0

//! `GS_CONSISTENCY`: one state byte per object, exchanged on every operation.
//!
//! Objects in sheaves have no bit set, so without these bytes a double free is only seen when the
//! second one reaches the slab. With them the one who comes second learns it at once, and the
//! object stays where the first one put it. A byte that is none of the states was overwritten:
//! it says nothing about the object, so that the operation is taken to be right.

use super::super::core::Core;
use super::super::slab::{Slab, DEFERRED, FREE, IN_USE};
use super::describe;
use crate::sys::{self, Misuse};

/// Moves object `i` from one state to another; false, with a report, if it was in another one.
/// The object is the caller's, or preemption is off.
fn change(core: &Core, slab: &Slab, i: usize, from: i8, to: i8, report: impl FnOnce(i8)) -> bool {
    let Err(was) = slab.change(i, from, to) else {
        return true;
    };
    let obj = slab.object(i);
    if matches!(was, FREE | IN_USE | DEFERRED) || slab.change(i, was, to).is_err() {
        report(was);
        describe(slab, i);
        return false;
    }
    // SAFETY: The name ends in NUL and outlives the call.
    unsafe { sys::gs_sys_bad_state(core.name_ptr(), obj.cast(), was.into()) };
    describe(slab, i);
    true
}

pub(super) fn on_alloc(core: &Core, slab: &Slab, i: usize) -> bool {
    // Whoever frees twice is told then: here it is the slab's bit that was overwritten.
    change(core, slab, i, FREE, IN_USE, |was| {
        // SAFETY: As in `change`.
        unsafe { sys::gs_sys_bad_bit(core.name_ptr(), slab.object(i).cast(), was == DEFERRED) }
    })
}

pub(super) fn on_free(core: &Core, slab: &Slab, i: usize) -> bool {
    let obj = slab.object(i);
    change(core, slab, i, IN_USE, FREE, |_| {
        core.misuse(Misuse::DoubleFree, obj, None)
    })
}

pub(super) fn on_free_rcu(core: &Core, slab: &Slab, i: usize) -> bool {
    let obj = slab.object(i);
    change(core, slab, i, IN_USE, DEFERRED, |_| {
        core.misuse(Misuse::DoubleFreeRcu, obj, None)
    })
}

pub(super) fn on_reclaim(core: &Core, slab: &Slab, i: usize) {
    // A deferred object is nobody's but ours: nothing else changes it.
    change(core, slab, i, DEFERRED, FREE, |_| {
        core.misuse(Misuse::DoubleFree, slab.object(i), None)
    });
}
