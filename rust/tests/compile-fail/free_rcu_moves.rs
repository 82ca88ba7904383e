// SPDX-License-Identifier: GPL-2.0

//! What was given to a deferred free is not its owner's any more.
//!
//! expect: E0382

use graceslab::CBox;

pub fn test(number: CBox<u32>) -> u32 {
    #[cfg(fails)]
    number.free_rcu();
    let seen = *number;
    #[cfg(not(fails))]
    number.free_rcu();
    seen
}
