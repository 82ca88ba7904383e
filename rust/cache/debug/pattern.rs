// SPDX-License-Identifier: GPL-2.0

//! Memory that nobody may write to, and the pattern that shows if somebody did.

use super::super::core::Core;
use super::tracks;
use crate::sys::{self, Clobbered, Pattern};

/// Draws the pattern.
///
/// # Safety
///
/// The memory is part of an object's place, and nobody's but the caller's.
pub(super) unsafe fn draw(pattern: &Pattern) {
    // SAFETY: By the function's requirement.
    unsafe { sys::gs_sys_pattern_fill(pattern) }
}

/// Checks the pattern, which is part of the place of `obj`. If it was overwritten, that is
/// reported, with what is known of the object, and the pattern drawn again.
///
/// # Safety
///
/// As for [`draw`].
pub(super) unsafe fn check(core: &Core, obj: *mut u8, what: Clobbered, pattern: &Pattern) {
    // SAFETY: By the function's requirement; the name ends in NUL and outlives the call.
    unsafe {
        if !sys::gs_sys_pattern_check(pattern, core.name_ptr(), what as u32, obj.cast()) {
            tracks::print(core, obj);
            draw(pattern);
        }
    }
}
