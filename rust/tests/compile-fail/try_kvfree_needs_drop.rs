// SPDX-License-Identifier: GPL-2.0

//! Nor does `try_kvfree_rcu()`.
//!
//! expect: E0080

use kernel::prelude::*;

#[cfg(fails)]
type Name = KBox<u8>;
#[cfg(not(fails))]
type Name = &'static u8;

pub fn test(names: KVVec<Name>) -> bool {
    graceslab::try_kvfree_rcu(names, GFP_NOWAIT).is_ok()
}
