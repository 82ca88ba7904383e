// SPDX-License-Identifier: GPL-2.0

//! What KASAN is told, where the kernel has it: which objects may be used, and by how much.
//!
//! ```text
//!   new slab      nothing may be used
//!   alloc         the object, to its last byte
//!   free          not any more
//!   free_rcu      still, by its readers
//!   reclaim       not any more
//! ```
//!
//! What is type-safe may be used once it was allocated for as long as its slab lives. Memory that
//! may not be used is only touched by the shim, which is built without KASAN's checks. Objects
//! begin on a granule of their own, with unused bytes behind each, so that none borders on
//! another.

use super::super::core::{Core, KASAN, MERGE, TYPESAFE_BY_RCU};
use super::super::slab::{Extra, Slab};
use crate::sys;

/// Bytes that KASAN has one byte for.
const GRANULE: usize = 8;
/// Unused bytes behind an object.
const BEHIND: usize = 16;

/// What KASAN needs beside an object.
pub(super) fn extra(flags: usize) -> Extra {
    if flags & KASAN == 0 {
        return Extra::default();
    }
    Extra {
        // Of a cache that is shared, somebody's objects may be as large as there is room.
        right: if flags & MERGE != 0 { 0 } else { BEHIND },
        align: GRANULE,
        ..Extra::default()
    }
}

/// No object of `slab`, which is new, may be used.
pub(super) fn cover(core: &Core, slab: &Slab) {
    if core.has(KASAN) {
        let bytes = slab.objects() * core.geometry.stride as usize;
        // SAFETY: The objects' places are the first bytes of the pages, and nobody's.
        unsafe { sys::gs_sys_kasan_cover(slab.pages().cast(), bytes) }
    }
}

/// `obj` may be used.
pub(super) fn on_alloc(core: &Core, obj: *mut u8) {
    if core.has(KASAN) {
        // SAFETY: It is an object of the cache.
        unsafe { sys::gs_sys_kasan_alloc(obj.cast(), core.geometry.size as usize) }
    }
}

/// `obj` may not be used any more, unless it is type-safe.
pub(super) fn on_free(core: &Core, obj: *mut u8) {
    if core.has(KASAN) && !core.has(TYPESAFE_BY_RCU) {
        // SAFETY: As above.
        unsafe { sys::gs_sys_kasan_free(obj.cast(), core.geometry.size as usize) }
    }
}

/// Whether `obj` was freed and not allocated since, as far as is known.
pub(super) fn is_freed(core: &Core, obj: *mut u8) -> bool {
    // SAFETY: As above.
    core.has(KASAN) && unsafe { sys::gs_sys_kasan_freed(obj.cast()) }
}
