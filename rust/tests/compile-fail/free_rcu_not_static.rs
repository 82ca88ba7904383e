// SPDX-License-Identifier: GPL-2.0

//! A deferred free drops at some later time, when what a type borrows from may be gone.
//!
//! expect: E0597

use core::sync::atomic::AtomicU32;
use graceslab::{Args, Cache};
use kernel::prelude::*;

struct Counts<'a>(&'a AtomicU32);

impl Drop for Counts<'_> {
    fn drop(&mut self) {
        self.0.store(1, core::sync::atomic::Ordering::Relaxed);
    }
}

pub fn test() -> Result {
    let count = AtomicU32::new(0);
    let cache = Cache::new(c"test", Args::default())?;
    let counts = cache.alloc(Counts(&count), GFP_KERNEL)?;
    #[cfg(fails)]
    counts.free_rcu();
    #[cfg(not(fails))]
    drop(counts);
    Ok(())
}
