// SPDX-License-Identifier: GPL-2.0

//! `GS_POISON`: a pattern in free objects.
//!
//! It is what a user finds in an object that it reads before it has written to it, or after it
//! has freed it; and what it wrote to after that is no longer the pattern. The bytes are those of
//! the kernel's own allocator, so that they are recognised in a crash.

use super::super::core::{Core, POISON};
use super::pattern;
use crate::sys::{Clobbered, Pattern};

/// In every byte but the last.
const FREE: u8 = 0x6b;
/// In the last.
const END: u8 = 0xa5;

fn memory(core: &Core, obj: *mut u8) -> Pattern {
    Pattern {
        at: obj,
        len: core.geometry.size as usize,
        fill: FREE,
        last: END,
    }
}

/// Poisons `obj`, which is free and the caller's, if its cache does that.
pub(super) fn draw(core: &Core, obj: *mut u8) {
    if core.has(POISON) {
        // SAFETY: The object is the caller's.
        unsafe { pattern::draw(&memory(core, obj)) }
    }
}

/// Checks the poison of `obj`, which is free and the caller's.
pub(super) fn check(core: &Core, obj: *mut u8) {
    if core.has(POISON) {
        // SAFETY: As above.
        unsafe { pattern::check(core, obj, Clobbered::Poison, &memory(core, obj)) }
    }
}
