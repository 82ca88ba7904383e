// SPDX-License-Identifier: GPL-2.0

//! What is in an [`RcuBox`] is dropped in some other thread: it must be [`Send`].
//!
//! expect: E0277

use graceslab::{Cache, RcuBox};
use kernel::{alloc::AllocError, prelude::*, types::NotThreadSafe};

pub struct Token(#[cfg(fails)] NotThreadSafe);

// SAFETY: There is nothing in it.
unsafe impl Sync for Token {}

pub fn test(cache: &Cache<Token>, token: Token) -> Result<RcuBox<Token>, AllocError> {
    cache.alloc_rcu(token, GFP_KERNEL)
}
