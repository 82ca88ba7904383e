// SPDX-License-Identifier: GPL-2.0

//! A cache does not become one of a type with another lifetime, which can have another `Drop`.
//!
//! expect: E0308

use graceslab::Cache;

type Any = for<'a> fn(&'a u8);
type Static = fn(&'static u8);

#[cfg(fails)]
type Given = Cache<Any>;
#[cfg(not(fails))]
type Given = Cache<Static>;

pub fn test(given: &Given) -> &Cache<Static> {
    given
}
