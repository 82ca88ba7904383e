// SPDX-License-Identifier: GPL-2.0

//! Nobody would drop what is in a box of the kernel's that was published.
//!
//! expect: E0080

use graceslab::Rcu;
use kernel::prelude::*;

#[cfg(fails)]
type Name = KVec<u8>;
#[cfg(not(fails))]
type Name = [u8; 16];

pub fn test(name: KBox<Name>) {
    drop(Rcu::new(name));
}
