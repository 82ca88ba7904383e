// SPDX-License-Identifier: GPL-2.0

//! Readers may still have what was replaced: it can be read only.
//!
//! expect: E0594

use graceslab::RcuOld;
use kernel::prelude::*;

pub fn test(mut old: RcuOld<KBox<u32>>) -> u32 {
    #[cfg(fails)]
    {
        *old = 1;
    }
    *old
}
