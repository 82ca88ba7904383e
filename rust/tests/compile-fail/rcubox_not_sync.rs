// SPDX-License-Identifier: GPL-2.0

//! Readers in all threads look at what is in an [`RcuBox`]: it must be [`Sync`].
//!
//! expect: E0277

use core::cell::Cell;
use graceslab::{CBox, RcuBox};

#[cfg(fails)]
type Number = Cell<u32>;
#[cfg(not(fails))]
type Number = u32;

pub fn test(number: CBox<Number>) -> RcuBox<Number> {
    number.into()
}
