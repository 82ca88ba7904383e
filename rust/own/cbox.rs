// SPDX-License-Identifier: GPL-2.0

//! [`CBox`]: an object of a [`Cache`], owned.
//!
//! [`Cache`]: super::cache::Cache

use core::{
    marker::PhantomData,
    mem::{
        align_of,
        forget,
        needs_drop,
        size_of, //
    },
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin,
    ptr::NonNull,
    result::Result as CoreResult, //
};
use kernel::{
    ffi::c_void,
    prelude::PinInit, //
};

extern "C" {
    fn gs_object_free(obj: *mut c_void);
    fn gs_object_free_rcu(obj: *mut c_void);
    fn gs_object_drop_rcu(obj: *mut c_void, dtor: unsafe extern "C" fn(*mut c_void));
}

/// The destructor of a cache of `T`s.
///
/// # Safety
///
/// `obj` must be a `T` that nobody else has.
pub(crate) unsafe extern "C" fn drop_object<T>(obj: *mut c_void) {
    // SAFETY: By the function's requirement.
    unsafe { core::ptr::drop_in_place(obj.cast::<T>()) }
}

/// An owned object of a cache: one pointer wide, and `Option<CBox<T>>` is no wider.
///
/// It may outlive its cache: the object then counts as leaked when the cache is destroyed, and
/// its memory is given back when it is dropped.
///
/// # Dropping
///
/// A drop runs `T`'s `Drop`, where it is, and frees the object at once.
///
/// Context: that of `T`'s `Drop`; any, NMI included, where there is none.
///
/// # Pinning
///
/// The object does not move, and its memory is not used again before it was dropped: a box that
/// is forgotten keeps it for good. So a `Pin<CBox<T>>` keeps what [`Pin`] promises.
///
/// # Invariants
///
/// The pointer is to an object of a cache of exactly `T`s that holds a valid `T`, which this box
/// owns. The type is invariant in `T`, as [`Cache`] is: whoever drops the object after a grace
/// period has the type from the cache.
///
/// [`Cache`]: super::cache::Cache
///
/// # Examples
///
/// ```
/// use graceslab::{Args, CBox, Cache};
/// use kernel::prelude::*;
///
/// let numbers = Cache::<u64>::new(c"example_number", Args::default())?;
/// let mut number: CBox<u64> = numbers.alloc(1, GFP_KERNEL)?;
/// *number += 1;
/// assert_eq!(*number, 2);
/// drop(number);
/// numbers.destroy()?;
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct CBox<T>(NonNull<T>, PhantomData<(T, Exactly<T>)>);

/// Invariant in `T`.
pub(crate) type Exactly<T> = fn(T) -> T;

// One pointer wide, and `None` is the null pointer.
const _: () = {
    type Box = CBox<[u64; 4]>;
    assert!(size_of::<Box>() == size_of::<*mut c_void>());
    assert!(align_of::<Box>() == align_of::<*mut c_void>());
    assert!(size_of::<Option<Box>>() == size_of::<Box>());
    assert!(size_of::<Option<Pin<Box>>>() == size_of::<Box>());
};

// SAFETY: The box owns its `T`; memory may be freed by any thread.
unsafe impl<T: Send> Send for CBox<T> {}
// SAFETY: A shared box gives shared access to its `T` only.
unsafe impl<T: Sync> Sync for CBox<T> {}

impl<T> CBox<T> {
    /// Gives the object up to the caller, who frees it by way of [`CBox::from_raw`].
    ///
    /// Context: Any context, NMI included.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, CBox, Cache};
    /// use kernel::prelude::*;
    ///
    /// let cache = Cache::<u64>::new(c"example_into_raw", Args::new())?;
    /// let raw: *mut u64 = CBox::into_raw(cache.alloc(7, GFP_KERNEL)?);
    /// // SAFETY: From `into_raw()`, of this type, and once.
    /// let number = unsafe { CBox::from_raw(raw) };
    /// assert_eq!(*number, 7);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn into_raw(this: Self) -> *mut T {
        let p = this.0.as_ptr();
        forget(this);
        p
    }

    /// Takes an object over.
    ///
    /// Context: Any context, NMI included.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`CBox::into_raw`] of a box of exactly this type, and is given to
    /// this function once for each time that it came from there. If the box was pinned, it still
    /// is.
    #[inline]
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: `into_raw` returns no null. INVARIANT: By the function's requirement.
        Self(unsafe { NonNull::new_unchecked(raw) }, PhantomData)
    }

    /// Pins the object where it is.
    ///
    /// Context: Any context, NMI included.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, CBox, Cache};
    /// use kernel::prelude::*;
    ///
    /// let cache = Cache::<u64>::new(c"example_into_pin", Args::new())?;
    /// let number: Pin<CBox<u64>> = CBox::into_pin(cache.alloc(7, GFP_KERNEL)?);
    /// assert_eq!(*number, 7);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn into_pin(this: Self) -> Pin<Self> {
        // SAFETY: The object stays where it is until it has been dropped, and there is no way to
        // take a `T` out of its box; `Deref`, `DerefMut` and `Drop` do not move it.
        unsafe { Pin::new_unchecked(this) }
    }
}

impl<T> CBox<T> {
    /// Puts `value` into an object.
    ///
    /// # Safety
    ///
    /// `obj` is an object of a cache of exactly `T`s, allocated, empty, and the caller's.
    #[inline]
    pub(crate) unsafe fn fill(obj: NonNull<T>, value: T) -> Self {
        // SAFETY: By the function's requirements it has room and alignment for a `T`.
        unsafe { obj.write(value) };
        // INVARIANT: It holds a valid `T` now.
        Self(obj, PhantomData)
    }

    /// Initialises a `T` in an object, or frees the object if that fails.
    ///
    /// # Safety
    ///
    /// As for [`CBox::fill`].
    #[inline]
    pub(crate) unsafe fn fill_with<E>(
        obj: NonNull<T>,
        init: impl PinInit<T, E>,
    ) -> CoreResult<Pin<Self>, E> {
        // SAFETY: By the function's requirements it has room and alignment for a `T`; if this
        // fails it holds nothing.
        if let Err(e) = unsafe { init_at(obj.as_ptr(), init) } {
            // SAFETY: The caller's, by the function's requirements, and it goes no further.
            unsafe { gs_object_free(obj.as_ptr().cast()) };
            return Err(e);
        }
        // INVARIANT: It holds a valid `T` now.
        Ok(CBox::into_pin(Self(obj, PhantomData)))
    }
}

/// Initialises the memory at `slot`; `pin-init` renamed its own function for that.
///
/// # Safety
///
/// `slot` must be valid for a write of a `T`, and what is there must not move if this succeeds.
#[inline]
unsafe fn init_at<T, E>(slot: *mut T, init: impl PinInit<T, E>) -> CoreResult<(), E> {
    // SAFETY: By the function's requirements.
    #[cfg(gs_pinned_init)]
    return unsafe { init.__pinned_init(slot) };
    // SAFETY: By the function's requirements.
    #[cfg(not(gs_pinned_init))]
    return unsafe { pin_init::raw_try_init(slot, init) };
}

impl<T: Send + 'static> CBox<T> {
    /// Frees the object after a grace period: RCU readers that still have it keep it until then.
    ///
    /// `T`'s `Drop` runs after the grace period, once, in process context, in whatever thread:
    /// that is why `T` must be [`Send`]. It runs at some later time, which is why `T` must not
    /// borrow anything.
    ///
    /// The code of that `Drop` is the module's that made the cache, or if that has gone, the
    /// caller's: whichever has it, it does not go before the object was dropped. Only where
    /// another module calls this while the one that made the cache goes, the object may be leaked:
    /// it is not dropped then, and its memory is not used again.
    ///
    /// Readers of an object that was a `CBox` all the time are a matter of `unsafe` code. Where
    /// they are not, see [`RcuBox`](super::rcubox::RcuBox).
    ///
    /// Context: Any context, NMI included. Never sleeps, never fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::{Args, Cache};
    /// use kernel::{
    ///     prelude::*,
    ///     sync::{rcu, Arc},
    /// };
    ///
    /// let words = Arc::new(7u32, GFP_KERNEL)?;
    /// let cache = Cache::<Arc<u32>>::new(c"example_free_rcu", Args::new())?;
    /// let object = cache.alloc(words.clone(), GFP_KERNEL)?;
    ///
    /// let guard = rcu::read_lock();
    /// object.free_rcu();
    /// // Its drop waits for the guard.
    /// drop(guard);
    /// cache.barrier();
    /// assert!(Arc::into_unique_or_drop(words).is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn free_rcu(self) {
        let obj = CBox::into_raw(self);
        // SAFETY: The object is the caller's to give up, by the type's invariants. `T` may be
        // dropped by another thread, being `Send`, and later, being `'static`; and its cache has
        // exactly `T`'s destructor, of its own or from here.
        unsafe {
            if needs_drop::<T>() {
                gs_object_drop_rcu(obj.cast(), drop_object::<T>)
            } else {
                gs_object_free_rcu(obj.cast())
            }
        }
    }

    /// Frees a pinned object after a grace period, as [`CBox::free_rcu`] does.
    ///
    /// Context: Any context, NMI included. Never sleeps, never fails.
    #[inline]
    pub fn free_rcu_pinned(this: Pin<Self>) {
        // SAFETY: The object is dropped where it is, before its memory is used again.
        unsafe { Pin::into_inner_unchecked(this) }.free_rcu()
    }
}

impl<T> From<CBox<T>> for Pin<CBox<T>> {
    #[inline]
    fn from(this: CBox<T>) -> Self {
        CBox::into_pin(this)
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
