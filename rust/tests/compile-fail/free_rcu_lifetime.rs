// SPDX-License-Identifier: GPL-2.0

//! A box does not become one of a type with another lifetime, which can have another `Drop`.
//!
//! expect: E0308

use graceslab::CBox;

type Any = for<'a> fn(&'a u8);
type Static = fn(&'static u8);

#[cfg(fails)]
type Given = CBox<Any>;
#[cfg(not(fails))]
type Given = CBox<Static>;

pub fn test(given: Given) -> CBox<Static> {
    given
}
