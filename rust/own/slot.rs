// SPDX-License-Identifier: GPL-2.0

//! Where a published pointer is kept: one word for a thin one, a [`Latch`] for a slice.

use super::{
    latch::{
        Latch,
        Pair, //
    },
    writer, //
};
use core::{
    marker::PhantomData,
    ptr::{
        null_mut,
        with_exposed_provenance_mut,
        NonNull, //
    }, //
};
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full, //
};

/// Keeps a pointer to a `T`, or none, that readers load while writers replace it.
///
/// # Safety
///
/// What `load` and `replace` return was put there by `new` or `replace`, as a whole; each pointer
/// that was put there is returned by `replace` once at most. A load that returns it happens after
/// the call that put it there began, and is ordered after all that came before that call.
pub unsafe trait Slot<T: ?Sized> {
    /// Has none.
    const NULL: Self;

    /// Has `pointer`.
    fn new(pointer: NonNull<T>) -> Self;

    /// Looks.
    ///
    /// Context: Any context, NMI included.
    fn load(&self) -> Option<NonNull<T>>;

    /// Puts `pointer`, or none, there, and returns what was.
    fn replace(&self, pointer: Option<NonNull<T>>) -> Option<NonNull<T>>;
}

/// One word.
pub struct Thin<T>(Atomic<*mut T>);

// SAFETY: All is done by single atomic operations on the one word, ordered as below.
unsafe impl<T> Slot<T> for Thin<T> {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "it is what slots start from"
    )]
    const NULL: Self = Self(Atomic::new(null_mut()));

    #[inline]
    fn new(pointer: NonNull<T>) -> Self {
        Self(Atomic::new(pointer.as_ptr()))
    }

    #[inline]
    fn load(&self) -> Option<NonNull<T>> {
        // ORDERING: Pairs with the full exchange in `replace`, or with what handed the slot over
        // to this thread: the target is seen whole.
        NonNull::new(self.0.load(Acquire))
    }

    #[inline]
    fn replace(&self, pointer: Option<NonNull<T>>) -> Option<NonNull<T>> {
        let new = pointer.map_or(null_mut(), NonNull::as_ptr);
        // ORDERING: The release half pairs with the acquire in `load`, the acquire half with the
        // release half of the exchange that put there what is returned.
        NonNull::new(self.0.xchg(new, Full))
    }
}

/// A pointer and a length.
pub struct Fat<T>(Latch, PhantomData<*mut T>);

impl<T> Fat<T> {
    /// None: a null pointer.
    const NOTHING: Pair = (0, 0);

    #[inline]
    fn pair(pointer: Option<NonNull<[T]>>) -> Pair {
        pointer.map_or(Self::NOTHING, |p| {
            (p.cast::<T>().as_ptr().expose_provenance(), p.len())
        })
    }

    #[inline]
    fn pointer((first, len): Pair) -> Option<NonNull<[T]>> {
        NonNull::new(with_exposed_provenance_mut(first))
            .map(|first| NonNull::slice_from_raw_parts(first, len))
    }
}

// SAFETY: The latch's writers exclude each other, and its readers see whole pairs; it says how
// both are ordered.
unsafe impl<T> Slot<[T]> for Fat<T> {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "it is what slots start from"
    )]
    const NULL: Self = Self(Latch::new(Self::NOTHING), PhantomData);

    #[inline]
    fn new(pointer: NonNull<[T]>) -> Self {
        Self(Latch::new(Self::pair(Some(pointer))), PhantomData)
    }

    #[inline]
    fn load(&self) -> Option<NonNull<[T]>> {
        Self::pointer(self.0.load())
    }

    #[inline]
    fn replace(&self, pointer: Option<NonNull<[T]>>) -> Option<NonNull<[T]>> {
        Self::pointer(writer::replace(&self.0, Self::pair(pointer)))
    }
}
