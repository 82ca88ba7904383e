// SPDX-License-Identifier: GPL-2.0

//! A bucket array, and the pointer that publishes it.

use crate::{
    entry::{
        Entry,
        Holds,
        Link,
        Side, //
    },
    table::Writer, //
};
use core::{
    mem::ManuallyDrop,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    }, //
};

/// Pointers given to [`graceslab::kvfree_rcu`] since the module was loaded.
pub(crate) static RETIRED: Atomic<u64> = Atomic::new(0);

/// A power of two of chains, strung along one [`Side`] of the entries.
///
/// Neither this nor its array has anything to drop: what [`graceslab::kvfree_rcu`] asks of memory
/// that it frees.
pub(crate) struct Buckets {
    heads: ManuallyDrop<KVVec<Link>>,
    side: Side,
}

impl Buckets {
    /// Makes an array of `len` empty chains; `len` is a power of two.
    pub(crate) fn new(len: usize, side: Side) -> Result<KBox<Self>> {
        let mut heads = KVVec::with_capacity(len, GFP_KERNEL)?;
        for _ in 0..len {
            heads.push(Link::null(), GFP_KERNEL)?;
        }
        Ok(KBox::new(
            Self {
                heads: ManuallyDrop::new(heads),
                side,
            },
            GFP_KERNEL,
        )?)
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    pub(crate) fn heads(&self) -> &[Link] {
        &self.heads
    }

    pub(crate) fn head(&self, hash: u32) -> &Link {
        // `len` is never zero.
        &self.heads[hash as usize & (self.len() - 1)]
    }

    /// Finds a key: the link to its entry, or the last link of the chain where it would be.
    pub(crate) fn find<'h, H: Holds>(
        &'h self,
        hash: u32,
        key: &[u8],
        holds: &'h H,
    ) -> (&'h Link, Option<&'h Entry>) {
        let mut link = self.head(hash);
        loop {
            match link.get(holds) {
                Some(entry) if !entry.is(hash, key) => link = entry.link(self.side),
                found => return (link, found),
            }
        }
    }
}

/// The bucket array that readers use.
///
/// # Invariants
///
/// Points to a `Buckets` from `KBox::into_raw()`, which is freed no earlier than a grace period
/// after the pointer was overwritten.
pub(crate) struct Current(Atomic<*mut Buckets>);

impl Current {
    pub(crate) fn new(buckets: KBox<Buckets>) -> Self {
        // INVARIANT: From `KBox::into_raw()`, and freed by `replace` or `drop` only.
        Self(Atomic::new(KBox::into_raw(buckets)))
    }

    /// The array as of now.
    pub(crate) fn get<'h, H: Holds>(&self, _: &'h H) -> &'h Buckets {
        // ORDERING: Acquire pairs with the release in `Current::replace`: the chains are seen whole.
        let buckets = self.0.load(Acquire);
        // SAFETY: By the type invariants; a reader's guard holds up the grace period, and a writer
        // needs its `Writer` mutably to replace the array.
        unsafe { &*buckets }
    }

    /// Publishes `new`; the old array is freed when its readers are gone.
    ///
    /// May sleep.
    pub(crate) fn replace(&self, _: &mut Writer, new: KBox<Buckets>) {
        let old = self.0.load(Relaxed);
        // INVARIANT: From `KBox::into_raw()`; the old one is freed after a grace period.
        // ORDERING: Release pairs with the acquire in `Current::get`.
        self.0.store(KBox::into_raw(new), Release);
        // SAFETY: `old` was current until now and the only pointer is ours.
        unsafe { retire(old) };
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // SAFETY: Nobody can load the pointer any more.
        unsafe { retire(self.0.load(Relaxed)) };
    }
}

/// Frees an array and its header after a grace period.
///
/// # Safety
///
/// `old` is from `KBox::into_raw()`, no longer published, and the caller gives it up.
unsafe fn retire(old: *mut Buckets) {
    // SAFETY: `old` is valid. Readers only read it, as we do here; that the field is not dropped
    // with `old` leaves the array to us alone.
    let heads = unsafe { ptr::read(&raw const (*old).heads) };
    // SAFETY: The caller gives `old` up.
    let header = unsafe { KBox::from_raw(old) };

    RETIRED.add(2, Relaxed);
    graceslab::kvfree_rcu(ManuallyDrop::into_inner(heads));
    graceslab::kvfree_rcu(header);
}
