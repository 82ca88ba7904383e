// SPDX-License-Identifier: GPL-2.0

//! Nor what is in a vector that may be published later.
//!
//! expect: E0080

use graceslab::Rcu;
use kernel::prelude::*;

#[cfg(fails)]
type Name = KBox<u8>;
#[cfg(not(fails))]
type Name = &'static u8;

pub static NAMES: Rcu<KVVec<Name>> = Rcu::null();
