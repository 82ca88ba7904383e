// SPDX-License-Identifier: GPL-2.0

//! What a guard shows of what was replaced is there for as long as the guard; the old value may go.
//!
//! expect: E0505

use graceslab::{Rcu, RcuOld};
use kernel::{prelude::*, sync::rcu};

pub fn test(old: RcuOld<KBox<u32>>) -> u32 {
    let guard = rcu::read_lock();
    let seen = old.with_rcu(&guard);
    drop(old);
    #[cfg(fails)]
    drop(guard);
    *seen
}
