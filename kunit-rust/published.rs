// SPDX-License-Identifier: GPL-2.0

//! Published memory of the kernel's own: boxes, and vectors, whose pointer and length go together.

use crate::support::{
    comes_back,
    spin,
    Attempt,
    Failing,
    Threads,
    BLOCK, //
};
use core::{
    fmt::Debug,
    mem::MaybeUninit, //
};
use graceslab::{
    Rcu,
    RcuPointer, //
};
use kernel::{
    alloc::{
        KVVec,
        VVec, //
    },
    new_spinlock,
    prelude::*,
    processor::cpu_relax,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu,
        SpinLock, //
    },
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};

/// A pointer that is dangling, but to more than the address 16.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(4096))]
struct Aligned(u8);

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(4096))]
struct Nothing;

/// Publishes `a`, then `b`, then nothing, and looks at what is there, and what was.
fn in_turn<P>(a: P, b: P, seen_a: &P::Target, seen_b: &P::Target) -> bool
where
    P: RcuPointer<Target: PartialEq + Debug>,
{
    let is = |pointer: &Rcu<P>, value: Option<&P::Target>| {
        pointer.dereference(&rcu::read_lock()) == value
    };
    let pointer = Rcu::null();
    let mut good = is(&pointer, None) && pointer.take().is_none();
    good &= pointer.replace(Some(a)).is_none() && is(&pointer, Some(seen_a));
    let old = pointer.replace(Some(b));
    good &= is(&pointer, Some(seen_b)) && old.as_deref() == Some(seen_a);
    drop(old);
    let old = pointer.take();
    good && is(&pointer, None) && old.as_deref() == Some(seen_b) && pointer.take().is_none()
}

/// Publishes `values` one after the other, each for one reader, all of which look when all but
/// the last have been dropped. Whether they are as they were.
fn survives<P, const N: usize>(values: [P; N], whole: impl Fn(usize, &P::Target) -> bool) -> bool
where
    P: RcuPointer,
{
    let pointer = Rcu::null();
    let guard = rcu::read_lock();
    let seen = values.map(|value| {
        drop(pointer.replace(Some(value)));
        pointer.dereference(&guard)
    });
    drop(pointer);
    // What was freed would be used again.
    let mut others = [const { None }; 64];
    for other in &mut others {
        *other = KBox::new([0xeeu8; 256], GFP_NOWAIT | __GFP_NOWARN).ok();
        spin(Delta::from_millis(1));
    }
    let good = seen
        .iter()
        .enumerate()
        .all(|(n, value)| value.is_some_and(|value| whole(n, value)));
    drop(guard);
    good
}

const READERS: usize = 2;
const WRITERS: usize = 2;
/// The time that threads have to get in each other's way.
const TIME: Delta = Delta::from_millis(400);

/// The time after which they give up, should nobody stop them.
const TOO_LONG: Delta = Delta::from_millis(8000);

/// What threads found.
struct Findings {
    stop: Atomic<bool>,
    reads: Atomic<u32>,
    /// Lengths that were not those of the read before.
    changes: Atomic<u32>,
    torn: Atomic<u32>,
    writes: Atomic<u32>,
}

impl Findings {
    const fn new() -> Self {
        Self {
            stop: Atomic::new(false),
            reads: Atomic::new(0),
            changes: Atomic::new(0),
            torn: Atomic::new(0),
            writes: Atomic::new(0),
        }
    }

    fn reset(&self) {
        self.stop.store(false, Relaxed);
        for n in [&self.reads, &self.changes, &self.torn, &self.writes] {
            n.store(0, Relaxed);
        }
    }

    /// Until told to stop, or it takes too long.
    fn repeat(&self, mut f: impl FnMut(u32)) {
        let begin = Instant::<Monotonic>::now();
        let mut round = 0u32;
        while !self.stop.load(Relaxed) && begin.elapsed() < TOO_LONG {
            f(round);
            round = round.wrapping_add(1);
            if round % 256 == 0 {
                fsleep(Delta::from_micros(20));
            }
        }
    }

    /// A vector of a published length has that length in each of its items.
    fn judge(&self, seen: &[u32]) {
        if seen.iter().any(|&n| n as usize != seen.len()) {
            self.torn.fetch_add(1, Relaxed);
        }
    }

    fn read(&self, table: &Rcu<KVec<u32>>) {
        let mut last = 0;
        self.repeat(|round| {
            let guard = rcu::read_lock();
            if let Some(seen) = table.dereference(&guard) {
                self.judge(seen);
                // Now and then for longer than it takes to be replaced, and freed were it not for
                // the guard.
                if round % 64 == 0 {
                    (0..20_000).for_each(|_| cpu_relax());
                    self.judge(seen);
                }
                self.reads.fetch_add(1, Relaxed);
                self.changes
                    .fetch_add(u32::from(seen.len() != last), Relaxed);
                last = seen.len();
            }
            drop(guard);
        });
    }

    fn write(&self, table: &Rcu<KVec<u32>>, first: usize) {
        self.repeat(|round| {
            let n = 1 + (first + round as usize * 7) % 40;
            if let Ok(new) = KVec::from_elem(n as u32, n, GFP_KERNEL) {
                if let Some(old) = table.replace(Some(new)) {
                    self.judge(&old);
                }
                self.writes.fetch_add(1, Relaxed);
            }
        });
    }
}

#[pin_data]
struct Guarded {
    number: u32,
    #[pin]
    lock: SpinLock<u32>,
}

#[kunit_tests(gs_rust_published)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_published_boxes() -> Result {
        assert!(in_turn(
            KBox::new(1u32, GFP_KERNEL)?,
            KBox::new(2, GFP_KERNEL)?,
            &1,
            &2
        ));
        assert!(in_turn(
            VBox::new([1u64; 9], GFP_KERNEL)?,
            VBox::new([2; 9], GFP_KERNEL)?,
            &[1; 9],
            &[2; 9],
        ));
        assert!(in_turn(
            KVBox::new((1u8, 'a'), GFP_KERNEL)?,
            KVBox::new((2, 'b'), GFP_KERNEL)?,
            &(1, 'a'),
            &(2, 'b'),
        ));
        assert_eq!(size_of::<Rcu<KBox<[u8; 100]>>>(), size_of::<usize>());
        graceslab::barrier();
        Ok(())
    }

    #[test]
    fn gs_rust_published_vectors() -> Result {
        for n in [1, 3, 64, 511, 5000] {
            let elem = |value| KVVec::from_elem(value, n, GFP_KERNEL);
            let (seen_a, seen_b) = (elem(1u16)?, elem(2)?);
            assert!(in_turn(elem(1)?, elem(2)?, &seen_a, &seen_b));
            let of = |value| KVec::from_elem(value, n, GFP_KERNEL);
            assert!(in_turn(of(1)?, of(2)?, &seen_a, &seen_b));
            // Of another length, and shorter than their memory.
            let mut empty = VVec::with_capacity(n, GFP_KERNEL)?;
            assert!(in_turn(
                empty,
                VVec::from_elem(2u16, n, GFP_KERNEL)?,
                &[],
                &seen_b
            ));
            empty = VVec::from_elem(1, n, GFP_KERNEL)?;
            empty.truncate(n / 2);
            assert!(in_turn(empty, VVec::new(), &seen_a[..n / 2], &[]));
        }
        graceslab::barrier();
        Ok(())
    }

    /// A box that is pinned is so until it is freed: its lock can be used by all.
    #[test]
    fn gs_rust_published_pinned() -> Result {
        let new = |n: u32| {
            KBox::pin_init(
                pin_init!(Guarded {
                    number: n,
                    lock <- new_spinlock!(n),
                }),
                GFP_KERNEL,
            )
        };
        let pointer = Rcu::new(new(1)?);
        let guard = rcu::read_lock();
        let seen = pointer.dereference(&guard);
        let at = seen.map(|seen| {
            *seen.lock.lock() += 10;
            &raw const *seen
        });
        drop(guard);
        let old = pointer.replace(Some(new(2)?));
        assert_eq!(old.as_ref().map(|old| *old.lock.lock()), Some(11));
        assert_eq!(old.as_ref().map(|old| old.number), Some(1));
        assert_eq!(old.as_ref().map(|old| &raw const **old), at);
        drop(old);
        drop(pointer);
        graceslab::barrier();
        Ok(())
    }

    /// Where there is no memory, none is freed: these pointers lead nowhere.
    #[test]
    fn gs_rust_published_nothing() -> Result {
        let nothings = |n| KVVec::from_elem(Nothing, n, GFP_KERNEL);
        let seen = nothings(5)?;
        assert!(in_turn(nothings(5)?, nothings(2)?, &seen, &seen[..2]));
        assert!(in_turn(
            KBox::new(Nothing, GFP_KERNEL)?,
            KBox::new(Nothing, GFP_KERNEL)?,
            &Nothing,
            &Nothing,
        ));
        assert!(in_turn(KVec::<u64>::new(), KVec::new(), &[], &[]));
        assert!(in_turn(VVec::<Aligned>::new(), VVec::new(), &[], &[]));
        assert!(in_turn(
            KVVec::<Aligned>::new(),
            KVVec::from_elem(Aligned(7), 1, GFP_KERNEL)?,
            &[],
            &[Aligned(7)],
        ));
        graceslab::barrier();
        Ok(())
    }

    /// What a guard has is there while the guard is.
    #[test]
    fn gs_rust_published_guard() -> Result {
        let value = |n| KBox::new([n; 256], GFP_KERNEL);
        let is = |n: usize, seen: &[u8; 256]| *seen == [n as u8; 256];
        assert!(survives([value(0)?, value(1)?, value(2)?], is));
        let table = |n: u8| KVec::from_elem(n, 256, GFP_KERNEL);
        let is = |n: usize, seen: &[u8]| seen == [n as u8; 256];
        assert!(survives([table(0)?, table(1)?, table(2)?], is));
        graceslab::barrier();
        Ok(())
    }

    /// Memory that was published and replaced comes back, and so does what was so at the end.
    #[test]
    fn gs_rust_published_comes_back() -> Result {
        type Block = MaybeUninit<[u8; BLOCK]>;

        let pointer = Rcu::null();
        assert!(comes_back(|| {
            drop(pointer.replace(Some(KBox::<Block>::new_uninit(GFP_KERNEL)?)));
            Ok(())
        })?);
        drop(pointer);
        let table = Rcu::null();
        assert!(comes_back(|| {
            drop(table.replace(Some(KVVec::<u8>::with_capacity(BLOCK, GFP_KERNEL)?)));
            Ok(())
        })?);
        drop(table);
        assert!(comes_back(|| {
            drop(Rcu::new(VVec::<u8>::with_capacity(BLOCK, GFP_KERNEL)?));
            Ok(())
        })?);
        Ok(())
    }

    /// To let go of what was replaced does not sleep, whatever memory there is.
    #[test]
    fn gs_rust_published_atomic() -> Result {
        let pointer = Rcu::null();
        let mut values = KVec::with_capacity(2000, GFP_KERNEL)?;
        for n in 0..2000u32 {
            values.push(KVec::from_elem(n, 3, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let mut values = values.into_iter();
        let mut put = |value: KVec<u32>| {
            let n = value[0];
            let old = pointer.replace(Some(value));
            old.is_none_or(|old| *old == [n - 1; 3])
        };
        let guard = rcu::read_lock();
        let good = values.by_ref().take(1980).all(&mut put);
        drop(guard);
        assert!(good);
        // The pages that there are have room for fewer than this, or for all that is left.
        let failing = Failing::new(&[Attempt::Page, Attempt::CachedPage, Attempt::Wrapper]);
        let guard = rcu::read_lock();
        let good = values.all(&mut put);
        drop(guard);
        drop(failing);
        assert!(good);
        drop(pointer);
        graceslab::barrier();
        Ok(())
    }

    /// Readers and writers in several threads: a vector is found with its own length, and whole.
    #[test]
    fn gs_rust_published_threads() -> Result {
        static TABLE: Rcu<KVec<u32>> = Rcu::null();
        static FOUND: Findings = Findings::new();

        FOUND.reset();
        let threads = Threads::new((READERS + WRITERS) as i32)?;
        for _ in 0..READERS {
            threads.run(|| FOUND.read(&TABLE))?;
        }
        for n in 0..WRITERS {
            threads.run(move || FOUND.write(&TABLE, 20 * n))?;
        }
        fsleep(TIME);
        FOUND.stop.store(true, Relaxed);
        drop(threads);
        drop(TABLE.take());
        graceslab::barrier();

        assert_eq!(FOUND.torn.load(Relaxed), 0);
        assert!(FOUND.reads.load(Relaxed) > 100);
        assert!(FOUND.changes.load(Relaxed) > 10);
        assert!(FOUND.writes.load(Relaxed) > 100);
        Ok(())
    }
}
