// SPDX-License-Identifier: GPL-2.0

//! What is written under a lock and also looked at without it, by somebody who takes the lock
//! before acting on it.

/// See the module. Volatile accesses are the kernel's READ_ONCE() and WRITE_ONCE().
#[repr(transparent)]
pub(crate) struct Hint<T: Copy>(T);

impl<T: Copy> Hint<T> {
    /// A hint that is `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// Its value, for the holder of the lock.
    pub(crate) fn get(&self) -> T {
        self.0
    }

    /// Changes it.
    pub(crate) fn set(&mut self, value: T) {
        // SAFETY: The place is the caller's to write to.
        unsafe { (&raw mut self.0).write_volatile(value) }
    }

    /// Its value now or a moment ago, without the lock.
    ///
    /// # Safety
    ///
    /// `this` is valid; others write to it by [`Self::set`] only.
    pub(crate) unsafe fn look(this: *const Self) -> T {
        // SAFETY: By the function's requirement, no write is seen in part.
        unsafe { (&raw const (*this).0).read_volatile() }
    }
}
