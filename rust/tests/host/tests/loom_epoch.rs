// SPDX-License-Identifier: GPL-2.0

//! Epochs with the reorderings that a machine may make, and with real sleeping: a claimer wakes
//! the waiter only where [`Epochs::end`] tells it to.

use graceslab_host::weak as word;
use loom::sync::{atomic::fence, Arc, Condvar, Mutex};
use loom::thread;
use std::sync::atomic::Ordering::Acquire;

#[path = "../../../rcu/epoch.rs"]
mod epoch;

use epoch::Epochs;
use word::{Private, Word};

struct Scene {
    epochs: Epochs,
    /// Whether a batch has been taken off each queue, under its lock.
    queues: [Mutex<bool>; 2],
    /// What the reclaim of that batch writes.
    batches: [Private; 2],
    sleep: Mutex<()>,
    wake: Condvar,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            epochs: Epochs::new(),
            queues: [Mutex::new(false), Mutex::new(false)],
            batches: [Private::new(), Private::new()],
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        };
        // Each word is to be looked at by this thread first.
        let claim = scene.epochs.claim();
        scene.epochs.idle().load();
        let _ = scene.epochs.end(claim);
        scene
    }

    fn claimer(&self, q: usize) {
        let claim = {
            let mut taken = self.queues[q].lock().unwrap();
            *taken = true;
            self.epochs.claim()
        };
        self.batches[q].add();
        if self.epochs.end(claim).is_some() {
            let _awake = self.sleep.lock().unwrap();
            self.wake.notify_all();
        }
    }

    /// Sleeps until the word is zero, which it reads with acquire.
    fn zero(&self, word: &Word) {
        let mut asleep = self.sleep.lock().unwrap();
        while word.load() != 0 {
            asleep = self.wake.wait(asleep).unwrap();
        }
        fence(Acquire);
    }

    /// What had been taken off the queues has been reclaimed by the time that a wait is over.
    fn wait(&self, queues: usize) {
        let taken = [0, 1].map(|q| q < queues && *self.queues[q].lock().unwrap());
        self.zero(self.epochs.idle());
        self.zero(self.epochs.flip());
        for (batch, _) in self.batches.iter().zip(taken).filter(|b| b.1) {
            assert_eq!(batch.get(), 1);
        }
    }
}

fn model(claimers: usize, waits: usize, preemptions: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let scene = Arc::new(Scene::new());
        let threads: Vec<_> = (0..claimers)
            .map(|q| {
                let scene = scene.clone();
                thread::spawn(move || scene.claimer(q))
            })
            .collect();
        for _ in 0..waits {
            scene.wait(claimers);
        }
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
}

/// One claimer, two waits.
#[test]
fn one_claimer() {
    model(1, 2, None);
}

/// Two claimers on two queues, two waits.
#[test]
fn two_claimers() {
    model(2, 2, Some(2));
}
