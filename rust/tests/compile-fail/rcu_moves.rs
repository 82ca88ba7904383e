// SPDX-License-Identifier: GPL-2.0

//! What was published is not its writer's any more.
//!
//! expect: E0382

use graceslab::Rcu;
use kernel::prelude::*;

pub fn test(pointer: &Rcu<KVec<u32>>, mut numbers: KVec<u32>) {
    #[cfg(not(fails))]
    numbers.clear();
    drop(pointer.replace(Some(numbers)));
    #[cfg(fails)]
    numbers.clear();
}
