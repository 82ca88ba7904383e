// SPDX-License-Identifier: GPL-2.0

//! Expedited grace periods where memory is short or a barrier waits, and not too many of them.

use super::cookie::Cookie;
use crate::sys::{self, param, Param};
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// When somebody who waits asked for the last one, in ns.
static HURRIED: Atomic<u64> = Atomic::new(0);
/// When a CPU that holds much did.
static RELIEVED: Atomic<u64> = Atomic::new(0);
/// Expedited grace periods asked for.
pub(crate) static EXPEDITED: Atomic<u64> = Atomic::new(0);

/// How many times more often than once in `expedite_ms` those ask who hold much.
const MOST_OFTEN: usize = 50;

/// Whether one more may be asked for at `now`, the last one of its kind having been asked for at
/// `last`, by somebody who may `often` times in `expedite_ms`.
fn due(last: u64, now: u64, often: usize) -> bool {
    // Where the system says that none is to be, who asks would wait for an ordinary one.
    // SAFETY: May be called in any context.
    if unsafe { !sys::gs_sys_expedites() } {
        return false;
    }
    let every = u64::from(param(Param::ExpediteMs)) * 1_000_000;
    last == 0 || now.saturating_sub(last) >= every / often as u64
}

/// How often a CPU with sealed batches that weigh `sealed` may ask; not at all for 0.
fn often(sealed: usize) -> usize {
    match param(Param::ExpediteBatches) as usize {
        0 => 0,
        limit => (sealed / limit).min(MOST_OFTEN),
    }
}

/// Whether a queue whose sealed batches weighed `before` has so many more that it is time to look
/// whether they are [`too_many`], before the next tick.
///
/// Context: Any context.
#[inline]
pub(crate) fn many_more(before: usize, now: usize) -> bool {
    match param(Param::ExpediteBatches) as usize {
        0 => false,
        limit => now % limit < now - before,
    }
}

/// Whether a CPU with sealed batches that weigh `sealed` has so many that somebody should
/// [`relieve`] it.
///
/// Context: Any context.
pub(crate) fn too_many(sealed: usize) -> bool {
    let often = often(sealed);
    if often == 0 {
        return false;
    }
    let last = RELIEVED.load(Relaxed);
    // SAFETY: May be called in any context.
    let now = unsafe { sys::gs_sys_now_ns() };
    due(last, now, often)
}

/// Has a grace period end soon for a CPU with sealed batches that weigh `sealed`, if they are too
/// many.
///
/// Context: Process context, may sleep.
pub(crate) fn relieve(sealed: usize) {
    match often(sealed) {
        0 => {}
        often => ask(&RELIEVED, &mut Cookie::now(), often),
    }
}

/// Has the grace period of `cookie` end sooner, unless that was done a moment ago: an expedited
/// one disturbs every CPU, and serves everybody who waits.
///
/// Context: Process context, may sleep.
pub(crate) fn hurry(cookie: &mut Cookie) {
    ask(&HURRIED, cookie, 1);
}

fn ask(kind: &Atomic<u64>, cookie: &mut Cookie, often: usize) {
    let last = kind.load(Relaxed);
    // SAFETY: May be called in any context.
    let now = unsafe { sys::gs_sys_now_ns() };
    // One of those who come at once asks for it, as the exchange pairs with itself; the others wait
    // for the same one.
    if due(last, now, often) && !cookie.poll() && kind.cmpxchg(last, now.max(1), Full).is_ok() {
        EXPEDITED.fetch_add(1, Relaxed);
        // SAFETY: Process context, and no reader of the caller's is open.
        unsafe { sys::gs_sys_synchronize_rcu_expedited() };
    }
}
