// SPDX-License-Identifier: GPL-2.0

//! `kvfree_rcu()` drops nothing, and so does not take what needs dropping.
//!
//! expect: E0080

use kernel::prelude::*;

#[cfg(fails)]
type Name = KVec<u8>;
#[cfg(not(fails))]
type Name = [u8; 16];

pub fn test(name: KBox<Name>) {
    graceslab::kvfree_rcu(name);
}
