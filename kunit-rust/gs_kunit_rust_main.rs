// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of graceslab's Rust interface, from a crate of its own as its users are.
//!
//! A failed assertion ends the thread without running destructors. So a test lets go of its RCU
//! guards and joins its threads before it asserts, and no two tests have a cache of the same name.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

use kernel::prelude::*;

mod cache;
mod doc;
mod drops;
mod kvfree;
mod order;
mod pin;
mod published;
mod rcu;
mod rcubox;
mod static_cache;
mod support;

module! {
    type: Suites,
    name: "gs_kunit_rust",
    authors: ["The graceslab developers"],
    description: "KUnit tests of graceslab's Rust interface",
    license: "GPL",
}

/// There is nothing to it but the suites.
struct Suites;

impl kernel::Module for Suites {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
