// SPDX-License-Identifier: GPL-2.0

//! Whether kmemleak knows an object, with the reorderings that a machine may make: one at a time
//! writes its list, and finds it as the one before left it.

use graceslab_host::weak as word;
use loom::sync::Arc;
use loom::thread;

#[path = "../../../cache/debug/known.rs"]
mod known;

use known::Known;
use word::{Private, Word};

struct Scene {
    known: Known,
    /// The list, which has the object or not: it is written that often.
    list: Private,
    /// As the bit in the slab.
    owed: Word,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            known: Known::new(),
            list: Private::new(),
            owed: Word::new(0),
        };
        // Each word is to be looked at by this thread first.
        scene.known.settle(|_| unreachable!());
        scene.owed.load();
        scene
    }

    fn tell(&self, used: bool) {
        assert_eq!(self.list.get() % 2 == 0, used, "told twice");
        self.list.add();
    }

    fn note(&self, used: bool, may_tell: bool) {
        if self
            .known
            .note(used, may_tell.then_some(|used| self.tell(used)))
        {
            self.owed.fetch_or(1);
        }
    }

    fn service(&self) {
        if self.owed.fetch_and(0) != 0 {
            self.known.settle(|used| self.tell(used));
        }
    }
}

/// Runs an owner who allocates and frees in turn against the service, which comes by twice, and
/// again when all is quiet if something is owed.
fn model(owner: &'static [bool]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(move || {
        let scene = Arc::new(Scene::new());
        let service = {
            let scene = scene.clone();
            thread::spawn(move || (0..2).for_each(|_| scene.service()))
        };
        for (i, &may_tell) in owner.iter().enumerate() {
            scene.note(i % 2 == 0, may_tell);
        }
        service.join().unwrap();
        scene.service();
        assert_eq!(scene.list.get() % 2, owner.len() % 2);
        scene.known.settle(|_| panic!("not settled"));
    });
}

/// Allocated and freed where nothing may be told, then allocated where it may.
#[test]
fn told_at_last() {
    model(&[false, false, true]);
}

/// Freed where nothing may be told.
#[test]
fn freed_untold() {
    model(&[true, false]);
}

/// Allocated where nothing may be told, and freed where it may.
#[test]
fn allocated_untold() {
    model(&[false, true]);
}

/// Nothing may be told, ever.
#[test]
fn never_told() {
    model(&[false, false, false]);
}
