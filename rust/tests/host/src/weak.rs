// SPDX-License-Identifier: GPL-2.0

//! A word over loom's atomics, which reorder whatever may be reordered.
//!
//! The kernel's 'fully ordered' is an operation between two full barriers; a sequentially
//! consistent operation is less, and loom takes it for acquire and release only. So the barriers
//! are spelled out here. The one behind [`Word::fetch_and`] is left away: where the sources need
//! it they ask for it by [`full_barrier`], and whether they do is to be seen.
//!
//! [`Word::new`] is const and loom's is not, so that the atomic is made at the first access. That
//! must be the main thread's, before it spawns others.

use loom::cell::UnsafeCell;
use loom::sync::atomic::{fence, AtomicUsize, Ordering::*};
use std::sync::OnceLock;

/// Bits in a [`Word`].
pub const BITS: usize = usize::BITS as usize;

/// A word of bits; every access is atomic.
pub struct Word {
    initial: usize,
    atomic: OnceLock<AtomicUsize>,
}

impl Word {
    /// A word that holds `v`.
    pub const fn new(v: usize) -> Self {
        Self {
            initial: v,
            atomic: OnceLock::new(),
        }
    }

    fn atomic(&self) -> &AtomicUsize {
        self.atomic.get_or_init(|| AtomicUsize::new(self.initial))
    }

    fn full(&self, op: impl FnOnce(&AtomicUsize) -> usize) -> usize {
        fence(SeqCst);
        let old = op(self.atomic());
        fence(SeqCst);
        old
    }

    /// Reads the word, without ordering.
    pub fn load(&self) -> usize {
        self.atomic().load(Relaxed)
    }

    /// Reads the word, before whatever follows.
    pub fn load_acquire(&self) -> usize {
        self.atomic().load(Acquire)
    }

    /// Writes the word, after whatever came before.
    pub fn store_release(&self, v: usize) {
        self.atomic().store(v, Release)
    }

    /// Replaces the word, fully ordered.
    pub fn swap(&self, v: usize) -> usize {
        self.full(|a| a.swap(v, AcqRel))
    }

    /// Adds to the word, fully ordered, and returns what it was.
    pub fn fetch_add(&self, v: isize) -> usize {
        self.full(|a| a.fetch_add(v as usize, AcqRel))
    }

    /// Sets bits, fully ordered, and returns what the word was.
    pub fn fetch_or(&self, bits: usize) -> usize {
        self.full(|a| a.fetch_or(bits, AcqRel))
    }

    /// Keeps only `bits`, acquires and releases, and returns what the word was.
    pub fn fetch_and(&self, bits: usize) -> usize {
        self.atomic().fetch_and(bits, AcqRel)
    }
}

/// A byte of bits; every access is atomic.
pub struct Byte(Word);

impl Byte {
    /// A byte that holds `v`.
    pub const fn new(v: u8) -> Self {
        Self(Word::new(v as usize))
    }

    /// Reads the byte, without ordering.
    pub fn load(&self) -> u8 {
        self.0.load() as u8
    }

    /// Replaces the byte if it is `old`, fully ordered; what it is if it was not.
    pub fn cmpxchg(&self, old: u8, new: u8) -> Result<(), u8> {
        let mut result = Ok(());
        self.0.full(|a| {
            let done = a.compare_exchange(old.into(), new.into(), AcqRel, Relaxed);
            result = done.map(|_| ()).map_err(|now| now as u8);
            0
        });
        result
    }
}

/// A full memory barrier.
pub fn full_barrier() {
    fence(SeqCst)
}

/// A variable that one thread at a time may have, or many that only read. Loom says if they do
/// not keep to that.
///
/// That takes more than its cell: loom does not reorder accesses to cells, but looks whether
/// what orders them is more than chance. Full barriers always do, in its eyes, so that by chance
/// is how a race would escape. Accesses to one atomic it does reorder.
pub struct Private {
    around: AtomicUsize,
    cell: UnsafeCell<usize>,
}

// SAFETY: Before an access loom makes sure that no other is concurrent, and its threads are
// really one.
unsafe impl Sync for Private {}

impl Private {
    /// A variable that is 0.
    #[allow(clippy::new_without_default, reason = "this is for models only")]
    pub fn new() -> Self {
        Self {
            around: AtomicUsize::new(0),
            cell: UnsafeCell::new(0),
        }
    }

    /// Adds one.
    pub fn add(&self) {
        self.around.fetch_add(1, Relaxed);
        // SAFETY: Loom panics if anyone else has access.
        self.cell.with_mut(|p| unsafe { *p += 1 });
    }

    /// Reads it.
    pub fn get(&self) -> usize {
        self.around.load(Relaxed);
        // SAFETY: Loom panics if anyone else is writing.
        self.cell.with(|p| unsafe { *p })
    }
}
