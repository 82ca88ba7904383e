// SPDX-License-Identifier: GPL-2.0

//! `GS_STORE_USER`: who allocated each object, and who freed it last.
//!
//! The tracks, `struct gs_track` of the shim, are behind the object's right red zone. Each has a
//! checksum, so that one which was overwritten is not believed.

use super::super::core::{Core, STORE_USER};
use crate::sys::{self, Gfp};
use kernel::ffi::c_void;

/// Which track; `enum gs_track_kind` of the shim.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Track {
    Alloc,
    Free,
    FreeRcu,
}

/// Bytes of an object's tracks.
pub(super) fn bytes() -> usize {
    // SAFETY: A constant of the shim.
    unsafe { sys::gs_sys_tracks_bytes() }
}

fn of(core: &Core, obj: *const u8) -> *mut c_void {
    obj.wrapping_add(core.geometry.after as usize)
        .cast_mut()
        .cast()
}

/// Forgets what the memory of a new slab holds.
pub(super) fn clear(core: &Core, obj: *mut u8) {
    if core.has(STORE_USER) {
        // SAFETY: The tracks are beside the object, within its place.
        unsafe { of(core, obj).cast::<u8>().write_bytes(0, bytes()) };
    }
}

/// Notes the caller, with its stack if there is room for that, or `gfp` can make some.
///
/// Context: as `gfp` allows; without a reclaim bit in it, any context.
pub(super) fn set(core: &Core, obj: *mut u8, which: Track, gfp: Gfp) {
    if core.has(STORE_USER) {
        // SAFETY: As above; the object is the caller's.
        unsafe { sys::gs_sys_track_set(of(core, obj), which as u32, gfp) };
    }
}

/// Prints what was noted of the object at `obj`, if its cache notes that.
///
/// Context: Any context. The object need not be anyone's, nor be there any more.
pub(super) fn print(core: &Core, obj: *const u8) {
    if core.has(STORE_USER) {
        // SAFETY: The shim reads without faulting; the name ends in NUL and outlives the call.
        unsafe { sys::gs_sys_tracks_print(core.name_ptr(), obj.cast(), of(core, obj)) };
    }
}
