// SPDX-License-Identifier: GPL-2.0

//! Epochs with claimers and a waiter in every interleaving.
//!
//! Each claimer has a queue with a lock, as a CPU has, and claims under it. A waiter empties the
//! queues, each under its lock; whatever claims are open as it does so are what it has to wait
//! for, and no others.

use graceslab_host::steps::{self as word, atomically, explore, Program};

#[path = "../../../rcu/epoch.rs"]
mod epoch;

use epoch::{Claim, Epochs};
use word::Word;

/// How a waiter goes about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// As the documentation says.
    IdleAndFlip,
    /// Without looking at what is left over from the last flip.
    FlipOnly,
    /// Without having later claims go elsewhere.
    IdleOnly,
}

/// Where claimers and waiter meet.
struct Scene {
    epochs: Epochs,
    locks: [Word; 3],
    /// One bit for each queue with a claim that is open.
    open: Word,
    /// Of these, the claims that the waiter has to wait for.
    owed: Word,
    /// How far the waiter has got, see [`Scene::wait`].
    phase: Word,
}

impl Scene {
    const fn new() -> Self {
        Self {
            epochs: Epochs::new(),
            locks: [const { Word::new(0) }; 3],
            open: Word::new(0),
            owed: Word::new(0),
            phase: Word::new(0),
        }
    }

    /// Takes work off queue `q`.
    fn claim(&self, q: usize) -> Claim {
        atomically(|m| {
            if m.get(&self.locks[q]) != 0 {
                return None;
            }
            m.set(&self.locks[q], 1);
            m.set(&self.open, m.get(&self.open) | 1 << q);
            Some(0)
        });
        let claim = self.epochs.claim();
        self.locks[q].swap(0);
        claim
    }

    /// Is done with what was taken off queue `q`.
    fn end(&self, q: usize, claim: Claim) {
        atomically(|m| {
            m.set(&self.open, m.get(&self.open) & !(1 << q));
            m.set(&self.owed, m.get(&self.owed) & !(1 << q));
            Some(0)
        });
        let _ = self.epochs.end(claim);
    }

    /// Claims and ends, on queue `q`.
    fn claimer(&self, q: usize) -> Result<(), String> {
        let claim = self.claim(q);
        self.end(q, claim);
        Ok(())
    }

    /// Empties queue `q`, on which a claim may be open. Nobody can tell when within the lock that
    /// is, so that it is one step.
    fn drain(&self, q: usize) {
        atomically(|m| {
            if m.get(&self.locks[q]) != 0 {
                return None;
            }
            m.set(&self.owed, m.get(&self.owed) | m.get(&self.open) & 1 << q);
            Some(0)
        });
    }

    fn zero(&self, word: &Word) {
        atomically(|m| (m.get(word) == 0).then_some(0));
    }

    fn reached(&self, phase: usize) {
        self.phase.swap(phase);
    }

    fn at(&self, phase: usize) {
        atomically(|m| (m.get(&self.phase) >= phase).then_some(0));
    }

    /// One wait for the claims on `queues` queues.
    fn wait(&self, queues: usize, how: Waits) -> Result<(), String> {
        (0..queues).for_each(|q| self.drain(q));
        if how != Waits::FlipOnly {
            self.zero(self.epochs.idle());
        }
        if how != Waits::IdleOnly {
            self.zero(self.epochs.flip());
        }
        match self.owed.load() {
            0 => Ok(()),
            owed => Err(format!("claims {owed:#x} were made before and are open")),
        }
    }
}

/// `claimers` that claim `claims` times each, and one that waits `waits` times.
fn early(claimers: usize, claims: usize, waits: usize, how: Waits) -> Result<usize, word::Wrong> {
    let scene = Scene::new();
    let (zero, one, two) = (
        || scene.claimer(0),
        || scene.claimer(1),
        || scene.claimer(2),
    );
    let waiter = || scene.wait(claimers, how);
    let waiter = vec![&waiter as Program<'_>; waits];
    let claimer = [&zero as Program<'_>, &one, &two].map(|c| vec![c; claims]);
    let mut threads = vec![&waiter[..]];
    threads.extend(claimer[..claimers].iter().map(|c| &c[..]));
    explore(&threads)
}

/// No wait returns while a claim that was made before is open.
#[test]
fn waits_for_earlier_claims() {
    for (claimers, claims, waits) in [(2, 2, 2), (1, 3, 4), (2, 2, 4), (3, 1, 2)] {
        let states = early(claimers, claims, waits, Waits::IdleAndFlip).unwrap();
        // Else the programs did not meet.
        assert!(states > 300, "{states}");
    }
}

/// A claimer that read the parity before a flip and counts after it escapes the second waiter
/// unless that looks at the idle counter.
#[test]
fn flip_alone_is_too_little() {
    let wrong = early(2, 2, 2, Waits::FlipOnly).unwrap_err();
    assert_ne!(wrong.why, "stuck");
    early(2, 2, 1, Waits::FlipOnly).expect("the first wait has no flip before it");
}

/// Waiting for the idle counter is for left-overs only.
#[test]
fn idle_alone_is_too_little() {
    let wrong = early(1, 1, 1, Waits::IdleOnly).unwrap_err();
    assert_ne!(wrong.why, "stuck");
}

/// Claims that begin once a wait has flipped do not keep it: here they end only when it is over.
/// Nor do claims that begin once it has begun keep its first half: they end only with that.
#[test]
fn later_claims_keep_nobody() {
    let scene = Scene::new();
    let waiter = || {
        for wait in 0..2 {
            scene.drain(0);
            scene.reached(4 * wait + 1);
            scene.zero(scene.epochs.idle());
            scene.reached(4 * wait + 2);
            let old = scene.epochs.flip();
            scene.reached(4 * wait + 3);
            scene.zero(old);
            scene.reached(4 * wait + 4);
        }
        Ok(())
    };
    // A claim that is made between two phases and ends in the second.
    let between = |q, first, second| {
        scene.at(first);
        let claim = scene.claim(q);
        scene.at(second);
        scene.end(q, claim);
        Ok(())
    };
    // One that ends by itself, and may read the parity long before it counts.
    let earlier = || scene.claimer(0);
    for wait in [0, 4] {
        let in_first_half = || between(1, wait + 1, wait + 2);
        let in_second_half = || between(2, wait + 3, wait + 4);
        let states = explore(&[
            &[&waiter],
            &[&earlier],
            &[&in_first_half],
            &[&in_second_half],
        ])
        .unwrap();
        assert!(states > 300, "{states}");
    }
}
