// SPDX-License-Identifier: GPL-2.0

//! What was found through an [`Rcu`] is there for as long as the guard, and no longer; that the
//! pointer itself goes meanwhile is no matter.
//!
//! expect: E0505

use graceslab::Rcu;
use kernel::{prelude::*, sync::rcu};

pub fn test() -> Result<u32> {
    let pointer = Rcu::new(KBox::new(1, GFP_KERNEL)?);
    let guard = rcu::read_lock();
    let seen = pointer.dereference(&guard);
    drop(pointer);
    #[cfg(fails)]
    drop(guard);
    seen.copied().ok_or(ENOENT)
}
