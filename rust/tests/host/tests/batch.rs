// SPDX-License-Identifier: GPL-2.0

//! The list of sealed batches against a queue, with a clock for grace periods.

use graceslab_host::brief;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::ptr::null_mut;

#[allow(dead_code, reason = "sheaves have tests of their own")]
#[path = "../../../cache/sheaf.rs"]
mod sheaf;

#[path = "../../../rcu/batch.rs"]
mod batch;

use batch::Fifo;
use sheaf::Sheaf;

/// Capacities of batches: what a cache begins with, what it grows to, one pointer.
const CAPS: [u32; 5] = [60, 124, 252, 508, 1];

/// How long a grace period takes.
const GRACE: u64 = 10;

/// When the batch was sealed, and how often it was looked at.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Cookie {
    sealed: u64,
    polls: u32,
}

type Batch = Sheaf<Cookie>;

#[derive(Clone, Debug)]
enum Op {
    Seal,
    Tick(u64),
    /// Takes every batch that is ripe.
    Reclaim,
    /// Asks for one that is ripe.
    PopRipe,
    /// Takes the oldest, ripe or not, as an owner that has waited does.
    Pop,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => Just(Op::Seal),
        4 => (0..=GRACE).prop_map(Op::Tick),
        1 => Just(Op::Reclaim),
        4 => Just(Op::PopRipe),
        1 => Just(Op::Pop),
    ]
}

/// The list, and what should be on it.
struct Both {
    fifo: Fifo<Cookie>,
    model: VecDeque<(usize, Cookie)>,
    /// Capacities of those.
    caps: VecDeque<u32>,
    /// Batches that nobody uses; their links and cookies are what they were left at.
    spare: Vec<*mut Batch>,
    memory: Vec<Vec<usize>>,
    now: u64,
    ids: usize,
}

impl Both {
    fn new() -> Self {
        Self {
            fifo: Fifo::new(),
            model: VecDeque::new(),
            caps: VecDeque::new(),
            spare: Vec::new(),
            memory: Vec::new(),
            now: 0,
            ids: 0,
        }
    }

    fn batch(&mut self) -> *mut Batch {
        if let Some(batch) = self.spare.pop() {
            return batch;
        }
        let cap = CAPS[self.memory.len() % CAPS.len()];
        let mut memory = vec![0usize; Batch::bytes(cap).div_ceil(size_of::<usize>())];
        // SAFETY: The memory is of that size, and stays where it is.
        let batch = unsafe { Batch::init(memory.as_mut_ptr().cast(), cap) };
        self.memory.push(memory);
        batch
    }

    fn seal(&mut self) {
        let batch = self.batch();
        self.ids += 1;
        let cookie = Cookie {
            sealed: self.now,
            polls: 0,
        };
        // SAFETY: The batch is this test's to give. It comes from another list, as its link says.
        unsafe {
            assert!(Batch::push(batch, self.ids as *mut u8));
            (*batch).next = batch;
            self.caps.push_back((*batch).cap());
            self.fifo.seal(batch, cookie);
        }
        self.model.push_back((self.ids, cookie));
    }

    /// What `ripe` says; it must have looked at the oldest, once, and at nothing else.
    fn ripe(&mut self) -> bool {
        let (now, mut seen) = (self.now, None);
        let ripe = self.fifo.ripe(|cookie| {
            assert!(seen.replace(*cookie).is_none());
            cookie.polls += 1;
            now >= cookie.sealed + GRACE
        });
        assert_eq!(seen, self.model.front().map(|b| b.1));
        if let Some(oldest) = self.model.front_mut() {
            oldest.1.polls += 1;
        }
        ripe
    }

    fn pop(&mut self) -> Option<Cookie> {
        let batch = self.fifo.pop();
        let expected = self.model.pop_front();
        self.caps.pop_front();
        if batch.is_null() {
            assert!(expected.is_none());
            return None;
        }
        // SAFETY: The batch was taken off the list, so it is this test's.
        let got = unsafe {
            assert!((*batch).next.is_null());
            (Batch::pop(batch) as usize, (*batch).cookie)
        };
        assert_eq!(Some(got), expected, "the oldest");
        self.spare.push(batch);
        Some(got.1)
    }

    fn pop_ripe(&mut self) -> bool {
        if !self.ripe() {
            return false;
        }
        let cookie = self.pop().expect("what is ripe is there");
        assert!(self.now >= cookie.sealed + GRACE);
        true
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Seal => self.seal(),
            Op::Tick(by) => self.now += by,
            Op::Reclaim => {
                while self.pop_ripe() {}
                // Nothing that is old enough is still there, whatever was sealed after it.
                let ripe = |b: &&(usize, Cookie)| self.now >= b.1.sealed + GRACE;
                assert_eq!(self.model.iter().find(ripe), None);
            }
            Op::PopRipe => {
                let ripe = self.model.front().map(|b| self.now >= b.1.sealed + GRACE);
                assert_eq!(self.pop_ripe(), ripe == Some(true));
            }
            Op::Pop => {
                self.pop();
            }
        }
        assert_eq!(self.fifo.is_empty(), self.model.is_empty());
        assert_eq!(self.fifo.len(), self.model.len());
        let small = self.caps.iter().map(|cap| 1 + *cap as usize / 64);
        assert_eq!(self.fifo.weight(), small.sum::<usize>());
    }
}

proptest! {
    #![proptest_config(brief!(400))]

    /// First sealed, first ripe, first taken.
    #[test]
    fn follow_the_model(ops in prop::collection::vec(op(), 1..120)) {
        let mut both = Both::new();
        ops.iter().for_each(|op| both.apply(op));
        // Whatever is left is there, in order.
        while both.pop().is_some() {}
        assert!(both.fifo.is_empty());
    }
}

/// An empty list has nothing that is ripe, and nobody is asked about it.
#[test]
fn empty() {
    let mut fifo = Fifo::<Cookie>::new();
    assert!(fifo.is_empty());
    assert!(!fifo.ripe(|_| unreachable!()));
    assert_eq!(fifo.pop(), null_mut());
}
