// SPDX-License-Identifier: GPL-2.0

//! Readers may have what an [`Rcu`] publishes for longer than anything that it borrows from.
//!
//! expect: E0597

use graceslab::Rcu;
use kernel::prelude::*;

pub fn test() -> Result {
    #[cfg(fails)]
    let local = 1;
    #[cfg(not(fails))]
    static local: u32 = 1;
    let pointer = Rcu::new(KBox::new(&local, GFP_KERNEL)?);
    drop(pointer.take());
    Ok(())
}
