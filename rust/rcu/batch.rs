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
pub(crate) struct Fifo<C> {
    head: *mut Sheaf<C>,
    tail: *mut Sheaf<C>,
}

impl<C> Fifo<C> {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            head: core::ptr::null_mut(),
            tail: core::ptr::null_mut(),
        }
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
                self.head = batch;
            } else {
                (*self.tail).next = batch;
            }
        }
        self.tail = batch;
    }

    /// Whether the oldest batch is ripe.
    pub(crate) fn ripe(&mut self, poll: impl FnOnce(&mut C) -> bool) -> bool {
        // SAFETY: A non-null `head` is a batch that the list owns.
        !self.head.is_null() && poll(unsafe { &mut (*self.head).cookie })
    }

    /// Takes the oldest batch, or null.
    pub(crate) fn pop(&mut self) -> *mut Sheaf<C> {
        let batch = self.head;
        if !batch.is_null() {
            // SAFETY: A non-null `head` is a batch that the list owns.
            self.head = unsafe { (*batch).next };
            if self.head.is_null() {
                self.tail = core::ptr::null_mut();
            }
            // SAFETY: As above; the caller owns it from here on.
            unsafe { (*batch).next = core::ptr::null_mut() };
        }
        batch
    }
}
