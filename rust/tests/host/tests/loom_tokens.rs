// SPDX-License-Identifier: GPL-2.0

//! Tokens and bits with the reorderings that a machine may make.
//!
//! What must hold in the end: an object that is free, or waits to be, is in a slab that somebody
//! will come by, which is one that is listed and whose token is held; and there is one holder at
//! a time, which loom sees by the link that only the holder writes.

use graceslab_host::weak as word;
use loom::sync::Arc;
use loom::thread;

#[allow(dead_code, reason = "bits have tests of their own")]
#[path = "../../../cache/bits.rs"]
mod bits;

use bits::{Claim, Tokens, LISTED, PENDING};
use word::{Private, Word, BITS};

/// Objects: two words of them.
const N: usize = BITS + 4;
/// An object of the first word.
const LOW: usize = 1;
/// An object of the second word.
const HIGH: usize = BITS + 2;

/// A slab, and the list that it is on.
struct Slab {
    free: [Word; 2],
    next: [Word; 2],
    wait: [Word; 2],
    tokens: Tokens,
    /// The stack of those on their way to the list; one slab, so it is empty or not.
    incoming: Word,
    /// What the slab is linked by.
    link: Private,
    /// What a freer did to its object before it freed it.
    object: [Private; 2],
}

impl Slab {
    /// A slab with its words so far as `free`, and `held` tokens. Not on a list.
    fn new(free: [usize; 2], held: usize) -> Self {
        let words = |[a, b]: [usize; 2]| [Word::new(a), Word::new(b)];
        let slab = Self {
            free: words(free),
            next: words([0, 0]),
            wait: words([0, 0]),
            tokens: Tokens::new(held),
            incoming: Word::new(0),
            link: Private::new(),
            object: [Private::new(), Private::new()],
        };
        // Each word is to be looked at by this thread first.
        for words in [&slab.free, &slab.next, &slab.wait] {
            bits::count(words);
        }
        slab.tokens.held(LISTED);
        slab.incoming.load();
        slab
    }

    /// Links or unlinks the slab, which only the holder of its token may.
    fn relink(&self) {
        self.link.add();
    }

    fn push(&self) {
        self.relink();
        assert_eq!(self.incoming.swap(1), 0, "pushed twice");
    }

    fn pop(&self) -> bool {
        self.incoming.load() != 0 && self.incoming.swap(0) != 0
    }

    /// Uses object `i` for the last time.
    fn touch(&self, i: usize) {
        self.object[i / BITS].add();
    }

    /// A free.
    fn free(&self, i: usize) {
        self.touch(i);
        assert!(!bits::set(&self.free, N, i).was_set);
        if self.tokens.acquire(LISTED) {
            self.push();
        }
    }

    /// A deferred free.
    fn free_rcu(&self, i: usize) {
        self.touch(i);
        assert!(!bits::set(&self.next, N, i).was_set);
        if self.tokens.acquire(PENDING) {
            self.push();
        }
    }

    /// Allocates whatever is free, by the holder of the token; whether it is kept.
    fn allocate(&self, taken: &mut usize) -> bool {
        *taken += bits::take(&self.free, usize::MAX, |i| {
            // Set by the model from the start, if not by a freer.
            if i == LOW || i == HIGH {
                self.touch(i);
            }
        });
        if bits::any(&self.free) {
            return true;
        }
        self.relink();
        if self.tokens.release(LISTED, &self.free) {
            return false;
        }
        self.relink();
        true
    }

    /// Counts object `i` as taken, in a byte for each index within a word.
    fn count(&self, i: usize) {
        self.wait[0].fetch_add(1 << (8 * (i % BITS)));
    }

    /// What must hold when all is quiet. `kept`: the slab is on the list.
    fn check(&self, words: &[Word], token: usize, kept: bool) {
        let listed = kept || self.incoming.load() != 0;
        assert!(!(kept && self.incoming.load() != 0), "listed twice");
        assert_eq!(self.tokens.held(token), listed);
        assert!(listed || !bits::any(words), "free, and nobody knows");
    }
}

/// Runs `main` against `others` in all ways; or in those with so many preemptions, where all of
/// them find nothing more and take long.
fn model(
    preemptions: Option<usize>,
    slab: impl Fn() -> Slab + Send + Sync + 'static,
    others: &'static [fn(&Slab)],
    main: fn(&Slab) -> bool,
    end: fn(&Slab, bool),
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let slab = Arc::new(slab());
        let threads: Vec<_> = others
            .iter()
            .map(|other| {
                let slab = slab.clone();
                thread::spawn(move || other(&slab))
            })
            .collect();
        let kept = main(&slab);
        threads.into_iter().for_each(|t| t.join().unwrap());
        end(&slab, kept);
    });
}

/// The holder has emptied its slab and lets go of it while two objects, of two words, come back.
#[test]
fn lister_and_two_freers() {
    model(
        Some(4),
        || Slab::new([0, 0], LISTED),
        &[|s| s.free(LOW), |s| s.free(HIGH)],
        |s| s.allocate(&mut 0),
        |s, kept| s.check(&s.free, LISTED, kept),
    );
}

/// The same with one freer, and an object to allocate.
#[test]
fn lister_and_freer() {
    model(
        None,
        || Slab::new([1, 0], LISTED),
        &[|s| s.free(HIGH)],
        |s| s.allocate(&mut 0),
        |s, kept| s.check(&s.free, LISTED, kept),
    );
}

/// An interrupt has the slab from those on their way to the list, takes its objects and lets go of
/// it, while somebody who saw them all free wants to give its pages back.
#[test]
fn taker_and_releaser() {
    model(
        None,
        || {
            let slab = Slab::new([usize::MAX, bits::mask(N, 1)], LISTED);
            slab.push();
            slab
        },
        &[|s| {
            if s.pop() {
                let mut taken = 0;
                if s.allocate(&mut taken) {
                    s.push();
                }
                s.next[0].fetch_or(usize::from(taken != 0));
            }
        }],
        |s| {
            if !bits::all(&s.free, N) {
                return false;
            }
            match s.tokens.claim_free(&s.free, N) {
                Claim::Free => {
                    // Its memory goes: nobody else may have been there, or come.
                    s.touch(LOW);
                    s.touch(HIGH);
                    s.next[1].fetch_or(1);
                    // As if it were a new one, for the check.
                    s.relink();
                    true
                }
                Claim::Some => {
                    s.relink();
                    true
                }
                Claim::Used | Claim::Coming => false,
            }
        },
        |s, kept| {
            assert!(
                s.next[0].load() == 0 || s.next[1].load() == 0,
                "given back while it is in use"
            );
            s.check(&s.free, LISTED, kept);
        },
    );
}

/// Two freers can each see their word, or the other's, as the first to have a bit: one of them
/// lists the slab, and whoever comes for it finds what was freed by then.
#[test]
fn lister_that_comes_by() {
    model(
        Some(4),
        || Slab::new([0, 0], 0),
        &[|s| s.free(LOW), |s| s.free(HIGH)],
        |s| {
            let mut taken = 0;
            let mut kept = false;
            for _ in 0..2 {
                kept |= s.pop();
                if kept {
                    kept = s.allocate(&mut taken);
                }
            }
            let left = bits::count(&s.free);
            assert!(taken + left <= 2);
            kept
        },
        |s, kept| s.check(&s.free, LISTED, kept),
    );
}

/// Two takers of the same word share its bits; none has what the other has, and none is lost.
#[test]
fn two_takers() {
    model(
        None,
        || Slab::new([0b111 << LOW, 1], 0),
        &[
            |s| {
                bits::take(&s.free, 2, |i| s.count(i));
            },
            |s| {
                bits::set(&s.free, N, HIGH);
            },
        ],
        |s| {
            let n = bits::take(&s.free, 2, |i| s.count(i));
            assert!(n <= 2);
            false
        },
        |s, _| {
            bits::drain(&s.free, |i| s.count(i));
            let taken = s.wait[0].load().to_le_bytes();
            // Bit 0 is of the second word, 1 and 3 of the first, 2 of both.
            assert_eq!(taken, [1, 1, 2, 1, 0, 0, 0, 0]);
        },
    );
}

/// The service: what it promotes was freed before, as the cookie that it takes then needs; what
/// it does not is still pending, on the list, when it lets go of the slab.
#[test]
fn promote_and_set() {
    model(
        None,
        || Slab::new([0, 0], 0),
        &[|s| s.free_rcu(LOW), |s| s.free_rcu(HIGH)],
        |s| {
            let mut kept = s.pop();
            if !kept {
                return false;
            }
            s.relink();
            let before = bits::count(&s.next);
            let moved = bits::promote(&s.next, &s.wait);
            assert!(moved || before == 0);
            let waiting = bits::count(&s.wait);
            assert_eq!(moved, waiting != 0);
            assert!(waiting >= before);
            // The cookie is taken here: all that is promoted was done with before.
            let mut reclaimed = 0;
            bits::drain(&s.wait, |i| {
                s.touch(i);
                reclaimed += 1;
            });
            assert_eq!(reclaimed, waiting);
            s.relink();
            if s.tokens.release(PENDING, &s.next) {
                kept = false;
            } else {
                s.relink();
            }
            kept
        },
        |s, kept| {
            s.check(&s.next, PENDING, kept);
            assert!(!bits::any(&s.wait));
            for i in [LOW, HIGH] {
                let pending = bits::test(&s.next, i);
                assert_eq!(
                    s.object[i / BITS].get(),
                    if pending { 1 } else { 2 },
                    "once each"
                );
            }
        },
    );
}

/// What is owed of an object that is free already does not keep its slab from looking all free.
/// Whoever releases that needs the token, too: it is the service's for as long as that has the
/// slab, and for that alone to take back where it finds more.
#[test]
fn service_and_release() {
    /// A free of which something is owed; `next` has the owed bits here.
    fn owe(s: &Slab) {
        bits::set(&s.next, N, LOW);
        if s.tokens.acquire(PENDING) {
            s.push();
        }
        bits::set(&s.free, N, LOW);
    }
    /// Released: nobody links the slab from here on.
    fn release(s: &Slab) {
        if bits::all(&s.free, N) && !s.tokens.held(PENDING) && s.tokens.acquire(PENDING) {
            s.relink();
            assert_eq!(s.wait[0].swap(1), 0);
        }
    }
    model(
        Some(4),
        || Slab::new([bits::mask(N, 0) & !(1 << LOW), bits::mask(N, 1)], PENDING),
        &[owe, release],
        |s| {
            // Pending for something else, and done with that.
            s.relink();
            if s.tokens.release(PENDING, &s.next) {
                return false;
            }
            s.relink();
            bits::drain(&s.next, |_| ());
            assert_eq!(s.wait[0].load(), 0, "released, and on the list");
            true
        },
        |s, kept| {
            let released = s.wait[0].load() != 0;
            assert!(!released || !kept && s.incoming.load() == 0);
            if !released {
                s.check(&s.next, PENDING, kept);
            }
        },
    );
}

/// Of two that ask for a token one gets it.
#[test]
fn one_holder() {
    fn ask(s: &Slab) {
        if s.tokens.acquire(LISTED) {
            s.push();
        }
        assert!(s.tokens.held(LISTED));
    }
    model(
        None,
        || Slab::new([0, 0], 0),
        &[ask, ask],
        |_| false,
        |s, kept| s.check(&s.free, LISTED, kept),
    );
}

/// The two tokens of a slab are two matters.
#[test]
fn two_tokens() {
    model(
        None,
        || Slab::new([0, 0], LISTED),
        &[
            |s| {
                assert!(s.tokens.acquire(PENDING));
                assert!(s.tokens.held(PENDING));
                assert!(s.tokens.release(PENDING, &s.next));
            },
            |s| {
                assert!(s.tokens.release(LISTED, &s.free));
                assert!(!s.tokens.held(LISTED));
                assert!(s.tokens.acquire(LISTED));
            },
        ],
        |_| true,
        |s, _| {
            assert!(s.tokens.held(LISTED));
            assert!(!s.tokens.held(PENDING));
        },
    );
}
