// SPDX-License-Identifier: GPL-2.0

//! Writers of [`Latch`]es, one at a time.
//!
//! They exclude each other by a raw lock, one of a few that all latches share, with interrupts
//! off: so an interrupt's writer never waits for one that its own CPU has. The lock nests inside
//! of every other: nothing is called with it held. It is taken without a section, then, as others'
//! threads do not come here for frees.

use super::latch::{
    Latch,
    Pair, //
};
use crate::{
    lock::Class,
    sys, //
};
use kernel::types::Opaque;

/// As many latches can be written at once, at best.
const LOCKS: usize = 16;

/// The lock of some latches, on a cache line of its own.
#[repr(align(64))]
struct Lock(Opaque<sys::RawSpinLock>);

// SAFETY: A lock is there to be shared.
unsafe impl Sync for Lock {}

static LOCK: [Lock; LOCKS] = [const { Lock(Opaque::uninit()) }; LOCKS];

/// Makes the locks usable. Once, before there is a user of the module.
pub(crate) fn init() {
    for lock in &LOCK {
        // SAFETY: It is memory for a raw spinlock that nobody uses yet, and stays there.
        unsafe { sys::gs_sys_lock_init(lock.0.get(), Class::Latch as u32) }
    }
}

/// Replaces the pair of `latch`, and returns what it was.
///
/// Context: Any context but NMI. Never sleeps.
#[inline]
pub(crate) fn replace(latch: &Latch, new: Pair) -> Pair {
    let mut words = [new.0, new.1];
    // SAFETY: Both are valid.
    unsafe { gs_latch_replace(latch, &mut words) };
    words.into()
}

/// Replaces the words of `latch` by `words`, and puts there what they were.
///
/// # Safety
///
/// Both pointers are valid, and `words` is the caller's.
#[no_mangle]
unsafe extern "C" fn gs_latch_replace(latch: *const Latch, words: *mut [usize; 2]) {
    let lock = LOCK[latch.addr() / size_of::<Latch>() % LOCKS].0.get();
    // SAFETY: By the function's requirements.
    let (latch, words) = unsafe { (&*latch, &mut *words) };
    // SAFETY: Initialised with the module; and not held by this CPU, which keeps interrupts off
    // and calls nothing while it holds one.
    let flags = unsafe { sys::gs_sys_lock(lock) };
    *words = latch.replace((*words).into()).into();
    // SAFETY: Locked above, with these flags.
    unsafe { sys::gs_sys_unlock(lock, flags) };
}
