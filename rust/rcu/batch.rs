// SPDX-License-Identifier: GPL-2.0

//! Batches of objects on their way through a grace period.
//!
//! ```text
//!   open ── full, old, barrier ──► sealed(cookie) ── grace period ──► ripe ──► reclaimed
//! ```
//!
//! A batch is a sheaf. It is *open* while a CPU's section appends to it, *sealed* once it has a
//! cookie, *ripe* when that cookie has completed. The cookie is taken once, when the batch is
//! sealed: right for everything that this CPU added before, and older batches never wait for
//! newer ones.

use super::sheaf::Sheaf;

/// Sealed batches, oldest first.
///
/// # Invariants
///
/// `tail` is null if and only if `head` is; otherwise `tail` is reached from `head` by `next`.
/// `len` batches are reached, whose [`Fifo::weight_of`] is `weight` in all.
#[repr(C)]
pub(crate) struct Fifo<C> {
    head: *mut Sheaf<C>,
    tail: *mut Sheaf<C>,
    len: usize,
    weight: usize,
}

impl<C> Fifo<C> {
    /// A batch as a number of small ones, of 60 objects.
    fn weight_of(batch: &Sheaf<C>) -> usize {
        1 + batch.cap() as usize / 64
    }

    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            head: core::ptr::null_mut(),
            tail: core::ptr::null_mut(),
            len: 0,
            weight: 0,
        }
    }

    /// Others look whether there is one, without the lock.
    fn set_head(&mut self, batch: *mut Sheaf<C>) {
        // SAFETY: The place is the list's; the volatile store is the kernel's WRITE_ONCE().
        unsafe { (&raw mut self.head).write_volatile(batch) }
    }

    /// Whether no batch is sealed, or none was a moment ago; for a look without the lock.
    ///
    /// # Safety
    ///
    /// `this` is valid.
    pub(crate) unsafe fn seems_empty(this: *const Self) -> bool {
        // SAFETY: By the function's requirement; the volatile load is the kernel's READ_ONCE().
        unsafe { (&raw const (*this).head).read_volatile() }.is_null()
    }

    /// Number of sealed batches.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of sealed batches, a large one counted as the small ones that it stands for.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Whether no batch is sealed.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Seals `batch` with `cookie` and appends it.
    ///
    /// # Safety
    ///
    /// The caller must own `batch` and gives it to the list. `cookie` was taken after the last
    /// object was added.
    pub(crate) unsafe fn seal(&mut self, batch: *mut Sheaf<C>, cookie: C) {
        // SAFETY: The caller owns `batch`; `tail` is the list's own. INVARIANT: `batch` is the
        // new tail and reached from the old one, or from `head`.
        unsafe {
            (*batch).cookie = cookie;
            (*batch).next = core::ptr::null_mut();
            if self.tail.is_null() {
                self.set_head(batch);
            } else {
                (*self.tail).next = batch;
            }
        }
        self.tail = batch;
        self.len += 1;
        // SAFETY: The list's own, from here on.
        self.weight += Self::weight_of(unsafe { &*batch });
    }

    /// Whether the oldest batch is ripe.
    pub(crate) fn ripe(&mut self, poll: impl FnOnce(&mut C) -> bool) -> bool {
        // SAFETY: A non-null `head` is a batch that the list owns.
        !self.head.is_null() && poll(unsafe { &mut (*self.head).cookie })
    }

    /// The cookie of the oldest batch.
    pub(crate) fn oldest(&self) -> Option<C>
    where
        C: Copy,
    {
        // SAFETY: A non-null `head` is a batch that the list owns.
        (!self.head.is_null()).then(|| unsafe { (*self.head).cookie })
    }

    /// How many batches are ripe: they are the oldest ones.
    pub(crate) fn count_ripe(&mut self, mut poll: impl FnMut(&mut C) -> bool) -> usize {
        let (mut batch, mut n) = (self.head, 0);
        // SAFETY: Each of them is a batch that the list owns.
        unsafe {
            while !batch.is_null() && poll(&mut (*batch).cookie) {
                batch = (*batch).next;
                n += 1;
            }
        }
        n
    }

    /// Takes the oldest batch, or null.
    pub(crate) fn pop(&mut self) -> *mut Sheaf<C> {
        let batch = self.head;
        if !batch.is_null() {
            self.len -= 1;
            // SAFETY: A non-null `head` is a batch that the list owns.
            self.weight -= Self::weight_of(unsafe { &*batch });
            // SAFETY: As above.
            self.set_head(unsafe { (*batch).next });
            if self.head.is_null() {
                self.tail = core::ptr::null_mut();
            }
            // SAFETY: As above; the caller owns it from here on.
            unsafe { (*batch).next = core::ptr::null_mut() };
        }
        batch
    }
}
