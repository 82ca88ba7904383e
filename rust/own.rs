// SPDX-License-Identifier: GPL-2.0

//! The Rust interface.

pub(crate) mod cache;
pub(crate) mod cbox;
pub(crate) mod kvfree;
