// SPDX-License-Identifier: GPL-2.0

//! Published pointers.

use crate::support::{
    spin,
    Probe,
    Tally,
    Threads,
    FLAGS,
    LONG, //
};
use graceslab::{
    Args,
    Cache,
    Rcu,
    RcuBox, //
};
use kernel::{
    prelude::*,
    processor::cpu_relax,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

fn cache<T>(name: &CStr, flags: usize) -> Result<Cache<T>> {
    Cache::new(
        name,
        Args {
            flags,
            ..Args::default()
        },
    )
}

/// Values that a writer publishes, at most.
const VALUES: usize = 20_000;
/// The time that it has for them.
const TIME: Delta = Delta::from_millis(400);
/// Readers give up after this time, should nobody stop them.
const READERS_LIMIT: Delta = Delta::from_millis(8000);

/// A value that holds itself together.
struct Value {
    complement: usize,
    probe: Probe<VALUES>,
}

impl Value {
    fn new(tally: &'static Tally<VALUES>, key: usize) -> Self {
        Self {
            complement: !key,
            probe: Probe::new(tally, key),
        }
    }

    /// The number of a value that is whole and alive.
    fn number(&self) -> Option<usize> {
        let key = self.probe.key;
        (self.probe.is_alive() && self.complement == !key).then_some(key)
    }
}

/// What readers found.
struct Findings {
    stop: Atomic<bool>,
    reads: Atomic<u32>,
    changes: Atomic<u32>,
    wrong: Atomic<u32>,
}

impl Findings {
    const fn new() -> Self {
        Self {
            stop: Atomic::new(false),
            reads: Atomic::new(0),
            changes: Atomic::new(0),
            wrong: Atomic::new(0),
        }
    }

    fn reset(&self) {
        self.stop.store(false, Relaxed);
        for n in [&self.reads, &self.changes, &self.wrong] {
            n.store(0, Relaxed);
        }
    }

    /// Reads until told to stop. Numbers never go back.
    fn read(&self, current: &Rcu<RcuBox<Value>>) {
        let begin = Instant::<Monotonic>::now();
        let mut last = 0;
        let mut round = 0u32;
        while !self.stop.load(Relaxed) && begin.elapsed() < READERS_LIMIT {
            round = round.wrapping_add(1);
            let guard = rcu::read_lock();
            if let Some(value) = current.dereference(&guard) {
                let number = value.number();
                // Now and then for longer than it takes to be replaced and used again.
                for _ in 0..if round % 64 == 0 { 20_000 } else { 50 } {
                    cpu_relax();
                    if value.number() != number {
                        self.wrong.fetch_add(1, Relaxed);
                        break;
                    }
                }
                match number {
                    Some(number) if number >= last => {
                        self.changes.fetch_add(u32::from(number != last), Relaxed);
                        last = number;
                    }
                    _ => {
                        self.wrong.fetch_add(1, Relaxed);
                    }
                }
                self.reads.fetch_add(1, Relaxed);
            }
            drop(guard);
            if round % 16 == 0 {
                fsleep(Delta::from_micros(20));
            }
        }
    }
}

#[kunit_tests(gs_rust_rcu)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_rcu_replace() -> Result {
        static TALLY: Tally<3> = Tally::new();

        for flags in FLAGS {
            TALLY.reset();
            let cache = cache::<Probe<3>>(c"gs_rust_replace", flags)?;
            let probe = |key| cache.alloc_rcu(Probe::new(&TALLY, key), GFP_KERNEL);
            let key_of = |pointer: &Rcu<RcuBox<Probe<3>>>| {
                let guard = rcu::read_lock();
                pointer.dereference(&guard).map(|probe| probe.key)
            };

            let pointer = Rcu::null();
            assert_eq!(key_of(&pointer), None);
            assert!(pointer.take().is_none());
            assert!(pointer.replace(Some(probe(0)?)).is_none());
            assert_eq!(key_of(&pointer), Some(0));
            let old = pointer.replace(Some(probe(1)?));
            assert_eq!(key_of(&pointer), Some(1));
            assert_eq!(
                old.as_ref().map(|old| (old.key, old.is_alive())),
                Some((0, true))
            );
            drop(old);
            drop(pointer.replace(None));
            assert_eq!(key_of(&pointer), None);
            drop(pointer);

            let pointer = Rcu::from(probe(2)?);
            assert_eq!(key_of(&pointer), Some(2));
            drop(pointer);
            assert!(Rcu::<RcuBox<u64>>::default().take().is_none());

            assert_eq!(cache.destroy(), Ok(()));
            assert!(TALLY.once_each(3));
        }
        Ok(())
    }

    /// What a guard has is there while the guard is: what was replaced and dropped, and what was
    /// published until the pointer itself was dropped.
    #[test]
    fn gs_rust_rcu_guard() -> Result {
        static TALLY: Tally<3> = Tally::new();

        for flags in FLAGS {
            TALLY.reset();
            let cache = cache::<Probe<3>>(c"gs_rust_guard", flags)?;
            let pointer = Rcu::new(cache.alloc_rcu(Probe::new(&TALLY, 0), GFP_KERNEL)?);
            let kept = pointer.replace(Some(cache.alloc_rcu(Probe::new(&TALLY, 1), GFP_KERNEL)?));
            let next = cache.alloc_rcu(Probe::new(&TALLY, 2), GFP_KERNEL)?;

            let guard = rcu::read_lock();
            let zero = kept.as_ref().map(|old| old.with_rcu(&guard));
            let one = pointer.dereference(&guard);
            let old = pointer.replace(Some(next));
            let two = pointer.dereference(&guard);
            drop(old);
            drop(pointer);
            drop(kept);
            spin(LONG);
            let seen = [zero, one, two].map(|p| p.map(|p| (p.key, p.is_alive())));
            let early = TALLY.total();
            drop(guard);

            assert_eq!(seen, [0, 1, 2].map(|key| Some((key, true))));
            assert_eq!(early, 0);
            cache.barrier();
            assert!(TALLY.once_each(3));
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    /// What was replaced lives as long as it is kept, without any guard.
    #[test]
    fn gs_rust_rcu_kept() -> Result {
        static TALLY: Tally<1> = Tally::new();

        TALLY.reset();
        let cache = cache::<Probe<1>>(c"gs_rust_kept", 0)?;
        let pointer = Rcu::new(cache.alloc_rcu(Probe::new(&TALLY, 0), GFP_KERNEL)?);
        let old = pointer.take();
        fsleep(LONG);
        cache.barrier();
        assert_eq!(old.as_ref().map(|old| old.is_alive()), Some(true));
        assert_eq!(TALLY.total(), 0);
        drop(old);
        cache.barrier();
        assert!(TALLY.once_each(1));
        assert_eq!(cache.destroy(), Ok(()));
        Ok(())
    }

    /// Readers see whole values, old or new, and none that was freed.
    #[test]
    fn gs_rust_rcu_readers() -> Result {
        static TALLY: Tally<VALUES> = Tally::new();
        static CURRENT: Rcu<RcuBox<Value>> = Rcu::null();
        static FOUND: Findings = Findings::new();

        for flags in FLAGS {
            TALLY.reset();
            FOUND.reset();
            let cache = cache::<Value>(c"gs_rust_readers", flags)?;
            let threads = Threads::new(3)?;
            for _ in 0..3 {
                threads.run(|| FOUND.read(&CURRENT))?;
            }
            let begin = Instant::<Monotonic>::now();
            let mut values = 0;
            let mut in_turn = true;
            while values < VALUES && begin.elapsed() < TIME {
                let Ok(value) = cache.alloc_rcu(Value::new(&TALLY, values), GFP_KERNEL) else {
                    break;
                };
                let old = CURRENT.replace(Some(value));
                in_turn &= old.as_ref().map(|old| old.number()) == values.checked_sub(1).map(Some);
                values += 1;
                drop(old);
                if values % 100 == 0 {
                    fsleep(Delta::from_micros(100));
                }
            }
            FOUND.stop.store(true, Relaxed);
            drop(threads);
            drop(CURRENT.take());
            cache.barrier();

            assert!(in_turn);
            assert!(values > 100);
            assert_eq!(FOUND.wrong.load(Relaxed), 0);
            assert!(FOUND.reads.load(Relaxed) > 100);
            assert!(FOUND.changes.load(Relaxed) > 10);
            assert!(TALLY.once_each(values));
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    /// Writers that do not exclude each other: each gets another old value.
    #[test]
    fn gs_rust_rcu_writers() -> Result {
        const EACH: usize = 10_000;
        static TALLY: Tally<{ 2 * EACH }> = Tally::new();
        static CURRENT: Rcu<RcuBox<Probe<{ 2 * EACH }>>> = Rcu::null();
        static READY: Atomic<u32> = Atomic::new(0);

        for flags in FLAGS {
            TALLY.reset();
            READY.store(0, Relaxed);
            let cache = cache::<Probe<{ 2 * EACH }>>(c"gs_rust_writers", flags)?;
            let threads = Threads::new(2)?;
            for n in 0..2 {
                let mut boxes = KVVec::with_capacity(EACH, GFP_KERNEL)?;
                for key in 0..EACH {
                    let probe = Probe::new(&TALLY, n * EACH + key);
                    boxes.push(cache.alloc_rcu(probe, GFP_KERNEL)?, GFP_KERNEL)?;
                }
                threads.run(move || {
                    READY.fetch_add(1, Relaxed);
                    // Both at once, where there is another CPU.
                    let begin = Instant::<Monotonic>::now();
                    while READY.load(Relaxed) < 2 && begin.elapsed() < LONG {
                        cpu_relax();
                    }
                    for probe in boxes {
                        drop(CURRENT.replace(Some(probe)));
                    }
                })?;
            }
            drop(threads);
            let last = CURRENT.take();
            cache.barrier();
            assert_eq!(last.as_ref().map(|last| last.is_alive()), Some(true));
            assert_eq!(TALLY.total() as usize, 2 * EACH - 1);
            drop(last);
            assert_eq!(cache.destroy(), Ok(()));
            assert!(TALLY.once_each(2 * EACH));
        }
        Ok(())
    }
}
