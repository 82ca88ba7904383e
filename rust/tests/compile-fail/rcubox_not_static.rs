// SPDX-License-Identifier: GPL-2.0

//! Readers may have what is in an [`RcuBox`] for longer than anything that it borrows from.
//!
//! expect: E0597

use graceslab::{Args, Cache};
use kernel::prelude::*;

pub fn test() -> Result {
    #[cfg(fails)]
    let local = 1;
    #[cfg(not(fails))]
    static local: u32 = 1;
    let cache = Cache::<&u32>::new(c"test", Args::default())?;
    drop(cache.alloc_rcu(&local, GFP_KERNEL)?);
    Ok(())
}
