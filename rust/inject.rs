// SPDX-License-Identifier: GPL-2.0

//! Injection points: attempts to get memory that fail because a test said so.
//!
//! They are on slow paths only, and cost a load there.

use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// An attempt that can be made to fail; `enum gs_inject_point` of the header.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Point {
    /// Memory for a sheaf.
    Sheaf = 0,
    /// A page for others' pointers.
    Page = 1,
    /// A slab.
    Slab = 2,
    /// A page of a CPU's reserve.
    CachedPage = 3,
    /// A wrapper of a CPU's reserve.
    Reserve = 4,
    /// Memory for a wrapper.
    Wrapper = 5,
}

const POINTS: usize = 6;

static LEFT: [Atomic<i32>; POINTS] = [const { Atomic::new(0) }; POINTS];

/// Has the next `nr` attempts at `point` fail; false if there is no such point.
pub(crate) fn arm(point: u32, nr: i32) -> bool {
    LEFT.get(point as usize)
        .map(|left| left.store(nr, Relaxed))
        .is_some()
}

/// Whether this attempt is one that fails.
///
/// Context: Any context.
pub(crate) fn fails(point: Point) -> bool {
    let left = &LEFT[point as usize];
    let mut n = left.load(Relaxed);
    // Pairs with itself: each failure is one attempt's.
    while n > 0 {
        match left.cmpxchg(n, n - 1, Full) {
            Ok(_) => return true,
            Err(now) => n = now,
        }
    }
    false
}
