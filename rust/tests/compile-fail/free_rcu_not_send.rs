// SPDX-License-Identifier: GPL-2.0

//! A deferred free drops in some other thread, which a type that is not [`Send`] must not be.
//!
//! expect: E0599

use graceslab::CBox;
use kernel::types::NotThreadSafe;

pub struct Token(#[cfg(fails)] NotThreadSafe);

impl Drop for Token {
    fn drop(&mut self) {}
}

pub fn test(token: CBox<Token>) {
    token.free_rcu();
}
