// SPDX-License-Identifier: GPL-2.0

//! [`CBox`]: an object of a [`Cache`](super::cache::Cache), owned.

use core::marker::PhantomData;
use core::mem::forget;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use kernel::alloc::flags::*;
use kernel::alloc::Flags;
use kernel::bindings;
use kernel::ffi::c_void;

extern "C" {
    fn gs_object_free(obj: *mut c_void);
    fn gs_object_free_rcu(obj: *mut c_void);
}

/// The C side's form of `flags`, put together from what the kernel crate lets one ask.
#[inline]
pub(crate) fn raw_flags(flags: Flags) -> bindings::gfp_t {
    let kswapd = GFP_ATOMIC & GFP_NOWAIT;
    let parts = [
        (__GFP_ZERO, bindings::__GFP_ZERO),
        (__GFP_HIGHMEM, bindings::__GFP_HIGHMEM),
        (kswapd, bindings::GFP_ATOMIC & bindings::GFP_NOWAIT),
        (
            GFP_ATOMIC & !GFP_NOWAIT,
            bindings::GFP_ATOMIC & !bindings::GFP_NOWAIT,
        ),
        (
            GFP_NOWAIT & !GFP_ATOMIC,
            bindings::GFP_NOWAIT & !bindings::GFP_ATOMIC,
        ),
        (
            GFP_KERNEL & !kswapd,
            bindings::GFP_KERNEL & !(bindings::GFP_ATOMIC & bindings::GFP_NOWAIT),
        ),
        (
            GFP_KERNEL_ACCOUNT & !GFP_KERNEL,
            bindings::GFP_KERNEL_ACCOUNT & !bindings::GFP_KERNEL,
        ),
    ];
    let mut raw = 0;
    for (part, bits) in parts {
        if flags.contains(part) {
            raw |= bits;
        }
    }
    raw
}

/// An owned object of a cache: one pointer wide, and `Option<CBox<T>>` is no wider.
///
/// It may outlive its cache: the object then counts as leaked when the cache is destroyed, and
/// its memory is given back when it is dropped.
///
/// # Invariants
///
/// The pointer is to an object of a cache of `T`s that holds a valid `T`, which this box owns.
#[repr(transparent)]
pub struct CBox<T>(NonNull<T>, PhantomData<T>);

// SAFETY: The box owns its `T`.
unsafe impl<T: Send> Send for CBox<T> {}
// SAFETY: A shared box gives shared access to its `T` only.
unsafe impl<T: Sync> Sync for CBox<T> {}

impl<T> CBox<T> {
    /// Gives the object up to the caller, who frees it by way of [`CBox::from_raw`].
    #[inline]
    pub fn into_raw(this: Self) -> *mut T {
        let p = this.0.as_ptr();
        forget(this);
        p
    }

    /// Takes an object over.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`CBox::into_raw`], and be given to this function once.
    #[inline]
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: `into_raw` returns no null. INVARIANT: By the function's requirement.
        Self(unsafe { NonNull::new_unchecked(raw) }, PhantomData)
    }
}

impl<T: Send + 'static> CBox<T> {
    /// Frees the object after a grace period: RCU readers that still have it keep it until then.
    ///
    /// `T`'s `Drop` runs after the grace period, once, in process context.
    ///
    /// Context: Any context, NMI included. Never sleeps, never fails.
    #[inline]
    pub fn free_rcu(self) {
        let obj = CBox::into_raw(self);
        // SAFETY: The object is the caller's to give up, by the type's invariants. `T` may be
        // dropped by another thread, being `Send`, and later, being `'static`.
        unsafe { gs_object_free_rcu(obj.cast()) }
    }
}

impl<T> Deref for CBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type's invariants.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for CBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: By the type's invariants.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for CBox<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type's invariants; the object is not used again.
        unsafe {
            core::ptr::drop_in_place(self.0.as_ptr());
            gs_object_free(self.0.as_ptr().cast());
        }
    }
}
