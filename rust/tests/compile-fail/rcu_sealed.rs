// SPDX-License-Identifier: GPL-2.0

//! Nobody else says what can be published: retiring is a matter of this crate.
//!
//! expect: E0277

use graceslab::Rcu;
use kernel::{prelude::*, sync::Arc};

#[cfg(fails)]
type Shared = Arc<u32>;
#[cfg(not(fails))]
type Shared = KBox<u32>;

pub fn test(shared: Shared) {
    drop(Rcu::from(shared));
}
