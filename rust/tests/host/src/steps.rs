// SPDX-License-Identifier: GPL-2.0

//! Every interleaving of a few programs, one access to a shared word at a time.
//!
//! A program is a function whose only dealings with others are [`Word`]s, [`Byte`]s and [`atomically`]. What
//! it does next is then a matter of what its accesses have returned so far, its *history*. So a
//! program is moved on by running it from its start: accesses in the history return what they
//! did, the next one is really made, and the one after that unwinds.
//!
//! A state is the memory and the programs' histories, and each is visited once, which is what
//! makes programs affordable that are too long for all their schedules to be tried. A thread is
//! programs one after the other; what is history is forgotten between them. In return every access
//! is sequentially consistent here; reorderings are for [`weak`](crate::weak).

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// A word that lives in the memory of the state being explored. It must not move meanwhile.
pub struct Word(usize);

impl Word {
    /// A word that holds `v` when the programs start.
    pub const fn new(v: usize) -> Self {
        Self(v)
    }

    fn update(&self, f: impl FnOnce(usize) -> usize) -> usize {
        atomically(|m| {
            let old = m.get(self);
            m.set(self, f(old));
            Some(old)
        })
    }

    /// Reads the word.
    pub fn load(&self) -> usize {
        atomically(|m| Some(m.get(self)))
    }

    /// Replaces the word.
    pub fn swap(&self, v: usize) -> usize {
        self.update(|_| v)
    }

    /// Adds to the word, and returns what it was.
    pub fn fetch_add(&self, v: isize) -> usize {
        self.update(|old| old.wrapping_add_signed(v))
    }
}

/// A byte of such a memory. It must not move either.
pub struct Byte(Word);

impl Byte {
    /// A byte that holds `v` when the programs start.
    pub const fn new(v: u8) -> Self {
        Self(Word::new(v as usize))
    }

    /// Reads the byte.
    pub fn load(&self) -> u8 {
        self.0.load() as u8
    }

    /// Replaces the byte if it is `old`; what it is if it was not.
    pub fn cmpxchg(&self, old: u8, new: u8) -> Result<(), u8> {
        let old = usize::from(old);
        let was = self.0.update(|v| if v == old { new.into() } else { v });
        if was == old {
            Ok(())
        } else {
            Err(was as u8)
        }
    }
}

/// The words that have been written, by address.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Memory(BTreeMap<usize, usize>);

impl Memory {
    /// The value of `word`.
    pub fn get(&self, word: &Word) -> usize {
        let at = &raw const *word as usize;
        self.0.get(&at).copied().unwrap_or(word.0)
    }

    /// Writes `word`.
    pub fn set(&mut self, word: &Word, v: usize) {
        self.0.insert(&raw const *word as usize, v);
    }
}

/// A program: what it finds wrong, if anything.
pub type Program<'a> = &'a dyn Fn() -> Result<(), String>;

/// What went wrong, and the threads that were moved on until then.
#[derive(Debug)]
pub struct Wrong {
    /// What a program said, or that none of them could move.
    pub why: String,
    /// Indices of threads, in order.
    pub schedule: Vec<usize>,
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Thread {
    /// Programs that it is done with.
    done: usize,
    /// What the next one has seen so far.
    history: Vec<usize>,
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct State {
    memory: Memory,
    threads: Vec<Thread>,
}

/// One program on its way to its next access but one.
struct Run {
    memory: Memory,
    history: Vec<usize>,
    at: usize,
    moved: bool,
}

/// How a run ends before its program does.
struct Stop;

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

/// Makes `op` one step of the program that calls it; while it returns `None` the program waits.
pub fn atomically(op: impl FnOnce(&mut Memory) -> Option<usize>) -> usize {
    let result = RUN.with_borrow_mut(|run| {
        let run = run.as_mut().expect("words are for programs");
        if run.at == run.history.len() {
            if run.moved {
                return None;
            }
            let value = op(&mut run.memory)?;
            run.moved = true;
            run.history.push(value);
        }
        run.at += 1;
        Some(run.history[run.at - 1])
    });
    result.unwrap_or_else(|| resume_unwind(Box::new(Stop)))
}

/// Moves thread `i`, which is at `program`, on by one step; `None` if it has to wait.
fn step(state: &State, i: usize, program: Program<'_>) -> Option<Result<State, String>> {
    RUN.set(Some(Run {
        memory: state.memory.clone(),
        history: state.threads[i].history.clone(),
        at: 0,
        moved: false,
    }));
    let end = catch_unwind(AssertUnwindSafe(program));
    let run = RUN.take().expect("set above");
    let done = match end {
        Ok(Ok(())) => true,
        Ok(Err(why)) => return Some(Err(why)),
        Err(stop) if stop.is::<Stop>() => false,
        Err(panic) => resume_unwind(panic),
    };
    if !run.moved && !done {
        return None;
    }
    let mut after = state.clone();
    after.memory = run.memory;
    let thread = &mut after.threads[i];
    if done {
        thread.done += 1;
        thread.history.clear();
    } else {
        thread.history = run.history;
    }
    Some(Ok(after))
}

/// Runs `threads` in every order; the number of states, or the first thing that goes wrong. That
/// all threads which are not done wait is wrong, too.
pub fn explore(threads: &[&[Program<'_>]]) -> Result<usize, Wrong> {
    let start = State {
        memory: Memory::default(),
        threads: vec![Thread::default(); threads.len()],
    };
    let mut seen = HashSet::from([start.clone()]);
    let mut todo = vec![(start, Vec::new())];
    while let Some((state, schedule)) = todo.pop() {
        let (mut stuck, mut done) = (true, true);
        for (i, programs) in threads.iter().enumerate() {
            let Some(program) = programs.get(state.threads[i].done) else {
                continue;
            };
            done = false;
            let mut schedule: Vec<usize> = schedule.clone();
            schedule.push(i);
            match step(&state, i, program) {
                None => continue,
                Some(Err(why)) => return Err(Wrong { why, schedule }),
                Some(Ok(after)) => {
                    stuck = false;
                    if seen.insert(after.clone()) {
                        todo.push((after, schedule));
                    }
                }
            }
        }
        if stuck && !done {
            let why = "stuck".into();
            return Err(Wrong { why, schedule });
        }
    }
    Ok(seen.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two programs that read, then write back one more: the lost update is found.
    #[test]
    fn finds_a_lost_update() {
        let word = Word::new(0);
        let ready = Word::new(0);
        let careless = || {
            let v = word.load();
            word.swap(v + 1);
            ready.fetch_add(1);
            Ok(())
        };
        let careful = || {
            word.fetch_add(1);
            ready.fetch_add(1);
            Ok(())
        };
        let judge = || {
            atomically(|m| (m.get(&ready) == 2).then_some(0));
            match word.load() {
                2 => Ok(()),
                n => Err(n.to_string()),
            }
        };
        let wrong = explore(&[&[&careless], &[&careless], &[&judge]]).unwrap_err();
        assert_eq!(wrong.why, "1");
        explore(&[&[&careful], &[&careful], &[&judge]]).unwrap();
    }

    /// Two locks that are taken in two orders.
    #[test]
    fn finds_a_deadlock() {
        let (a, b) = (Word::new(0), Word::new(0));
        let take = |w: &Word| atomically(|m| (m.get(w) == 0).then(|| m.set(w, 1)).map(|()| 0));
        let both = |x: &Word, y: &Word| {
            take(x);
            take(y);
            y.swap(0);
            x.swap(0);
            Ok(())
        };
        let one = || both(&a, &b);
        let other = || both(&b, &a);
        let wrong = explore(&[&[&one, &one], &[&other]]).unwrap_err();
        assert_eq!(wrong.why, "stuck");
        explore(&[&[&one, &one], &[&one]]).unwrap();
    }
}
