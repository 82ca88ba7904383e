// SPDX-License-Identifier: GPL-2.0

//! What `try_kvfree_rcu()` takes is its caller's again only where it says so.
//!
//! expect: E0382

use kernel::prelude::*;

pub fn test(numbers: KVVec<u32>) -> usize {
    match graceslab::try_kvfree_rcu(numbers, GFP_NOWAIT) {
        Ok(()) => 0,
        #[cfg(fails)]
        Err(_) => numbers.len(),
        #[cfg(not(fails))]
        Err(numbers) => numbers.len(),
    }
}
