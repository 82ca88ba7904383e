// SPDX-License-Identifier: GPL-2.0

//! Without a guard, what was replaced can be looked at for as long as it is kept.
//!
//! expect: E0505

use graceslab::RcuOld;
use kernel::prelude::*;

pub fn test(old: RcuOld<KVec<u32>>) -> usize {
    let seen = &*old;
    #[cfg(fails)]
    drop(old);
    seen.len()
}
