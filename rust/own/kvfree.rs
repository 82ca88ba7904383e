// SPDX-License-Identifier: GPL-2.0

//! [`kvfree_rcu`] for the kernel's own boxes and vectors.

use core::mem::needs_drop;
use kernel::{
    alloc::{
        KVVec,
        VVec, //
    },
    ffi::c_void,
    prelude::*, //
};

extern "C" {
    fn gs_kvfree_rcu(p: *const c_void);
    fn gs_barrier();
}

mod sealed {
    pub trait Sealed {}
}

/// What [`kvfree_rcu`] takes: [`KBox`], [`VBox`], [`KVBox`], [`KVec`], [`VVec`] and [`KVVec`],
/// whose memory is of kmalloc, vmalloc or kvmalloc.
pub trait KvFree: sealed::Sealed + Sized {
    /// What is in it: nothing that needs dropping.
    type Item;

    /// Gives the memory up; null when there is none.
    #[doc(hidden)]
    fn into_memory(self) -> *const c_void;
}

macro_rules! boxes {
    ($($b:ident),*) => {$(
        impl<T> sealed::Sealed for $b<T> {}
        impl<T> KvFree for $b<T> {
            type Item = T;

            #[inline]
            fn into_memory(self) -> *const c_void {
                let p = $b::into_raw(self);
                if size_of::<T>() == 0 {
                    // There is no memory behind a zero-sized value.
                    core::ptr::null()
                } else {
                    p.cast()
                }
            }
        }
    )*};
}

macro_rules! vectors {
    ($($v:ident),*) => {$(
        impl<T> sealed::Sealed for $v<T> {}
        impl<T> KvFree for $v<T> {
            type Item = T;

            #[inline]
            fn into_memory(self) -> *const c_void {
                let (p, _, capacity) = self.into_raw_parts();
                if size_of::<T>() == 0 || capacity == 0 {
                    core::ptr::null()
                } else {
                    p.cast_const().cast()
                }
            }
        }
    )*};
}

boxes!(KBox, VBox, KVBox);
vectors!(KVec, VVec, KVVec);

/// Frees `p` after a grace period: RCU readers that still have it keep it until then.
///
/// Only the memory is freed, so it does not matter when, nor in which thread: what is in it need
/// not be [`Send`]. It must not need dropping, for nobody would drop it; that is checked when the
/// call is compiled. A vector of capacity 0 and a zero-sized value have no memory, and nothing is
/// queued for them.
///
/// To wait for the grace period, [`barrier`] is there; a module need not do so before it goes.
///
/// Context: Process context, may sleep, also for a grace period: not while a
/// [`Guard`](kernel::sync::rcu::Guard) is held. Never fails.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
///
/// let mut table = KVVec::<u64>::with_capacity(1024, GFP_KERNEL)?;
/// table.push(1, GFP_KERNEL)?;
/// graceslab::kvfree_rcu(table);
/// # Ok::<(), Error>(())
/// ```
#[inline]
pub fn kvfree_rcu<P: KvFree>(p: P) {
    const { assert!(!needs_drop::<P::Item>(), "kvfree_rcu() drops nothing") };
    // SAFETY: The memory was the box's or vector's, and is nobody's now.
    unsafe { gs_kvfree_rcu(p.into_memory()) }
}

/// Waits for every pending free of every kind that was queued before the call.
///
/// [`Cache::barrier`](super::cache::Cache::barrier) waits for one cache's own only. No grace
/// period where nothing is pending.
///
/// Context: Process context, may sleep. Not from the `Drop` of an object of a cache.
#[inline]
pub fn barrier() {
    // SAFETY: No requirements beyond the context.
    unsafe { gs_barrier() }
}
