// SPDX-License-Identifier: GPL-2.0

//! [`Rcu`]: a pointer that RCU readers follow while it is replaced.
//!
//! ```text
//!            replace(new)              dropped            grace period
//!   Rcu<P> ────────────────► RcuOld<P> ───────► deferred ──────────────► freed
//!      │                                           ▲
//!      └──────────────── dropped ──────────────────┘
//! ```
//!
//! A reader that followed the pointer before it was replaced has the old value until its guard
//! goes. So nothing that was ever published is freed, nor written to, before a grace period has
//! passed since it could last be found.

use super::{
    sealed::Sealed,
    slot::Slot, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::sync::rcu;

/// An owning pointer that [`Rcu`] can publish.
///
/// | pointer | readers see | a drop of what was published |
/// |---|---|---|
/// | [`RcuBox<T>`](super::rcubox::RcuBox) | `&T` | drops the `T`, and frees it, after a grace period |
/// | `KBox<T>`, `VBox<T>`, `KVBox<T>`, or any of these pinned | `&T` | frees the memory after a grace period |
/// | `KVec<T>`, `VVec<T>`, `KVVec<T>` | `&[T]` | frees the memory after a grace period |
///
/// A `T` of the kernel's own boxes and vectors must not need dropping, for nobody would drop it:
/// to make an [`Rcu`] of one that does fails to compile.
///
/// # Safety
///
/// The pointer that [`RcuPointer::into_raw`] returns is valid, for shared access from any thread,
/// until a grace period has passed since [`RcuPointer::retire`] was called.
///
/// # Examples
///
/// ```
/// use graceslab::{Rcu, RcuPointer};
/// use kernel::{prelude::*, sync::rcu};
///
/// /// Whether there is anything.
/// fn is_published<P: RcuPointer>(pointer: &Rcu<P>) -> bool {
///     pointer.dereference(&rcu::read_lock()).is_some()
/// }
///
/// let limit = Rcu::new(KBox::new(100u32, GFP_KERNEL)?);
/// assert!(is_published(&limit));
/// assert!(!is_published(&Rcu::<KVec<u8>>::null()));
/// # Ok::<(), Error>(())
/// ```
pub unsafe trait RcuPointer: Sealed + Send + Sized + 'static {
    /// What it points to. Readers look at it in all threads at once, whence [`Sync`]; the last
    /// one to have it drops it, whence [`Send`].
    type Target: ?Sized + Send + Sync + 'static;

    /// Where [`Rcu`] keeps it.
    #[doc(hidden)]
    type Slot: Slot<Self::Target>;

    /// Fails to compile where what it points to cannot be retired.
    #[doc(hidden)]
    const RETIRES: () = ();

    /// Gives what it owns up to the caller.
    #[doc(hidden)]
    fn into_raw(self) -> NonNull<Self::Target>;

    /// Frees after a grace period. Never sleeps, never fails.
    ///
    /// Context: Any context; but NMI for the kernel's own boxes and vectors.
    ///
    /// # Safety
    ///
    /// `raw` must come from `into_raw`, no reader that comes later can find it, and it is given
    /// to this function once.
    #[doc(hidden)]
    unsafe fn retire(raw: NonNull<Self::Target>);
}

/// A published pointer, or none: readers follow it, and a writer replaces it under them.
///
/// Readers take no lock and are never held up. Writers need not exclude each other either:
/// each [`Rcu::replace`] gets another old value. What they have to agree on is what they publish.
///
/// It is one word for what has a thin pointer. For a vector it is five: readers find the pointer
/// with the length that it was published with, whatever writers do meanwhile.
///
/// # Dropping
///
/// A drop retires what is published, and that lives on until its readers are gone.
///
/// Context: Any context; but NMI for the kernel's own boxes and vectors. Never sleeps, never
/// fails.
///
/// # Threads
///
/// It is [`Send`] and [`Sync`] for every `P`. A shared one lets a `P` go from thread to thread,
/// by [`Rcu::replace`], for which a [`RcuPointer`] is [`Send`]; and lets its readers share what
/// it points to, for which that is [`Sync`]. Readers may have it for longer than the `Rcu` is
/// there, for which it is `'static`.
///
/// # Invariants
///
/// What the slot has is from [`RcuPointer::into_raw`], and owned by this; it is retired no
/// earlier than it was replaced.
///
/// # Examples
///
/// ```
/// use graceslab::{Args, Cache, Rcu};
/// use kernel::{prelude::*, sync::rcu};
///
/// struct Limits {
///     low: u32,
///     high: u32,
/// }
///
/// let cache = Cache::<Limits>::new(c"example_limits", Args::default())?;
/// let current = Rcu::new(cache.alloc_rcu(Limits { low: 1, high: 2 }, GFP_KERNEL)?);
///
/// // A reader.
/// let guard = rcu::read_lock();
/// if let Some(limits) = current.dereference(&guard) {
///     assert!(limits.low < limits.high);
/// }
/// drop(guard);
///
/// // A writer.
/// let new = cache.alloc_rcu(Limits { low: 3, high: 4 }, GFP_KERNEL)?;
/// let old = current.replace(Some(new));
/// assert_eq!(old.map(|limits| limits.high), Some(2));
///
/// drop(current);
/// cache.destroy()?;
/// # Ok::<(), Error>(())
/// ```
///
/// A table that grows under its readers, in the kernel's own memory:
///
/// ```
/// use graceslab::Rcu;
/// use kernel::{prelude::*, sync::rcu};
///
/// static TABLE: Rcu<KVVec<u32>> = Rcu::null();
///
/// TABLE.replace(Some(KVVec::from_elem(7, 2, GFP_KERNEL)?));
/// let longer = KVVec::from_elem(8, 1000, GFP_KERNEL)?;
///
/// let guard = rcu::read_lock();
/// let before = TABLE.dereference(&guard);
/// // Nobody waits for the readers of the old one, which is freed when they are done.
/// drop(TABLE.replace(Some(longer)));
/// assert_eq!(before, Some(&[7, 7][..]));
/// let after = TABLE.dereference(&guard);
/// assert_eq!(after.map(|table| table.len()), Some(1000));
/// drop(guard);
/// # drop(TABLE.take());
/// # Ok::<(), Error>(())
/// ```
pub struct Rcu<P: RcuPointer> {
    slot: P::Slot,
    _owned: PhantomData<P>,
}

// SAFETY: It owns a `P`, which is `Send`. References to what that points to, that were had by
// `dereference`, may stay behind: the target is `Sync`.
unsafe impl<P: RcuPointer> Send for Rcu<P> {}
// SAFETY: A shared one gives shared access to the target, which is `Sync`, and moves a `P`, which
// is `Send`, to the thread that replaces it.
unsafe impl<P: RcuPointer> Sync for Rcu<P> {}

impl<P: RcuPointer> Rcu<P> {
    /// Publishes nothing as yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::Rcu;
    /// use kernel::{prelude::*, sync::rcu};
    ///
    /// static MOTD: Rcu<KVec<u8>> = Rcu::null();
    ///
    /// assert!(MOTD.dereference(&rcu::read_lock()).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub const fn null() -> Self {
        const { P::RETIRES };
        // INVARIANT: There is nothing.
        Self {
            slot: <P::Slot as Slot<P::Target>>::NULL,
            _owned: PhantomData,
        }
    }

    /// Publishes `value`.
    ///
    /// Context: Any context, NMI included.
    #[inline]
    pub fn new(value: P) -> Self {
        const { P::RETIRES };
        // INVARIANT: From `into_raw`, and ours.
        Self {
            slot: Slot::new(value.into_raw()),
            _owned: PhantomData,
        }
    }

    /// Follows the pointer. What it leads to is there for as long as `guard` is held, whether it
    /// is replaced meanwhile, or even the `Rcu` itself dropped.
    ///
    /// Context: Any context, NMI included. Waits for nobody.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::Rcu;
    /// use kernel::{prelude::*, sync::rcu};
    ///
    /// let name = Rcu::new(KVec::from_elem(b'a', 3, GFP_KERNEL)?);
    /// let guard = rcu::read_lock();
    /// let seen = name.dereference(&guard);
    /// drop(name);
    /// assert_eq!(seen, Some(&b"aaa"[..]));
    /// # drop(guard);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn dereference<'g>(&self, _guard: &'g rcu::Guard) -> Option<&'g P::Target> {
        // SAFETY: By the type's invariants it was owned by `self` when it was loaded, within the
        // guard's read-side section. It is retired after that, and valid for another grace
        // period, which waits for the guard. The slot orders what is in it before the load.
        self.slot.load().map(|target| unsafe { target.as_ref() })
    }

    /// Publishes `new`, or nothing, and returns what was there.
    ///
    /// Readers see the one or the other, and either one whole.
    ///
    /// Context: Any context; but NMI for a vector, whose two words take a lock. Never sleeps.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::Rcu;
    /// use kernel::prelude::*;
    ///
    /// let limit = Rcu::new(KBox::new(100u32, GFP_KERNEL)?);
    /// let old = limit.replace(Some(KBox::new(200, GFP_KERNEL)?));
    /// assert_eq!(old.as_deref(), Some(&100));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn replace(&self, new: Option<P>) -> Option<RcuOld<P>> {
        // INVARIANT: The slot passes the ownership of what was there on, to nobody else.
        self.slot
            .replace(new.map(P::into_raw))
            .map(|target| RcuOld {
                target,
                _owned: PhantomData,
            })
    }

    /// Publishes nothing, and returns what was there.
    ///
    /// Context: As [`Rcu::replace`].
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::Rcu;
    /// use kernel::prelude::*;
    ///
    /// let limit = Rcu::new(KBox::new(100u32, GFP_KERNEL)?);
    /// assert_eq!(limit.take().as_deref(), Some(&100));
    /// assert!(limit.take().is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn take(&self) -> Option<RcuOld<P>> {
        self.replace(None)
    }
}

impl<P: RcuPointer> Default for Rcu<P> {
    #[inline]
    fn default() -> Self {
        Self::null()
    }
}

impl<P: RcuPointer> From<P> for Rcu<P> {
    #[inline]
    fn from(value: P) -> Self {
        Self::new(value)
    }
}

impl<P: RcuPointer> Drop for Rcu<P> {
    #[inline]
    fn drop(&mut self) {
        // Nobody else has it any more: what `replace` did elsewhere happened before.
        if let Some(target) = self.slot.load() {
            // SAFETY: By the type's invariants; nobody can load it again.
            unsafe { P::retire(target) }
        }
    }
}

/// What was published until it was replaced: readers may still have it, so there is shared access
/// only.
///
/// # Dropping
///
/// A drop defers the free until those readers are gone.
///
/// Context: Any context; but NMI for the kernel's own boxes and vectors. Never sleeps, never
/// fails. Where there is no memory at all, that of the kernel's own boxes and vectors is leaked in
/// the last resort, with a warning; an [`RcuBox`](super::rcubox::RcuBox) needs none.
///
/// # Threads
///
/// It is [`Send`] and [`Sync`] for every `P`, which is [`Send`] and whose target is [`Sync`].
///
/// # Invariants
///
/// The pointer is from [`RcuPointer::into_raw`], owned by this and not published any more.
///
/// # Examples
///
/// ```
/// use graceslab::{Rcu, RcuOld};
/// use kernel::prelude::*;
///
/// let table = Rcu::new(KVec::from_elem(1u8, 4, GFP_KERNEL)?);
/// let old: Option<RcuOld<KVec<u8>>> = table.take();
/// assert_eq!(old.as_deref(), Some(&[1, 1, 1, 1][..]));
/// // Readers that followed the pointer before it was taken are still served after this.
/// drop(old);
/// # Ok::<(), Error>(())
/// ```
pub struct RcuOld<P: RcuPointer> {
    target: NonNull<P::Target>,
    _owned: PhantomData<P>,
}

// SAFETY: It owns a `P`, which is `Send`; readers elsewhere share the target, which is `Sync`.
unsafe impl<P: RcuPointer> Send for RcuOld<P> {}
// SAFETY: A shared one gives shared access to the target only, which is `Sync`.
unsafe impl<P: RcuPointer> Sync for RcuOld<P> {}

impl<P: RcuPointer> RcuOld<P> {
    /// Gives access for as long as `guard` is held, be this dropped meanwhile or not.
    ///
    /// Context: Any context, NMI included.
    ///
    /// # Examples
    ///
    /// ```
    /// use graceslab::Rcu;
    /// use kernel::{prelude::*, sync::rcu};
    ///
    /// let limit = Rcu::new(KBox::new(100u32, GFP_KERNEL)?);
    /// let old = limit.take();
    /// let guard = rcu::read_lock();
    /// let seen = old.as_ref().map(|old| old.with_rcu(&guard));
    /// drop(old);
    /// assert_eq!(seen, Some(&100));
    /// # drop(guard);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn with_rcu<'g>(&self, _guard: &'g rcu::Guard) -> &'g P::Target {
        // SAFETY: By the type's invariants it is retired later than this, which is within the
        // guard's read-side section; and a grace period later than that waits for the guard.
        unsafe { self.target.as_ref() }
    }
}

impl<P: RcuPointer> Deref for RcuOld<P> {
    type Target = P::Target;

    #[inline]
    fn deref(&self) -> &P::Target {
        // SAFETY: By the type's invariants it is not retired while this is there.
        unsafe { self.target.as_ref() }
    }
}

impl<P: RcuPointer> Drop for RcuOld<P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type's invariants; it is not used again.
        unsafe { P::retire(self.target) }
    }
}
