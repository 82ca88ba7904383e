// SPDX-License-Identifier: GPL-2.0

//! A latch with the reorderings that a machine may make: a reader finds a pair that was there,
//! whole, with all that its writer had written before.

use graceslab_host::weak as word;
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[path = "../../../own/latch.rs"]
mod latch;

use latch::Latch;
use word::Private;

struct Scene {
    latch: Latch,
    lock: Mutex<()>,
    /// What each pair points to: written before the pair is there, and not after.
    targets: [Private; 5],
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            latch: Latch::new((1, !1)),
            lock: Mutex::new(()),
            targets: std::array::from_fn(|_| Private::new()),
        };
        scene.targets[1].add();
        // Each word is to be looked at by this thread first: both copies.
        for _ in 0..2 {
            scene.latch.load();
            scene.latch.replace((1, !1));
        }
        scene
    }

    /// Puts number `n` there; the number that was.
    fn write(&self, n: usize) -> usize {
        self.targets[n].add();
        let _one = self.lock.lock().unwrap();
        let (old, complement) = self.latch.replace((n, !n));
        assert_eq!(old, !complement);
        assert_eq!(self.targets[old].get(), 1);
        old
    }

    /// The number that is there.
    fn read(&self) -> usize {
        let (n, complement) = self.latch.load();
        assert_eq!(n, !complement);
        assert_eq!(self.targets[n].get(), 1);
        n
    }
}

/// Runs a scene until loom has seen all of it.
///
/// Loom does not move a store before the loads of others if its thread has loaded the same word
/// in between, as a writer does. So readers come last in the order that it begins with: it does
/// move their loads before the stores.
fn model(preemptions: usize, f: impl Fn(Arc<Scene>) + Sync + Send + 'static) {
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        count.fetch_add(1, Relaxed);
        f(Arc::new(Scene::new()));
    });
    // Else the threads did not meet.
    assert!(runs.load(Relaxed) > 300, "{runs:?}");
}

fn spawn<T: 'static>(
    scene: &Arc<Scene>,
    f: impl FnOnce(&Scene) -> T + 'static,
) -> thread::JoinHandle<T> {
    let scene = scene.clone();
    thread::spawn(move || f(&scene))
}

/// A writer that replaces the pair three times, and fills the copy that is being read again.
#[test]
fn one_writer() {
    model(3, |scene| {
        let reader = spawn(&scene, |scene| [scene.read(), scene.read()]);
        for n in 2..5 {
            assert_eq!(scene.write(n), n - 1);
        }
        // Never back.
        let [first, second] = reader.join().unwrap();
        assert!(first <= second);
        assert_eq!(scene.read(), 4);
    });
}

/// Two writers: each gets another old pair.
#[test]
fn two_writers() {
    model(2, |scene| {
        let writer = spawn(&scene, |scene| scene.write(3));
        let reader = spawn(&scene, |scene| scene.read());
        let old = scene.write(2) + writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(old + scene.read(), 1 + 2 + 3);
    });
}
