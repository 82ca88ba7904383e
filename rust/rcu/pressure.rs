// SPDX-License-Identifier: GPL-2.0

//! Expedited grace periods where memory is short, and not too many of them.

use super::cookie::Cookie;
use crate::sys::{self, param, Param};
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// When the last one was asked for, in jiffies.
static LAST: Atomic<usize> = Atomic::new(0);
/// Expedited grace periods asked for.
pub(crate) static EXPEDITED: Atomic<u64> = Atomic::new(0);

/// Whether one more may be asked for.
fn due(now: usize) -> bool {
    // SAFETY: May be called in any context.
    let every = unsafe { sys::gs_sys_msecs_to_jiffies(param(Param::ExpediteMs)) };
    let last = LAST.load(Relaxed);
    last == 0 || now.wrapping_sub(last) >= every as usize
}

/// Whether a CPU that has `sealed` batches has so many that somebody should [`hurry`].
///
/// Context: Any context.
pub(crate) fn too_many(sealed: usize) -> bool {
    let limit = param(Param::ExpediteBatches) as usize;
    // SAFETY: May be called in any context.
    limit != 0 && sealed >= limit && due(unsafe { sys::gs_sys_jiffies() } as usize)
}

/// Has the grace period of `cookie` end sooner, unless that was done a moment ago: an expedited
/// one disturbs every CPU, and serves everybody who waits.
///
/// Context: Process context, may sleep.
pub(crate) fn hurry(cookie: &mut Cookie) {
    let last = LAST.load(Relaxed);
    // SAFETY: May be called in any context.
    let now = unsafe { sys::gs_sys_jiffies() } as usize;
    // One of those who come at once asks for it, as the exchange pairs with itself; the others wait
    // for the same one.
    if due(now) && !cookie.poll() && LAST.cmpxchg(last, now.max(1), Full).is_ok() {
        EXPEDITED.fetch_add(1, Relaxed);
        // SAFETY: Process context, and no reader of the caller's is open.
        unsafe { sys::gs_sys_synchronize_rcu_expedited() };
    }
}
