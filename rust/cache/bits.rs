// SPDX-License-Identifier: GPL-2.0

//! State bits of a slab's objects, and the tokens of the slab itself.
//!
//! Per object a slab keeps three bits, in three bitmaps:
//!
//! ```text
//!                free()                       allocation (node lock or list owner)
//!    in use ───────────────► free ────────────────────────────────────► in use
//!      │
//!      │ free_rcu()             promote()             grace period, destructor
//!      └──────────► pending_next ───────► pending_wait ───────────────► free
//! ```
//!
//! Setting a bit is one atomic operation, needs no memory and may be done from any context, NMI
//! included: that is what makes a free, or a deferred free, possible where nothing else is.
//! An object in a sheaf has no bit set, exactly as one in use. Where the kernel has kmemleak there
//! is a fourth bitmap, of what kmemleak is owed (`debug/kmemleak.rs`).
//!
//! A *token* says that the slab is on a list, or that its holder is about to put it on one. It is
//! taken by test-and-set, never inferred from 'the word was zero' (a bitmap spans words, so that
//! two freers can each see a zero). Its holder alone may link or unlink the slab.

use crate::word::{full_barrier, Word, BITS};

/// What [`set`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Set {
    /// The bit was set already.
    pub(crate) was_set: bool,
    /// The bit's word has all its bits set now, as far as `n` objects reach.
    pub(crate) filled: bool,
}

/// Words that hold `n` bits.
pub(crate) const fn words_for(n: usize) -> usize {
    n.div_ceil(BITS)
}

/// All bits that word `w` of a bitmap of `n` bits can have.
pub(crate) const fn mask(n: usize, w: usize) -> usize {
    let left = n - w * BITS;
    if left >= BITS {
        usize::MAX
    } else {
        (1 << left) - 1
    }
}

/// Sets bit `i` of a bitmap of `n` bits. Fully ordered.
#[inline]
pub(crate) fn set(words: &[Word], n: usize, i: usize) -> Set {
    let many = set_many(words, n, i / BITS, 1 << (i % BITS));
    Set {
        was_set: many.were_set != 0,
        filled: many.filled,
    }
}

/// What [`set_many`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SetMany {
    /// Those of the bits that were set already.
    pub(crate) were_set: usize,
    /// As [`Set::filled`].
    pub(crate) filled: bool,
}

/// Sets `bits` of word `w` of a bitmap of `n` bits, in one go. Fully ordered.
#[inline]
pub(crate) fn set_many(words: &[Word], n: usize, w: usize, bits: usize) -> SetMany {
    let old = words[w].fetch_or(bits);
    SetMany {
        were_set: old & bits,
        filled: old | bits == mask(n, w),
    }
}

/// Whether bit `i` is set.
pub(crate) fn test(words: &[Word], i: usize) -> bool {
    words[i / BITS].load() & (1 << (i % BITS)) != 0
}

/// Number of bits set.
pub(crate) fn count(words: &[Word]) -> usize {
    words.iter().map(|w| w.load().count_ones() as usize).sum()
}

/// Whether any bit is set.
pub(crate) fn any(words: &[Word]) -> bool {
    words.iter().any(|w| w.load() != 0)
}

/// Whether all `n` bits are set.
pub(crate) fn all(words: &[Word], n: usize) -> bool {
    words
        .iter()
        .enumerate()
        .all(|(w, word)| word.load() == mask(n, w))
}

/// Clears up to `limit` bits and calls `f` with each that this call itself cleared.
///
/// Returns their number. Several takers may run at once: what the and-not did not find set any
/// more belongs to another taker.
pub(crate) fn take(words: &[Word], limit: usize, f: impl FnMut(usize)) -> usize {
    // The lowest ones: objects are handed out in address order.
    let lowest = |from, n| {
        let mut rest: usize = from;
        for _ in 0..n {
            rest &= rest - 1;
        }
        from & !rest
    };
    take_by(words, 0, limit, lowest, f)
}

/// As [`take`], but any of them: `random` gives a number below its argument.
pub(crate) fn take_random(
    words: &[Word],
    limit: usize,
    mut random: impl FnMut(usize) -> usize,
    f: impl FnMut(usize),
) -> usize {
    let first = random(words.len());
    let some = |from: usize, n| {
        let mut rest = from;
        for _ in 0..n {
            let mut high = rest;
            for _ in 0..random(rest.count_ones() as usize) {
                high &= high - 1;
            }
            rest ^= high & high.wrapping_neg();
        }
        from & !rest
    };
    take_by(words, first, limit, some, f)
}

/// As [`take`], from word `first` on; `choose` says which, where a word has more than are wanted.
#[inline]
fn take_by(
    words: &[Word],
    first: usize,
    limit: usize,
    mut choose: impl FnMut(usize, usize) -> usize,
    mut f: impl FnMut(usize),
) -> usize {
    let mut taken = 0;
    for w in (first..words.len()).chain(0..first) {
        if taken == limit {
            break;
        }
        let word = &words[w];
        let mut chosen = word.load();
        if chosen.count_ones() as usize > limit - taken {
            chosen = choose(chosen, limit - taken);
        }
        if chosen == 0 {
            continue;
        }
        // Alone with them where the caller holds the lock: frees only ever set bits.
        let mut got = word.fetch_and(!chosen) & chosen;
        // From the top: a stack that they are put on hands them out in address order.
        let (first, len) = (got.trailing_zeros(), got.count_ones());
        if got != 0 && got >> first == mask(len as usize, 0) {
            // They follow one another, as those of a new slab do.
            for i in (first..first + len).rev() {
                f(w * BITS + i as usize);
            }
            taken += len as usize;
            continue;
        }
        while got != 0 {
            let top = BITS - 1 - got.leading_zeros() as usize;
            f(w * BITS + top);
            got ^= 1 << top;
            taken += 1;
        }
    }
    taken
}

/// Moves all bits of `next` to `wait`, which must be empty; false if there were none.
///
/// The caller is alone in this (one service per cache) and takes the cookie *after* the call:
/// an object is in `wait` only if its free happened before that cookie.
pub(crate) fn promote(next: &[Word], wait: &[Word]) -> bool {
    let mut moved = false;
    for (n, w) in next.iter().zip(wait) {
        let bits = n.swap(0);
        if bits != 0 {
            w.fetch_or(bits);
            moved = true;
        }
    }
    moved
}

/// Takes every bit of `words` and calls `f` with it; for the only taker of these bits.
pub(crate) fn drain(words: &[Word], f: impl FnMut(usize)) -> usize {
    take(words, usize::MAX, f)
}

/// The tokens of a slab.
pub(crate) struct Tokens(Word);

/// What came of [`Tokens::claim_free`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claim {
    /// The caller has the token, and all objects are free.
    Free,
    /// The caller has the token, and some object is free: the slab is to be listed.
    Some,
    /// The objects are in use again, and nobody has the token.
    Used,
    /// Somebody else has it, and is about to list the slab.
    Coming,
}

/// On a node's list, or the list of slabs on their way there.
pub(crate) const LISTED: usize = 1;
/// On a cache's list of slabs with pending bits, or on its way there.
pub(crate) const PENDING: usize = 2;

impl Tokens {
    /// Tokens of which `held` are taken.
    pub(crate) const fn new(held: usize) -> Self {
        Self(Word::new(held))
    }

    /// Takes `token`; true for the one caller that gets it. Fully ordered.
    ///
    /// The plain test first spares the atomic operation where a slab is listed already, as most
    /// are. It cannot miss: the caller's bit was published by a fully ordered operation before,
    /// so whoever [`release`](Self::release)s the token later than this load sees the bit.
    #[inline]
    pub(crate) fn acquire(&self, token: usize) -> bool {
        self.0.load() & token == 0 && self.0.fetch_or(token) & token == 0
    }

    /// Gives `token` back unless `words` has bits by then; true if it was given back for good.
    ///
    /// The full barrier of the and-not pairs with the one in [`set`]: either the freer's
    /// [`acquire`](Self::acquire) comes after the release and takes the token, or the check here
    /// sees its bit. If both happen, one of the two gets the token.
    pub(crate) fn release(&self, token: usize, words: &[Word]) -> bool {
        self.0.fetch_and(!token);
        full_barrier();
        !(any(words) && self.acquire(token))
    }

    /// Takes the token to a list of a slab that is on none, and whose `n` objects were seen to be
    /// free, of which `words` has the bits.
    ///
    /// Somebody who had the token may have taken objects since. While the caller has it nobody
    /// does, so that what is seen to be free now stays so.
    pub(crate) fn claim_free(&self, words: &[Word], n: usize) -> Claim {
        if !self.acquire(LISTED) {
            Claim::Coming
        } else if all(words, n) {
            Claim::Free
        } else if any(words) || !self.release(LISTED, words) {
            Claim::Some
        } else {
            Claim::Used
        }
    }

    /// Whether `token` is held by anyone.
    pub(crate) fn held(&self, token: usize) -> bool {
        self.0.load() & token != 0
    }
}
