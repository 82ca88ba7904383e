// SPDX-License-Identifier: GPL-2.0

//! A box of what is not [`Send`] stays in its thread.
//!
//! expect: E0277

use graceslab::CBox;
use kernel::types::NotThreadSafe;

pub struct Token(#[cfg(fails)] NotThreadSafe);

fn send<T: Send>(_: T) {}

pub fn test(token: CBox<Token>) {
    send(token);
}
