// SPDX-License-Identifier: GPL-2.0

//! Waiting for work that others have already claimed, whatever they claim later.
//!
//! As SRCU counts its readers: every claim goes to the counter of the current parity; a waiter
//! waits until the other one's counter is zero, flips the parity, and waits for the old one's.
//! Totals could not tell that: a later claim that ends early would hide an earlier one that has
//! not. Claims that are made between the waiter's two steps are waited for as well, and at most one
//! straggler of each claimer: the wait stays bounded.

use crate::word::Word;

/// Counters of claims in two parities.
///
/// A claim is made in the critical section that takes the work off its list, and the waiter has
/// emptied the same list under the same lock before it looks: a claim is either seen by the waiter
/// or is for work that came later.
pub(crate) struct Epochs {
    parity: Word,
    claims: [Word; 2],
}

/// A claim: which counter it went to.
#[must_use]
pub(crate) struct Claim(usize);

impl Epochs {
    /// No claims.
    pub(crate) const fn new() -> Self {
        Self {
            parity: Word::new(0),
            claims: [Word::new(0), Word::new(0)],
        }
    }

    /// Makes a claim. Fully ordered.
    pub(crate) fn claim(&self) -> Claim {
        let p = self.parity.load() & 1;
        self.claims[p].fetch_add(1);
        Claim(p)
    }

    /// Ends a claim; returns the counter to wake when that was its last one. Fully ordered.
    pub(crate) fn end(&self, claim: Claim) -> Option<&Word> {
        let word = &self.claims[claim.0];
        (word.fetch_add(-1) == 1).then_some(word)
    }

    /// The counter that no new claim goes to: left-over claims of a claimer that read the parity
    /// just before the last flip. The waiter sees it at zero before it flips.
    pub(crate) fn idle(&self) -> &Word {
        &self.claims[(self.parity.load() & 1) ^ 1]
    }

    /// Flips the parity and returns the counter that the caller must see at zero.
    ///
    /// One waiter at a time: the caller holds the owner's barrier mutex until it has.
    pub(crate) fn flip(&self) -> &Word {
        let old = self.parity.load() & 1;
        self.parity.swap(old ^ 1);
        &self.claims[old]
    }
}
