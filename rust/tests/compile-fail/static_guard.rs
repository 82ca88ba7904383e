// SPDX-License-Identifier: GPL-2.0

//! There is no guard of a static cache but that of its `init()`.
//!
//! expect: E0451

use graceslab::{StaticCache, StaticGuard};
use kernel::prelude::*;

graceslab::static_cache! {
    static NUMBERS: Cache<u32> = c"test";
}

pub fn test() -> Result<StaticGuard<u32>> {
    #[cfg(fails)]
    return Ok(StaticGuard { cache: &NUMBERS });
    #[cfg(not(fails))]
    NUMBERS.init()
}
