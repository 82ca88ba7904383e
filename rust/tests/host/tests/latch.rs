// SPDX-License-Identifier: GPL-2.0

//! A latch that is read in an NMI, wherever the writer is that it interrupts: the reader finds a
//! whole pair, and at its first look, for the writer does not go on before it returns.

#[path = "../../../own/latch.rs"]
mod latch;

mod word {
    use std::cell::Cell;

    thread_local! {
        /// Accesses to words since the last reset.
        pub static ACCESSES: Cell<usize> = const { Cell::new(0) };
        /// What is called before and after each access.
        pub static NMI: Cell<Option<fn()>> = const { Cell::new(None) };
    }

    /// A word whose accesses are interrupted.
    pub struct Word(Cell<usize>);

    impl Word {
        pub const fn new(v: usize) -> Self {
            Self(Cell::new(v))
        }

        fn access(&self, new: Option<usize>) -> usize {
            // There is no NMI in an NMI.
            let nmi = NMI.take();
            nmi.inspect(|f| f());
            ACCESSES.set(ACCESSES.get() + 1);
            let old = self.0.get();
            self.0.set(new.unwrap_or(old));
            nmi.inspect(|f| f());
            NMI.set(nmi);
            old
        }

        pub fn load(&self) -> usize {
            self.access(None)
        }

        pub fn load_acquire(&self) -> usize {
            self.access(None)
        }

        pub fn store_release(&self, v: usize) {
            self.access(Some(v));
        }
    }
}

use latch::Latch;
use std::cell::Cell;
use word::{ACCESSES, NMI};

thread_local! {
    static LATCH: Latch = const { Latch::new((0, !0)) };
    /// Reads in NMI, and the newest number that one found.
    static READS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Reads, and looks at what it found.
fn read() {
    let begin = ACCESSES.get();
    let (n, complement) = LATCH.with(Latch::load);
    assert_eq!(n, !complement);
    // The number, the pair, the number: one look.
    assert_eq!(ACCESSES.get() - begin, 4);
    let (reads, newest) = READS.get();
    assert!(n == newest || n == newest + 1);
    READS.set((reads + 1, n));
}

#[test]
fn read_in_nmi() {
    for n in 1..5 {
        NMI.set(Some(read));
        let old = LATCH.with(|latch| latch.replace((n, !n)));
        NMI.set(None);
        assert_eq!(old, (n - 1, !(n - 1)));
        assert_eq!(READS.get().1, n);
    }
    // Before and after each of the six accesses of each of the writers.
    assert_eq!(READS.get().0, 4 * 6 * 2);
}
