// SPDX-License-Identifier: GPL-2.0

//! A box of what is not [`Sync`] is not shared among threads.
//!
//! expect: E0277

use core::cell::Cell;
use graceslab::CBox;

#[cfg(fails)]
type Number = Cell<u32>;
#[cfg(not(fails))]
type Number = u32;

fn share<T: Sync>(_: &T) {}

pub fn test(number: CBox<Number>) {
    share(&number);
}
