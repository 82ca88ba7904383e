// SPDX-License-Identifier: GPL-2.0

//! Caches: slabs, sheaves, barns, and what a cache's life consists of.

pub(crate) mod aliases;
pub(crate) mod alloc;
pub(crate) mod barn;
pub(crate) mod bits;
pub(crate) mod bulk;
pub(crate) mod capacity;
pub(crate) mod children;
pub(crate) mod core;
pub(crate) mod debug;
pub(crate) mod destroy;
pub(crate) mod dtor;
pub(crate) mod free;
pub(crate) mod growth;
pub(crate) mod home;
pub(crate) mod index;
pub(crate) mod leak;
pub(crate) mod order;
pub(crate) mod prefill;
pub(crate) mod reclaim;
pub(crate) mod registry;
pub(crate) mod service;
pub(crate) mod sheaf;
pub(crate) mod shrink;
pub(crate) mod slab;
pub(crate) mod stats;
