// SPDX-License-Identifier: GPL-2.0

//! How many objects a sheaf has room for, which may change while the cache is in use: on request,
//! or by itself ([`super::growth`]).
//!
//! Each sheaf knows its own capacity, so that one of another capacity than its cache's, a *stale*
//! one, is as good as any. It only must not go round for ever: it is *retired* where it is met
//! empty, which frees its memory.
//!
//! ```text
//!   set:      capacity ─► every CPU hands its sheaves over ─► those and the barns' are freed
//!   later:    sealed, prefilled, on their way from kmalloc() ─► retired where they are met
//! ```
//!
//! A section that opens after its CPU has handed its sheaves over sees the new capacity: whoever
//! puts a sheaf somewhere looks inside of one whether it is stale.

use super::barn;
use super::children;
use super::core::Core;
use super::service;
use crate::rcu::queue::{null_batch, Batch};
use crate::rcu::request::{self, Ask};
use kernel::prelude::*;

/// Smallest sheaf.
pub(crate) const MIN: u32 = 2;
/// Largest sheaf that may be asked for.
pub(crate) const MAX: u32 = 1020;

/// Changes the capacity of the sheaves of `core`, and of its children, to `n`: ERANGE if there are none of that.
///
/// Context: Process context, may sleep.
pub(crate) fn set(core: &Core, n: u32) -> Result {
    if !(MIN..=MAX).contains(&n) {
        return Err(ERANGE);
    }
    children::for_each(core, |core| set_one(core, n));
    Ok(())
}

fn set_one(core: &Core, n: u32) {
    // Ordered by the request, as each CPU serves it under a lock that is taken here after this.
    if core.growth.fix(n) == n {
        return;
    }
    request::all_cpus(Ask::Detach(core));
    service::flush_detached(core);
    barn::flush(core);
}

impl Core {
    /// Objects per sheaf, of sheaves that are made now.
    pub(crate) fn capacity(&self) -> u32 {
        self.growth.capacity()
    }

    /// Whether `sheaf`, which may be the null batch, is not of the cache's capacity.
    ///
    /// Inside of a section, unless the answer is a hint.
    ///
    /// # Safety
    ///
    /// The caller owns `sheaf`.
    pub(super) unsafe fn is_stale(&self, sheaf: *mut Batch) -> bool {
        // SAFETY: By the function's requirement.
        unsafe { (*sheaf).cap() != self.capacity() }
    }

    /// Has a sheaf freed where that may be done, with what is in it given back before.
    ///
    /// Context: Any context, with preemption off.
    ///
    /// # Safety
    ///
    /// `sheaf` is the caller's to give, and its objects are free.
    pub(super) unsafe fn retire_sheaf(&self, sheaf: *mut Batch) {
        // SAFETY: By the function's requirement.
        unsafe { self.detached.push(sheaf) };
        service::attend(self);
    }

    /// Retires the sheaf at `place`, unless it is of the cache's capacity or the null batch.
    ///
    /// # Safety
    ///
    /// `place` is the section's.
    pub(super) unsafe fn retire_stale(&self, place: *mut *mut Batch) {
        // SAFETY: By the function's requirement.
        unsafe {
            if self.is_stale(*place) && *place != null_batch() {
                self.retire_sheaf(place.replace(null_batch()));
            }
        }
    }
}
