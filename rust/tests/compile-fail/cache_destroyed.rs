// SPDX-License-Identifier: GPL-2.0

//! A cache that was destroyed cannot be used.
//!
//! expect: E0382

use graceslab::Cache;
use kernel::prelude::*;

pub fn test(cache: Cache<u32>) -> Result {
    #[cfg(fails)]
    cache.destroy()?;
    drop(cache.alloc(1, GFP_KERNEL)?);
    #[cfg(not(fails))]
    cache.destroy()?;
    Ok(())
}
