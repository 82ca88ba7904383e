// SPDX-License-Identifier: GPL-2.0

//! Whether kmemleak knows an object, in every interleaving of the object's owners and the service,
//! which includes an owner in NMI in the middle of whatever the service does.
//!
//! A use of the object has a number. What is told has the number of the use in which it is told, so
//! that a list which still has an earlier use is seen to be wrong.

use graceslab_host::steps::{self as word, atomically, explore, Program};

#[path = "../../../cache/debug/known.rs"]
mod known;

use known::Known;
use word::Word;

/// The list has a use that was over by then.
const OVER: usize = 99;

struct Scene {
    known: Known,
    /// The use that the object is in; 0: none.
    now: Word,
    /// The use that the list has; 0: none.
    list: Word,
    /// Somebody writes the list.
    writing: Word,
    /// Something that may not happen has.
    wrong: Word,
    /// The service is to come by.
    owed: Word,
    /// Threads that are done.
    done: Word,
}

impl Scene {
    const fn new() -> Self {
        Self {
            known: Known::new(),
            now: Word::new(0),
            list: Word::new(0),
            writing: Word::new(0),
            wrong: Word::new(0),
            owed: Word::new(0),
            done: Word::new(0),
        }
    }

    /// The list's writer, who is not to be called by two at once, nor twice for the same.
    fn tell(&self, used: bool) {
        atomically(|m| {
            let (writing, list) = (m.get(&self.writing), m.get(&self.list));
            m.set(&self.wrong, m.get(&self.wrong) | writing);
            m.set(
                &self.wrong,
                m.get(&self.wrong) | usize::from(used == (list != 0)),
            );
            m.set(&self.writing, 1);
            Some(0)
        });
        atomically(|m| {
            let now = match m.get(&self.now) {
                0 => OVER,
                now => now,
            };
            m.set(&self.list, if used { now } else { 0 });
            m.set(&self.writing, 0);
            Some(0)
        });
    }

    fn note(&self, used: bool, may_tell: bool) {
        if self
            .known
            .note(used, may_tell.then_some(|used| self.tell(used)))
        {
            self.owed.swap(1);
        }
    }

    /// Use number `n` begins.
    fn alloc(&self, n: usize, may_tell: bool) -> Result<(), String> {
        self.now.swap(n);
        self.note(true, may_tell);
        Ok(())
    }

    /// It ends.
    fn free(&self, may_tell: bool) -> Result<(), String> {
        self.note(false, may_tell);
        self.now.swap(0);
        Ok(())
    }

    fn done(&self) -> Result<(), String> {
        self.done.fetch_add(1);
        Ok(())
    }

    /// The service comes by, if it is to.
    fn service(&self) -> Result<(), String> {
        if self.owed.swap(0) != 0 {
            self.known.settle(|used| self.tell(used));
        }
        Ok(())
    }

    /// When all else is done, and the service has come by if it was still to: the list has the
    /// present use, and no other.
    fn judge(&self) -> Result<(), String> {
        atomically(|m| (m.get(&self.done) == 2).then_some(0));
        self.service()?;
        let (now, list) = (self.now.load(), self.list.load());
        if now != list {
            return Err(format!("the list has {list}, and it is {now}"));
        }
        let mut settled = true;
        self.known.settle(|_| settled = false);
        match (settled, self.wrong.load()) {
            (true, 0) => Ok(()),
            (false, _) => Err("not settled".into()),
            _ => Err("the list was written wrongly".into()),
        }
    }
}

/// An owner who allocates and frees in turn, each where he may tell or where he may not, and the
/// service at any moment.
#[test]
fn owner_and_service() {
    const STEPS: usize = 4;
    let mut most = 0;
    for length in 1..=STEPS {
        for told in 0..1 << length {
            let scene = Scene::new();
            let owner: Vec<Box<dyn Fn() -> Result<(), String>>> = (0..length)
                .map(|i| {
                    let (scene, may_tell) = (&scene, told >> i & 1 != 0);
                    if i % 2 == 0 {
                        Box::new(move || scene.alloc(i / 2 + 1, may_tell)) as Box<dyn Fn() -> _>
                    } else {
                        Box::new(move || scene.free(may_tell))
                    }
                })
                .collect();
            let (done, service, judge) = (|| scene.done(), || scene.service(), || scene.judge());
            let mut owner: Vec<Program<'_>> = owner.iter().map(|b| &**b as Program<'_>).collect();
            owner.push(&done);
            let states = explore(&[&owner, &[&service, &service, &done], &[&judge]])
                .unwrap_or_else(|wrong| panic!("{length} steps, told {told:#b}: {wrong:?}"));
            most = most.max(states);
        }
    }
    // Else they did not meet.
    assert!(most > 300, "{most}");
}

/// The slab goes: whatever is on the list leaves it.
#[test]
fn forgotten() {
    for told in 0..4 {
        let scene = Scene::new();
        let owner = || {
            scene.alloc(1, told & 1 != 0)?;
            scene.free(told & 2 != 0)?;
            scene.note(false, true);
            match scene.list.load() {
                0 => scene.done(),
                list => Err(format!("the list has {list}")),
            }
        };
        let (done, judge) = (|| scene.done(), || scene.judge());
        explore(&[&[&owner], &[&done], &[&judge]]).unwrap();
    }
}
