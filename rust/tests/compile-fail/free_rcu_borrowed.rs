// SPDX-License-Identifier: GPL-2.0

//! A reference to an object does not outlive its being given to a deferred free.
//!
//! expect: E0505

use graceslab::CBox;

pub fn test(number: CBox<u32>) -> u32 {
    let seen = &*number;
    #[cfg(not(fails))]
    let seen = &seen.clone();
    number.free_rcu();
    *seen
}
