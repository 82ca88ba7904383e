// SPDX-License-Identifier: GPL-2.0

//! Readers may have what is in an [`RcuBox`]: it can be read only. A [`CBox`] is its owner's alone.
//!
//! expect: E0594

use graceslab::{CBox, RcuBox};

#[cfg(fails)]
type Box = RcuBox<u32>;
#[cfg(not(fails))]
type Box = CBox<u32>;

pub fn test(mut number: Box) {
    *number = 1;
}
