// SPDX-License-Identifier: GPL-2.0

//! [`RcuBox`]: an object of a [`Cache`](super::cache::Cache) that RCU readers may look at.

use super::{
    cbox::CBox,
    rcu::RcuPointer,
    sealed::Sealed,
    slot::Thin, //
};
use core::{
    mem::{
        size_of,
        ManuallyDrop, //
    },
    ops::Deref,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    ffi::c_void,
    sync::rcu, //
};

/// An owned object of a cache that lives on for a grace period when its owner drops it.
///
/// It is made from a [`CBox`], or by [`Cache::alloc_rcu`], and gives shared access only from then
/// on: through [`Deref`], for as long as the box is borrowed, or by [`RcuBox::with_rcu`], for as
/// long as an RCU guard is held, whatever happens to the box meanwhile. There is no way back.
///
/// # Dropping
///
/// A drop is [`CBox::free_rcu`]: `T`'s `Drop` runs after the grace period, once, in process
/// context.
///
/// Context: Any context, NMI included. Never sleeps, never fails.
///
/// # What `T` must be
///
/// - [`Send`], as some other thread drops it;
/// - [`Sync`], as readers may look at it in all threads at once, also after the box was sent
///   away, so that a box can only be [`Send`] if `T` is [`Sync`];
/// - `'static`, as readers hold it, and it is dropped, at a time that nothing which it borrowed
///   from would wait for.
///
/// A box of such a `T` is itself [`Send`] and [`Sync`], being a pointer to it.
///
/// [`Cache::alloc_rcu`]: super::cache::Cache::alloc_rcu
///
/// # Invariants
///
/// The object is not accessed but through `&T` until a grace period has passed since the box was
/// dropped.
///
/// # Examples
///
/// ```
/// use graceslab::{Args, Cache, RcuBox};
/// use kernel::{prelude::*, sync::rcu};
///
/// let names = Cache::<[u8; 16]>::new(c"example_name", Args::default())?;
/// let name: RcuBox<[u8; 16]> = names.alloc_rcu(*b"0123456789abcdef", GFP_KERNEL)?;
///
/// let guard = rcu::read_lock();
/// let seen = name.with_rcu(&guard);
/// drop(name);
/// // The guard keeps it.
/// assert_eq!(seen[15], b'f');
/// drop(guard);
///
/// names.destroy()?;
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct RcuBox<T: Send + Sync + 'static>(ManuallyDrop<CBox<T>>);

// One pointer wide, and `None` is the null pointer.
const _: () = {
    assert!(size_of::<RcuBox<[u64; 4]>>() == size_of::<*mut c_void>());
    assert!(size_of::<Option<RcuBox<[u64; 4]>>>() == size_of::<*mut c_void>());
};

impl<T: Send + Sync + 'static> RcuBox<T> {
    /// Gives access for as long as `guard` is held, be the box dropped meanwhile or not.
    ///
    /// Context: Any context, NMI included.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache};
    /// use kernel::{prelude::*, sync::rcu};
    ///
    /// let cache = Cache::<u64>::new(c"example_with_rcu", Args::new())?;
    /// let number = cache.alloc_rcu(7, GFP_KERNEL)?;
    /// let guard = rcu::read_lock();
    /// let seen = number.with_rcu(&guard);
    /// drop(number);
    /// assert_eq!(*seen, 7);
    /// # drop(guard);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn with_rcu<'g>(&self, _guard: &'g rcu::Guard) -> &'g T {
        let obj: *const T = &raw const **self.0;
        // SAFETY: The box is there now, within the read-side section of the guard. When it is
        // dropped the free waits for a grace period that begins later, and so for the guard. By
        // the type's invariants, nobody has more than shared access until then.
        unsafe { &*obj }
    }
}

/// The object was the box's alone; nobody has more than a `&T` from now on.
impl<T: Send + Sync + 'static> From<CBox<T>> for RcuBox<T> {
    #[inline]
    fn from(object: CBox<T>) -> Self {
        // INVARIANT: The object was the caller's alone.
        Self(ManuallyDrop::new(object))
    }
}

/// An object that is pinned stays so.
impl<T: Send + Sync + 'static> From<Pin<CBox<T>>> for RcuBox<T> {
    #[inline]
    fn from(object: Pin<CBox<T>>) -> Self {
        // SAFETY: Through a `&T` it cannot be moved, and it is dropped where it is, before its
        // memory is used again.
        Self::from(unsafe { Pin::into_inner_unchecked(object) })
    }
}

impl<T: Send + Sync + 'static> Deref for RcuBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Drop for RcuBox<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The field is not used again: this is `drop`.
        unsafe { ManuallyDrop::take(&mut self.0) }.free_rcu();
    }
}

impl<T: Send + Sync + 'static> Sealed for RcuBox<T> {}

// SAFETY: The pointer is that of the object, which stays as it is until `retire`, and another
// grace period, by the type's invariants.
unsafe impl<T: Send + Sync + 'static> RcuPointer for RcuBox<T> {
    type Target = T;
    type Slot = Thin<T>;

    #[inline]
    fn into_raw(self) -> NonNull<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again, nor dropped.
        let raw = CBox::into_raw(unsafe { ManuallyDrop::take(&mut this.0) });
        // SAFETY: A box is not null.
        unsafe { NonNull::new_unchecked(raw) }
    }

    #[inline]
    unsafe fn retire(raw: NonNull<T>) {
        // SAFETY: By the function's requirement it was this box's.
        drop(Self::from(unsafe { CBox::from_raw(raw.as_ptr()) }));
    }
}
