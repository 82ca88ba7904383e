// SPDX-License-Identifier: GPL-2.0

//! The same for a slice, whose guard is of an inner block.
//!
//! expect: E0597

use graceslab::Rcu;
use kernel::{prelude::*, sync::rcu};

pub fn test(pointer: &Rcu<KVVec<u32>>) -> usize {
    let outer = rcu::read_lock();
    let seen;
    {
        let inner = rcu::read_lock();
        #[cfg(fails)]
        let outer = &inner;
        seen = pointer.dereference(&outer);
        drop(&inner);
    }
    seen.map_or(0, |seen| seen.len())
}
