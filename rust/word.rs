// SPDX-License-Identifier: GPL-2.0

//! A machine word of bits, and a byte of them, shared between all contexts.
//!
//! The kernel crate's `Atomic` has no bitwise operations yet, so they come from the shim. User
//! space tests put a `word` module of their own in this one's place, which is why `bits`,
//! `epoch` and the like know nothing else of the kernel.

use crate::sys;
use core::cell::UnsafeCell;
use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed, Release};

/// Bits in a [`Word`].
pub(crate) const BITS: usize = usize::BITS as usize;

/// A word of bits; every access is atomic.
#[repr(transparent)]
pub(crate) struct Word(UnsafeCell<usize>);

// SAFETY: All accesses to the word are atomic.
unsafe impl Sync for Word {}

impl Word {
    /// A word that holds `v`.
    #[inline]
    pub(crate) const fn new(v: usize) -> Self {
        Self(UnsafeCell::new(v))
    }

    #[inline]
    fn atomic(&self) -> &Atomic<usize> {
        // SAFETY: `self` is aligned and lives as long as the reference, and all its accesses are
        // atomic.
        unsafe { Atomic::from_ptr(self.0.get()) }
    }

    /// Reads the word, without ordering.
    #[inline]
    pub(crate) fn load(&self) -> usize {
        self.atomic().load(Relaxed)
    }

    /// Reads the word, before whatever follows. The caller names the store that this pairs with.
    #[inline]
    pub(crate) fn load_acquire(&self) -> usize {
        self.atomic().load(Acquire)
    }

    /// Writes the word, after whatever came before. The caller names the load that this pairs with.
    #[inline]
    pub(crate) fn store_release(&self, v: usize) {
        self.atomic().store(v, Release)
    }

    /// Replaces the word, fully ordered.
    #[inline]
    pub(crate) fn swap(&self, v: usize) -> usize {
        self.atomic().xchg(v, Full)
    }

    /// Adds to the word, fully ordered, and returns what it was.
    #[inline]
    pub(crate) fn fetch_add(&self, v: isize) -> usize {
        self.atomic().fetch_add(v as usize, Full)
    }

    /// Sets bits, fully ordered, and returns what the word was.
    #[inline]
    pub(crate) fn fetch_or(&self, bits: usize) -> usize {
        // SAFETY: `self` is a valid, aligned word whose accesses are all atomic.
        unsafe { sys::gs_sys_fetch_or(self.0.get(), bits) }
    }

    /// Keeps only `bits`, fully ordered, and returns what the word was.
    #[inline]
    pub(crate) fn fetch_and(&self, bits: usize) -> usize {
        // SAFETY: `self` is a valid, aligned word whose accesses are all atomic.
        unsafe { sys::gs_sys_fetch_and(self.0.get(), bits) }
    }

    /// The word's address, for the C side.
    pub(crate) fn as_ptr(&self) -> *mut usize {
        self.0.get()
    }
}

/// A byte of bits; every access is atomic.
#[repr(transparent)]
pub(crate) struct Byte(Atomic<i8>);

impl Byte {
    /// A byte that holds `v`.
    pub(crate) const fn new(v: u8) -> Self {
        Self(Atomic::new(v as i8))
    }

    /// Reads the byte, without ordering.
    pub(crate) fn load(&self) -> u8 {
        self.0.load(Relaxed) as u8
    }

    /// Replaces the byte if it is `old`, fully ordered; what it is if it was not, without ordering.
    /// The caller names what this pairs with.
    pub(crate) fn cmpxchg(&self, old: u8, new: u8) -> Result<(), u8> {
        match self.0.cmpxchg(old as i8, new as i8, Full) {
            Ok(_) => Ok(()),
            Err(now) => Err(now as u8),
        }
    }
}

/// A full memory barrier between all CPUs.
pub(crate) fn full_barrier() {
    // SAFETY: May be called in any context.
    unsafe { sys::gs_sys_smp_mb() }
}
