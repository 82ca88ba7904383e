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

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::{
        null_mut,
        NonNull, //
    }, //
};
use kernel::sync::{
    atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed, //
    },
    rcu, //
};

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// An owning pointer that [`Rcu`] can publish: [`RcuBox`](super::rcubox::RcuBox).
///
/// The kernel's own boxes are none as yet. Whatever is published is retired by whoever drops it,
/// in whatever context, so that takes a way to defer a free which neither sleeps nor can fail, as
/// an object of a cache has it and memory of kmalloc or vmalloc has not.
///
/// # Safety
///
/// The pointer that [`RcuPointer::into_raw`] returns is valid, for shared access from any thread,
/// until a grace period has passed since [`RcuPointer::retire`] was called.
pub unsafe trait RcuPointer: sealed::Sealed + Send + Sized + 'static {
    /// What it points to. Readers look at it in all threads at once, whence [`Sync`]; the last
    /// one to have it drops it, whence [`Send`].
    type Target: Send + Sync + 'static;

    /// Gives what it owns up to the caller.
    #[doc(hidden)]
    fn into_raw(self) -> NonNull<Self::Target>;

    /// Frees after a grace period. Never sleeps, never fails.
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
/// # Dropping
///
/// A drop retires what is published, and that lives on until its readers are gone.
///
/// Context: Any context, NMI included. Never sleeps, never fails.
///
/// # Threads
///
/// It is [`Send`] and [`Sync`] for every `P`. A shared one lets a `P` go from thread to thread,
/// by [`Rcu::replace`], for which a [`RcuPointer`] is [`Send`]; and lets its readers share what
/// it points to, for which that is [`Sync`].
///
/// # Invariants
///
/// The pointer is null or from [`RcuPointer::into_raw`], and owned by this; it is retired no
/// earlier than it was overwritten.
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
pub struct Rcu<P: RcuPointer> {
    pointer: Atomic<*mut P::Target>,
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
    #[inline]
    pub const fn null() -> Self {
        // INVARIANT: Null.
        Self {
            pointer: Atomic::new(null_mut()),
            _owned: PhantomData,
        }
    }

    /// Publishes `value`.
    #[inline]
    pub fn new(value: P) -> Self {
        // INVARIANT: From `into_raw`, and ours.
        Self {
            pointer: Atomic::new(value.into_raw().as_ptr()),
            _owned: PhantomData,
        }
    }

    /// Follows the pointer. What it leads to is there for as long as `guard` is held, whether it
    /// is replaced meanwhile, or even the `Rcu` itself dropped.
    ///
    /// Context: Any context, NMI included.
    #[inline]
    pub fn dereference<'g>(&self, _guard: &'g rcu::Guard) -> Option<&'g P::Target> {
        // ORDERING: Pairs with the full exchange in `replace`, or with what handed the `Rcu` over
        // to this thread: the target is seen whole.
        let target = self.pointer.load(Acquire);
        // SAFETY: By the type's invariants it is null or was owned by `self` when it was loaded,
        // within the guard's read-side section. It is retired after that, and valid for another
        // grace period, which waits for the guard.
        unsafe { target.as_ref() }
    }

    /// Publishes `new`, or nothing, and returns what was there.
    ///
    /// Readers see the one or the other, and either one whole.
    ///
    /// Context: Any context, NMI included. Never sleeps.
    #[inline]
    pub fn replace(&self, new: Option<P>) -> Option<RcuOld<P>> {
        let new = new.map_or(null_mut(), |p| p.into_raw().as_ptr());
        // ORDERING: The release half pairs with the acquire in `dereference`, the acquire half
        // with the release half of the exchange that published what is returned.
        let old = self.pointer.xchg(new, Full);
        // INVARIANT: The exchange passes the ownership of `old` on, to nobody else.
        NonNull::new(old).map(|target| RcuOld {
            target,
            _owned: PhantomData,
        })
    }

    /// Publishes nothing, and returns what was there.
    ///
    /// Context: Any context, NMI included. Never sleeps.
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
        if let Some(target) = NonNull::new(self.pointer.load(Relaxed)) {
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
/// Context: Any context, NMI included. Never sleeps, never fails.
///
/// # Threads
///
/// It is [`Send`] and [`Sync`] for every `P`, which is [`Send`] and whose target is [`Sync`].
///
/// # Invariants
///
/// The pointer is from [`RcuPointer::into_raw`], owned by this and not published any more.
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
