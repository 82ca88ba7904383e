// SPDX-License-Identifier: GPL-2.0

//! The kernel's own boxes and vectors, as memory that is freed after a grace period.
//!
//! Nothing in them is dropped: that their items need no dropping is checked when the code that
//! frees or publishes them is compiled. A zero-sized value, a vector of those and a vector of
//! capacity 0 have no memory: their pointer is dangling, and nothing is freed.

use super::{
    kvfree::KvFree,
    rcu::RcuPointer,
    sealed::Sealed,
    slot::{
        Fat,
        Thin, //
    }, //
};
use core::{
    mem::needs_drop,
    ptr::{
        null,
        NonNull, //
    }, //
};
use kernel::{
    alloc::{
        KVVec,
        VVec, //
    },
    ffi::c_void,
    prelude::*, //
};

extern "C" {
    fn gs_kvfree_rcu_defer(p: *const c_void);
}

/// Frees the memory at `p` after a grace period. Null is fine.
///
/// Context: Any context but NMI. Never sleeps. Leaks it in the last resort, with a warning, where
/// there is no memory at all.
///
/// # Safety
///
/// `p` is null or an allocation that `kvfree()` frees, which no reader that comes later can find,
/// and is the caller's.
#[inline]
unsafe fn defer(p: *const c_void) {
    if !p.is_null() {
        // SAFETY: By the function's requirements.
        unsafe { gs_kvfree_rcu_defer(p) }
    }
}

/// The memory of a value at `p`.
#[inline]
fn of_value<T>(p: *mut T) -> *const c_void {
    if size_of::<T>() == 0 {
        null()
    } else {
        p.cast()
    }
}

macro_rules! boxes {
    ($($b:ident),*) => {$(
        impl<T> Sealed for $b<T> {}

        // SAFETY: Without memory a box is zero-sized, and else it owns memory of its allocator.
        unsafe impl<T> KvFree for $b<T> {
            type Item = T;
            type Parts = *mut T;

            #[inline]
            fn into_parts(self) -> *mut T {
                $b::into_raw(self)
            }

            #[inline]
            unsafe fn from_parts(parts: *mut T) -> Self {
                // SAFETY: From `into_raw`, by the function's requirement.
                unsafe { $b::from_raw(parts) }
            }

            #[inline]
            fn memory(parts: *mut T) -> *const c_void {
                of_value(parts)
            }
        }

        // SAFETY: The value stays where it is until its memory is freed, a grace period after
        // `retire`; it needs no dropping.
        unsafe impl<T: Send + Sync + 'static> RcuPointer for $b<T> {
            type Target = T;
            type Slot = Thin<T>;

            const RETIRES: () = assert!(!needs_drop::<T>(), "nobody would drop what is in it");

            #[inline]
            fn into_raw(self) -> NonNull<T> {
                // SAFETY: A box is not null.
                unsafe { NonNull::new_unchecked($b::into_raw(self)) }
            }

            #[inline]
            unsafe fn retire(raw: NonNull<T>) {
                // SAFETY: By the function's requirement it was this box's.
                unsafe { defer(of_value(raw.as_ptr())) }
            }
        }

        impl<T> Sealed for Pin<$b<T>> {}

        // SAFETY: As above; and a pinned value that needs no dropping may have its memory freed.
        unsafe impl<T: Send + Sync + 'static> RcuPointer for Pin<$b<T>> {
            type Target = T;
            type Slot = Thin<T>;

            const RETIRES: () = <$b<T> as RcuPointer>::RETIRES;

            #[inline]
            fn into_raw(self) -> NonNull<T> {
                // SAFETY: Nobody has more than a `&T` from now on: it is not moved.
                RcuPointer::into_raw(unsafe { Pin::into_inner_unchecked(self) })
            }

            #[inline]
            unsafe fn retire(raw: NonNull<T>) {
                // SAFETY: By the function's requirements.
                unsafe { <$b<T> as RcuPointer>::retire(raw) }
            }
        }
    )*};
}

/// The memory of a vector; null where it has none.
#[inline]
fn of_vector<T>(p: *mut T, capacity: usize) -> *const c_void {
    if capacity == 0 {
        null()
    } else {
        of_value(p)
    }
}

/// A published vector: the pointer of one that has no memory is [`NonNull::dangling`].
#[inline]
fn published<T>(p: *mut T, len: usize, capacity: usize) -> NonNull<[T]> {
    let first = NonNull::new(p)
        .filter(|_| capacity != 0 && size_of::<T>() != 0)
        .unwrap_or(NonNull::dangling());
    NonNull::slice_from_raw_parts(first, len)
}

/// Frees the memory of a vector that was published.
///
/// # Safety
///
/// As for [`RcuPointer::retire`]; `raw` is from [`published`].
#[inline]
unsafe fn retire_vector<T>(raw: NonNull<[T]>) {
    let first: NonNull<T> = raw.cast();
    // No allocation is at the address of a dangling pointer, which is its type's alignment.
    if first != NonNull::dangling() {
        // SAFETY: By the function's requirements.
        unsafe { defer(of_value(first.as_ptr())) }
    }
}

macro_rules! vectors {
    ($($v:ident),*) => {$(
        impl<T> Sealed for $v<T> {}

        // SAFETY: Without memory a vector is of zero-sized items or has no capacity, and else it
        // owns memory of its allocator.
        unsafe impl<T> KvFree for $v<T> {
            type Item = T;
            type Parts = (*mut T, usize, usize);

            #[inline]
            fn into_parts(self) -> Self::Parts {
                self.into_raw_parts()
            }

            #[inline]
            unsafe fn from_parts((first, len, capacity): Self::Parts) -> Self {
                // SAFETY: From `into_raw_parts`, by the function's requirement.
                unsafe { $v::from_raw_parts(first, len, capacity) }
            }

            #[inline]
            fn memory((first, _, capacity): Self::Parts) -> *const c_void {
                of_vector(first, capacity)
            }
        }

        // SAFETY: The items stay where they are until their memory is freed, a grace period after
        // `retire`; they need no dropping.
        unsafe impl<T: Send + Sync + 'static> RcuPointer for $v<T> {
            type Target = [T];
            type Slot = Fat<T>;

            const RETIRES: () = assert!(!needs_drop::<T>(), "nobody would drop what is in it");

            #[inline]
            fn into_raw(self) -> NonNull<[T]> {
                let (first, len, capacity) = self.into_raw_parts();
                published(first, len, capacity)
            }

            #[inline]
            unsafe fn retire(raw: NonNull<[T]>) {
                // SAFETY: By the function's requirement it was this vector's.
                unsafe { retire_vector(raw) }
            }
        }
    )*};
}

boxes!(KBox, VBox, KVBox);
vectors!(KVec, VVec, KVVec);
