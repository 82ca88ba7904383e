// SPDX-License-Identifier: GPL-2.0

//! The Rust interface.
//!
//! | type | what it owns | its drop |
//! |---|---|---|
//! | [`Cache<T>`](cache::Cache) | a cache | waits for pending frees, then destroys the cache |
//! | [`CBox<T>`](cbox::CBox) | an object, alone | frees the object at once |
//! | [`RcuBox<T>`](rcubox::RcuBox) | an object that RCU readers may look at | frees it after a grace period |
//! | [`Rcu<P>`](rcu::Rcu) | a pointer that RCU readers follow | as that of what it points to |
//! | [`RcuOld<P>`](rcu::RcuOld) | what has just been replaced | as above |
//!
//! [`kvfree_rcu()`](kvfree::kvfree_rcu) takes the kernel's own boxes and vectors.
//!
//! All this is generic and instantiated in the module that uses it. It comes down to the
//! functions of `include/graceslab.h` and two more that `rust/exports.c` exports: no symbol of
//! this crate is needed.
//!
//! # Sleeping
//!
//! As everywhere in the kernel crate, nothing but the reader's care keeps a function that may
//! sleep from being called where sleeping is not allowed; each function says which it is. To sleep
//! while holding a [`Guard`](kernel::sync::rcu::Guard) is such a bug: without preemptible RCU it
//! ends the grace period that the guard is there to hold up.

pub(crate) mod cache;
pub(crate) mod cbox;
pub(crate) mod gfp;
pub(crate) mod kvfree;
mod latch;
mod memory;
pub(crate) mod rcu;
pub(crate) mod rcubox;
mod slot;
pub(crate) mod static_cache;
pub(crate) mod writer;

/// Traits of this crate that nobody else may implement.
pub(crate) mod sealed {
    pub trait Sealed {}
}
