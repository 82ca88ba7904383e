// SPDX-License-Identifier: GPL-2.0

//! Watching what the fast paths do, without a look at every call whether somebody does.
//!
//! A cache that is watched shows its fast paths the shares that never have anything; and while
//! others' pointers are watched, none of them is recognised as an object of the kernel's slabs at
//! first sight. Everything goes by the slow paths then, which is where [`crate::trace`] is told,
//! and where [`twice`] sees pointers that are given twice.

use crate::cache::core::Core;
use crate::cache::registry;
use crate::rcu::domain::FOREIGN;
use crate::rcu::twice;
use crate::sys;
use crate::trace;
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// Tracepoints of the fast paths that have a probe.
static TRACED: Atomic<i32> = Atomic::new(0);

/// Whether the operations on caches' objects are watched.
///
/// Context: Any context.
pub(crate) fn caches() -> bool {
    TRACED.load(Relaxed) != 0
}

/// Whether others' pointers are.
fn pointers() -> bool {
    caches() || twice::is_on()
}

/// Makes the fast paths for others' pointers fit. Process context.
pub(crate) fn fit_pointers() {
    // SAFETY: Whatever it is set to, every pointer is recognised in the end.
    unsafe { sys::gs_sys_watch_pointers(pointers()) }
}

/// A first probe is attached to a tracepoint of the fast paths, or the last one goes. Process
/// context.
#[no_mangle]
extern "C" fn gs_rs_watch(on: bool) {
    // Before the walk, so that a cache which it does not meet sees it: it is entered after, under
    // the mutex of the walk, and fits itself then.
    TRACED.fetch_add(if on { 1 } else { -1 }, Full);
    registry::for_each(Core::fit_fast);
    fit_pointers();
}

/// A pointer of channel `index` is given to be freed: false if it must not be queued.
///
/// Context: Any context.
#[inline]
pub(crate) fn admit(index: usize, p: *mut u8) -> bool {
    !pointers() || look(index, p)
}

#[cold]
#[inline(never)]
fn look(index: usize, p: *mut u8) -> bool {
    trace::free_rcu(&FOREIGN[index], p);
    twice::admit(p)
}
