// SPDX-License-Identifier: GPL-2.0

//! Two words that are read as one, without waiting, while they are replaced.
//!
//! Two words cannot be written at once everywhere, so there are two copies of them and a sequence
//! number: `seq & 1` says which copy is the current one. A writer fills the other and then moves
//! the number on.
//!
//! ```text
//!   seq            0 ──────────────► 1 ──────────────► 2
//!   copy 0      current           to be filled      current
//!   copy 1      to be filled      current           to be filled
//! ```
//!
//! # Readers
//!
//! A reader takes the copy that the number says, and takes another look at the number. If that
//! has not moved, nobody has begun to fill this copy again: what was read is a pair that was
//! published. If it has, a writer has published something newer meanwhile, which is read then. So
//! a reader never waits for a writer: one that interrupts a writer on its own CPU, be it in NMI,
//! finds the number at rest and is done at once; on another CPU it looks again only when somebody
//! has replaced the pair since. (The number would have to go all the way round within one look to
//! be mistaken for itself: on 32 bits, by 2^32 replacements.)
//!
//! # Memory ordering
//!
//! | One side | Other side | What it keeps |
//! |---|---|---|
//! | [`Latch::replace`]: the copy, then `seq` (release) | [`Latch::load`]: `seq` (acquire), then the copy | The copy is no older than the number, and what it points to is seen whole |
//! | [`Latch::replace`]: `seq` moved by the writer before, then the copy (release) | [`Latch::load`]: the copy (acquire), then `seq` | Who reads a word of a copy that is being filled sees that the number has moved |

use crate::word::Word;

/// What a latch keeps.
pub(crate) type Pair = (usize, usize);

struct Copy(Word, Word);

/// See the module.
///
/// # Invariants
///
/// The copy that `seq` says was filled before `seq` got that value, and is not written while it
/// has it.
#[repr(C)]
pub(crate) struct Latch {
    seq: Word,
    copies: [Copy; 2],
}

impl Latch {
    /// Keeps `pair`.
    #[inline]
    pub(crate) const fn new(pair: Pair) -> Self {
        // INVARIANT: The first copy is the current one.
        Self {
            seq: Word::new(0),
            copies: [
                Copy(Word::new(pair.0), Word::new(pair.1)),
                Copy(Word::new(0), Word::new(0)),
            ],
        }
    }

    /// Reads the pair.
    ///
    /// Context: Any context, NMI included.
    #[inline]
    pub(crate) fn load(&self) -> Pair {
        loop {
            // ORDERING: Pairs with the last store in `replace`: the copy is no older.
            let seq = self.seq.load_acquire();
            let copy = &self.copies[seq & 1];
            // ORDERING: Each pairs with the store to the same word in `replace`: if this is what
            // a later writer stored, the number is seen to have moved.
            let pair = (copy.0.load_acquire(), copy.1.load_acquire());
            if self.seq.load() == seq {
                return pair;
            }
        }
    }

    /// Replaces the pair, and returns what it was. One at a time: a lock orders those who do.
    pub(crate) fn replace(&self, new: Pair) -> Pair {
        // Written here only.
        let seq = self.seq.load();
        let (current, other) = (&self.copies[seq & 1], &self.copies[!seq & 1]);
        let old = (current.0.load(), current.1.load());
        // ORDERING: Each pairs with the load of the same word in `load`: who reads it sees what
        // the writer before moved the number to.
        other.0.store_release(new.0);
        other.1.store_release(new.1);
        // INVARIANT: The other copy has just been filled, and is not written before this moves on
        // again. ORDERING: Pairs with the first load in `load`.
        self.seq.store_release(seq.wrapping_add(1));
        old
    }
}
