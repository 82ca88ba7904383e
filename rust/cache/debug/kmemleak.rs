// SPDX-License-Identifier: GPL-2.0

//! What kmemleak is told, where the kernel has it: which objects are in use.
//!
//! It then finds pointers that objects hold, and objects that nobody points to. A deferred free
//! ends an object's use when it is reclaimed: until then somebody may read pointers there.
//!
//! kmemleak takes locks and memory, so it is told nothing where neither may be had: in NMI, and
//! with interrupts off. Then it has an object that is free already, or lacks one that is in use,
//! until that is allocated or freed the next time, or its slab goes.

use super::super::core::{Core, KMEMLEAK};
use crate::percpu;
use crate::sys::{self, Gfp};

/// `obj` is in use.
pub(super) fn on_alloc(core: &Core, obj: *mut u8, gfp: Gfp) {
    // SAFETY: May be called in any context.
    if core.has(KMEMLEAK) && percpu::may_spin() && unsafe { sys::gs_sys_gfp_spins(gfp) } {
        // SAFETY: The object is the caller's, and its locks may be waited for.
        unsafe {
            // It is there still if its free could not be told.
            sys::gs_sys_kmemleak_free(obj.cast());
            sys::gs_sys_kmemleak_alloc(obj.cast(), core.geometry.size as usize, gfp);
        }
    }
}

/// `obj` is not in use any more.
pub(super) fn on_free(core: &Core, obj: *mut u8) {
    if core.has(KMEMLEAK) && percpu::may_spin() {
        // SAFETY: As above.
        unsafe { sys::gs_sys_kmemleak_free(obj.cast()) }
    }
}
