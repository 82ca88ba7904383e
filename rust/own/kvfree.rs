// SPDX-License-Identifier: GPL-2.0

//! [`kvfree_rcu`] for the kernel's own boxes and vectors.

use core::mem::needs_drop;
use kernel::alloc::{KVVec, VVec};
use kernel::ffi::c_void;
use kernel::prelude::*;

extern "C" {
    fn gs_kvfree_rcu(p: *const c_void);
    fn gs_barrier();
}

mod sealed {
    pub trait Sealed {}
}

/// What [`kvfree_rcu`] takes: memory of kmalloc, vmalloc or kvmalloc.
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
/// Fails to compile if its items need dropping, for nobody would drop them.
///
/// Context: Process context, may sleep. Never fails.
#[inline]
pub fn kvfree_rcu<P: KvFree>(p: P) {
    const { assert!(!needs_drop::<P::Item>(), "kvfree_rcu() drops nothing") };
    // SAFETY: The memory was the box's or vector's, and is nobody's now.
    unsafe { gs_kvfree_rcu(p.into_memory()) }
}

/// Waits for every pending free of every kind that was queued before the call.
///
/// Context: Process context, may sleep.
#[inline]
pub fn barrier() {
    // SAFETY: No requirements beyond the context.
    unsafe { gs_barrier() }
}
