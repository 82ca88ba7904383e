// SPDX-License-Identifier: GPL-2.0

//! State bits against a vector of states.

use graceslab_host::{brief, plain as word};
use proptest::prelude::*;
use proptest::sample::Index;

#[allow(dead_code, reason = "tokens have tests of their own")]
#[path = "../../../cache/bits.rs"]
mod bits;

use word::{Word, BITS};

/// Where an object of the slab is; what its bits stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    InUse,
    Free,
    Next,
    Wait,
}
use State::*;

#[derive(Clone, Debug)]
enum Op {
    /// Frees an object, perhaps again.
    Free(Index),
    /// Defers the free of an object, perhaps again.
    FreeRcu(Index),
    /// Frees all that are in use.
    FreeAll,
    /// Allocates up to so many.
    Take(usize),
    Promote,
    /// A grace period later.
    Collect,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => any::<Index>().prop_map(Op::Free),
        8 => any::<Index>().prop_map(Op::FreeRcu),
        1 => Just(Op::FreeAll),
        3 => prop_oneof![0..4usize, 0..210usize, Just(usize::MAX)].prop_map(Op::Take),
        2 => Just(Op::Promote),
        2 => Just(Op::Collect),
    ]
}

/// Numbers of objects, those at the words' boundaries more often than chance has it.
fn objects() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 1..=200usize,
        2 => (1..=3usize, 0..3usize).prop_map(|(words, off)| words * BITS + off - 1),
    ]
}

struct Slab {
    n: usize,
    free: Vec<Word>,
    next: Vec<Word>,
    wait: Vec<Word>,
    model: Vec<State>,
}

impl Slab {
    fn new(n: usize) -> Self {
        let bitmap = || (0..bits::words_for(n)).map(|_| Word::new(0)).collect();
        Self {
            n,
            free: bitmap(),
            next: bitmap(),
            wait: bitmap(),
            model: vec![InUse; n],
        }
    }

    fn those(&self, state: State) -> Vec<usize> {
        (0..self.n).filter(|&i| self.model[i] == state).collect()
    }

    /// Sets bit `i` of the bitmap for `state`, and compares what that found.
    fn set(&mut self, i: usize, state: State) {
        let words = if state == Free {
            &self.free
        } else {
            &self.next
        };
        let set = bits::set(words, self.n, i);
        assert_eq!(set.was_set, self.model[i] == state);
        self.model[i] = state;
        let first = i / BITS * BITS;
        let word = &self.model[first..self.n.min(first + BITS)];
        assert_eq!(set.filled, word.iter().all(|&s| s == state), "bit {i}");
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Free(i) => {
                let i = i.index(self.n);
                if matches!(self.model[i], InUse | Free) {
                    self.set(i, Free);
                }
            }
            Op::FreeRcu(i) => {
                let i = i.index(self.n);
                if matches!(self.model[i], InUse | Next) {
                    self.set(i, Next);
                }
            }
            Op::FreeAll => self
                .those(InUse)
                .into_iter()
                .for_each(|i| self.set(i, Free)),
            Op::Take(limit) => {
                let mut got = Vec::new();
                let n = bits::take(&self.free, *limit, |i| got.push(i));
                let mut expected = self.those(Free);
                expected.truncate(*limit);
                for pair in got.windows(2) {
                    let same_word = pair[0] / BITS == pair[1] / BITS;
                    assert_eq!(
                        pair[0] > pair[1],
                        same_word,
                        "each word from its top: {got:?}"
                    );
                }
                got.sort();
                assert_eq!(got, expected, "the lowest ones");
                assert_eq!(n, got.len());
                got.into_iter().for_each(|i| self.model[i] = InUse);
            }
            Op::Promote => {
                if !bits::any(&self.wait) {
                    let next = self.those(Next);
                    assert_eq!(bits::promote(&self.next, &self.wait), !next.is_empty());
                    next.into_iter().for_each(|i| self.model[i] = Wait);
                }
            }
            Op::Collect => {
                let mut got = Vec::new();
                let n = bits::drain(&self.wait, |i| got.push(i));
                got.sort();
                assert_eq!(got, self.those(Wait));
                assert_eq!(n, got.len());
                got.into_iter().for_each(|i| self.set(i, Free));
            }
        }
    }

    fn check(&self) {
        for (words, state) in [(&self.free, Free), (&self.next, Next), (&self.wait, Wait)] {
            for i in 0..self.n {
                assert_eq!(bits::test(words, i), self.model[i] == state, "bit {i}");
            }
            let count = self.those(state).len();
            assert_eq!(bits::count(words), count, "none beyond the last object");
            assert_eq!(bits::any(words), count != 0);
            assert_eq!(bits::all(words, self.n), count == self.n);
        }
    }
}

proptest! {
    #![proptest_config(brief!(400))]

    /// Whatever is done, each object is where it should be, and nowhere else.
    #[test]
    fn follow_the_model(n in objects(), ops in prop::collection::vec(op(), 1..80)) {
        let mut slab = Slab::new(n);
        for op in &ops {
            slab.apply(op);
            slab.check();
        }
    }

    /// The masks are as many ones as there are objects, from the bottom of each word.
    #[test]
    fn masks(n in objects()) {
        let words = bits::words_for(n);
        prop_assert!(words * BITS >= n && (words - 1) * BITS < n);
        for w in 0..words {
            for bit in 0..BITS {
                prop_assert_eq!(bits::mask(n, w) >> bit & 1 == 1, w * BITS + bit < n);
            }
        }
    }

    /// As a new slab starts: with every bit of its masks set.
    #[test]
    fn all_of_a_new_slab(n in objects(), missing in any::<Index>()) {
        let words: Vec<Word> =
            (0..bits::words_for(n)).map(|w| Word::new(bits::mask(n, w))).collect();
        prop_assert!(bits::all(&words, n));
        prop_assert_eq!(bits::count(&words), n);
        let i = missing.index(n);
        words[i / BITS].fetch_and(!(1 << (i % BITS)));
        prop_assert!(!bits::all(&words, n));
        prop_assert_eq!(bits::set(&words, n, i), bits::Set { was_set: false, filled: true });
        prop_assert!(bits::all(&words, n));
    }
}

/// No objects need no words.
#[test]
fn nothing() {
    assert_eq!(bits::words_for(0), 0);
    assert!(!bits::any(&[]));
    assert_eq!(bits::take(&[], 1, |_| unreachable!()), 0);
}
