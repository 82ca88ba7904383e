// SPDX-License-Identifier: GPL-2.0

//! `GS_RED_ZONE`: guard bytes on both sides of each object.
//!
//! The left one keeps the next object aligned; the right one begins with the byte after the last
//! that the user asked for, so that what alignment adds is guarded as well.

use super::super::core::{Core, RED_ZONE};
use super::pattern;
use crate::sys::{Clobbered, Pattern};

/// Guard bytes that an object has on either side at least.
pub(super) const LEAST: usize = 16;

/// What is in them.
const GUARD: u8 = 0xcc;

fn zones(core: &Core, obj: *mut u8) -> [(Clobbered, Pattern); 2] {
    let g = &core.geometry;
    let zone = |at: *mut u8, len: u32| Pattern {
        at,
        len: len as usize,
        fill: GUARD,
        last: GUARD,
    };
    [
        (
            Clobbered::LeftZone,
            zone(obj.wrapping_sub(g.left as usize), g.left),
        ),
        (
            Clobbered::RightZone,
            zone(obj.wrapping_add(g.size as usize), g.after - g.size),
        ),
    ]
}

/// Draws the zones of `obj`, if its cache has any.
pub(super) fn draw(core: &Core, obj: *mut u8) {
    if core.has(RED_ZONE) {
        for (_, zone) in &zones(core, obj) {
            // SAFETY: The zones are beside the object, within its place.
            unsafe { pattern::draw(zone) }
        }
    }
}

/// Checks the zones of `obj`, and repairs them.
pub(super) fn check(core: &Core, obj: *mut u8) {
    if core.has(RED_ZONE) {
        for (what, zone) in &zones(core, obj) {
            // SAFETY: As above.
            unsafe { pattern::check(core, obj, *what, zone) }
        }
    }
}
