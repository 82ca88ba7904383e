// SPDX-License-Identifier: GPL-2.0

//! Whether somebody who keeps a list of the objects in use knows an object: a byte for each.
//!
//! An object's owner says whether it is in use, wherever he is. The list may not be written
//! everywhere, so that its writer may be somebody else, later:
//!
//! - *used*: the object is in use. Its owner's to change.
//! - *known*: the list has it. The teller's.
//! - *again*: what the list has, if it has it, is an earlier use of the object's. Set by an owner,
//!   cleared by a teller.
//! - *busy*: there is a teller. Taken by whoever tells, and at that moment by one alone.
//!
//! ```text
//!               alloc                   told
//!       - ─────────────────► used ────────────────► used known ◄─────────┐
//!       ▲                     │ │                        │               │ told: it has gone,
//!       │        free         │ │                        │ free          │ then that it is here
//!       ├─────────────────────┘ └─ ─ ─ ─ ─ ─ ─┐          ▼               │
//!       │                                     ╎        known ─────► used known again
//!       └───────────────────────────────────── told ─────┘   alloc
//! ```
//!
//! `-` and `used known` are *settled*: there is nothing to tell. A teller goes on until the byte
//! is settled, and only then gives *busy* back, by a compare-and-exchange: whatever an owner has
//! changed meanwhile, be it in NMI on the teller's own CPU, makes that fail, and is told as well.
//! So an owner who meets a teller leaves the rest to him, and never waits. An owner who meets none
//! and may not tell is to see to it that somebody comes by later: the change is *owed*.
//!
//! The teller calls the list's writer between his exchanges, so that what the byte says lags
//! behind: an allocation sets *again* where there is a teller, too, who may be about to say, or to
//! have said, that the use before it is there.

use crate::word::Byte;

/// In use.
const USED: u8 = 1 << 0;
/// On the list.
const KNOWN: u8 = 1 << 1;
/// On the list, if so, by an earlier use.
const AGAIN: u8 = 1 << 2;
/// Somebody tells.
const BUSY: u8 = 1 << 3;

/// See the module.
///
/// # Invariants
///
/// Without [`BUSY`] the list has the object exactly if it is [`KNOWN`], and by its present use
/// exactly if it is not [`AGAIN`] as well. Only who has set [`BUSY`] writes the list, and clears
/// it once the byte is settled.
#[repr(transparent)]
pub(crate) struct Known(Byte);

/// Whether there is nothing to tell.
const fn settled(state: u8) -> bool {
    match state & (USED | KNOWN) {
        0 => true,
        both => both == USED | KNOWN && state & AGAIN == 0,
    }
}

impl Known {
    /// Of an object that is not in use, and is not known.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The list does not have it.
        Self(Byte::new(0))
    }

    /// Notes that the object is in use from now on, or is not any more, and tells it by `tell`,
    /// which is called with what is to be on the list; if there is none, the caller may not tell.
    ///
    /// True if the change is owed: [`Self::settle`] is to be called later. For the object's owner,
    /// in any context, NMI included, if `tell` may be called there.
    #[must_use]
    pub(crate) fn note(&self, used: bool, tell: Option<impl FnMut(bool)>) -> bool {
        let mut state = self.0.load();
        let after = loop {
            let mut after = state & !USED;
            if used {
                after |= USED;
                // INVARIANT: What is known, or may become so, is an earlier use.
                if state & (KNOWN | BUSY) != 0 {
                    after |= AGAIN;
                }
            }
            let owed = state & BUSY == 0 && !settled(after);
            if owed && tell.is_some() {
                after |= BUSY;
            }
            // ORDERING: Fully ordered. Pairs with the exchanges of the teller: he sees the change,
            // or is seen to be done. With `BUSY`, it pairs with the last exchange of the teller
            // before: what he wrote to the list is there.
            match self.0.cmpxchg(state, after) {
                Ok(()) if owed => break after,
                Ok(()) => return false,
                Err(now) => state = now,
            }
        };
        match tell {
            Some(tell) => {
                self.finish(after, tell);
                false
            }
            None => true,
        }
    }

    /// Tells what is owed, if that is so, unless somebody is at it.
    ///
    /// Where `tell` may be called. The caller sees to it that the object's memory is nobody else's
    /// meanwhile.
    pub(crate) fn settle(&self, tell: impl FnMut(bool)) {
        let mut state = self.0.load();
        while state & BUSY == 0 && !settled(state) {
            // ORDERING: As with `BUSY` in `note`.
            match self.0.cmpxchg(state, state | BUSY) {
                Ok(()) => return self.finish(state | BUSY, tell),
                Err(now) => state = now,
            }
        }
    }

    /// Tells until there is nothing to tell. For who has set [`BUSY`]; the byte was `state`.
    fn finish(&self, mut state: u8, mut tell: impl FnMut(bool)) {
        loop {
            if state & KNOWN != 0 && !settled(state) {
                tell(false);
                // INVARIANT: No use of the object's is on the list.
                state = self.change(KNOWN | AGAIN, 0);
            } else if !settled(state) {
                // INVARIANT: Nor is it here; a use that begins after this is another one than
                // what is told next, and says so.
                self.change(AGAIN, 0);
                tell(true);
                // INVARIANT: It is on the list.
                state = self.change(0, KNOWN);
            } else {
                // INVARIANT: The byte is settled; where it is not known, nothing is there to be of
                // an earlier use. ORDERING: Fully ordered, as the changes are. Pairs with the
                // exchange in `note` and `settle`: either this fails, or their caller sees that
                // there is no teller, and what he wrote to the list.
                match self.0.cmpxchg(state, state & !(BUSY | AGAIN)) {
                    Ok(()) => return,
                    Err(now) => state = now,
                }
            }
        }
    }

    /// Clears some bits and sets others, and returns what the byte is now. For the teller.
    fn change(&self, clear: u8, set: u8) -> u8 {
        let mut state = self.0.load();
        loop {
            let after = state & !clear | set;
            // ORDERING: As in `finish`.
            match self.0.cmpxchg(state, after) {
                Ok(()) => return after,
                Err(now) => state = now,
            }
        }
    }
}
