// SPDX-License-Identifier: GPL-2.0

//! Giving memory back on request.

use super::barn;
use super::children;
use super::core::Core;
use super::dtor;
use super::service;
use crate::lock::Mutex;
use crate::rcu::barrier;
use crate::rcu::request::{self, Ask};

/// Empties sheaves and barns into the slabs and gives the pages of empty slabs back; pages given.
///
/// Deferred frees whose grace period is over come back too; none is waited for. What the cache's
/// worker is just giving back is, and is not counted.
///
/// Context: Process context, may sleep.
pub(crate) fn shrink(core: &Core) -> usize {
    let mut pages = 0;
    children::for_each(core, |core| pages += shrink_one(core));
    pages
}

/// The same of one cache of a family.
pub(super) fn shrink_one(core: &Core) -> usize {
    core.growth.reset();
    request::users(core, Ask::Detach(core));
    barrier::drain(core);
    if !dtor::runs_here(core) {
        // Slabs of which kmemleak is owed something would stay.
        service::settle(core);
    }
    // A worker that has sheaves or slabs in hand gives them back first.
    // SAFETY: The core is alive, and so is its mutex.
    let _one = unsafe { Mutex::lock(core.trim_mutex()) };
    service::flush_detached(core);
    barn::flush(core);
    let mut busy = false;
    barn::trim(core, true, &mut busy)
}
