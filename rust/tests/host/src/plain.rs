// SPDX-License-Identifier: GPL-2.0

//! A word over the machine's own atomics.

use std::sync::atomic::{fence, AtomicUsize, Ordering::*};

/// Bits in a [`Word`].
pub const BITS: usize = usize::BITS as usize;

/// A word of bits; every access is atomic.
#[repr(transparent)]
pub struct Word(AtomicUsize);

impl Word {
    /// A word that holds `v`.
    pub const fn new(v: usize) -> Self {
        Self(AtomicUsize::new(v))
    }

    /// Reads the word, without ordering.
    pub fn load(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Replaces the word.
    pub fn swap(&self, v: usize) -> usize {
        self.0.swap(v, SeqCst)
    }

    /// Adds to the word, and returns what it was.
    pub fn fetch_add(&self, v: isize) -> usize {
        self.0.fetch_add(v as usize, SeqCst)
    }

    /// Sets bits, and returns what the word was.
    pub fn fetch_or(&self, bits: usize) -> usize {
        self.0.fetch_or(bits, SeqCst)
    }

    /// Keeps only `bits`, and returns what the word was.
    pub fn fetch_and(&self, bits: usize) -> usize {
        self.0.fetch_and(bits, SeqCst)
    }
}

/// A full memory barrier.
pub fn full_barrier() {
    fence(SeqCst)
}
