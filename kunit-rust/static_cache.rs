// SPDX-License-Identifier: GPL-2.0

//! Caches in statics: there from `init()` until the guard goes, and harmless at any other time.

use crate::support::{
    spin,
    wait_until,
    zombies,
    Attempt,
    Failing,
    Probe,
    Tally,
    Threads,
    LONG, //
};
use graceslab::{
    flags,
    Args,
    Cache,
    Leaked,
    StaticGuard, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        rcu, //
    },
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use pin_init::pin_init_from_closure;

graceslab::static_cache! {
    /// Values.
    static NUMBERS: Cache<u64> = c"gs_rust_static";
    static ALIGNED: Cache<[u8; 24]> = c"gs_rust_static_args", Args {
        align: 512,
        flags: flags::CONSISTENCY,
        ..Args::new()
    };
    static PROBES: Cache<Probe<5>> = c"gs_rust_static_drop";
    static BUSY: Cache<Probe<1>> = c"gs_rust_static_busy";
    static SLOW: Cache<Slow> = c"gs_rust_static_slow";
    static HEIRS: Cache<Heir> = c"gs_rust_static_heirs";
}

/// Its drop makes the cache anew as soon as that can be done, if it is the one for that.
struct Heir(bool);

/// The guard of the cache that was made anew.
static GUARD: Atomic<*mut StaticGuard<Heir>> = Atomic::new(core::ptr::null_mut());

impl Drop for Heir {
    fn drop(&mut self) {
        if !self.0 {
            return;
        }
        wait_until(|| {
            let Ok(guard) = HEIRS.init() else {
                return false;
            };
            let Ok(guard) = KBox::new(guard, GFP_KERNEL) else {
                return true;
            };
            GUARD.store(KBox::into_raw(guard), Release);
            true
        });
    }
}

/// Its drop takes its time in the thread that is [`INSIDE_PID`], and sees to it that it does once.
struct Slow;

static INSIDE_PID: Atomic<i32> = Atomic::new(0);
static SLOW_ENTERED: Atomic<bool> = Atomic::new(false);
static SLOW_LEAVES: Atomic<bool> = Atomic::new(false);

impl Drop for Slow {
    fn drop(&mut self) {
        if current!().pid() == INSIDE_PID.load(Relaxed) && !SLOW_ENTERED.xchg(true, Full) {
            wait_until(|| SLOW_LEAVES.load(Relaxed));
        }
    }
}

fn zero() -> impl PinInit<u64, Error> {
    // SAFETY: It writes all of the slot.
    unsafe {
        pin_init_from_closure(|slot: *mut u64| {
            *slot = 0;
            Ok(())
        })
    }
}

#[kunit_tests(gs_rust_static)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_static_init() -> Result {
        for _ in 0..3 {
            assert!(!NUMBERS.is_init());
            assert!(NUMBERS.alloc(1, GFP_KERNEL).is_err());
            assert!(NUMBERS.alloc_rcu(1, GFP_NOWAIT).is_err());
            assert!(NUMBERS.alloc_pin_init(zero(), GFP_KERNEL).is_err());
            NUMBERS.barrier();
            assert_eq!(NUMBERS.shrink(), 0);
            assert_eq!(NUMBERS.stats().objects, 0);

            let guard = NUMBERS.init()?;
            assert!(NUMBERS.is_init());
            assert_eq!(NUMBERS.init().err(), Some(EEXIST));
            let a = NUMBERS.alloc(1, GFP_KERNEL)?;
            let b = NUMBERS.alloc_rcu(2, GFP_KERNEL)?;
            let c = NUMBERS.alloc_pin_init(zero(), GFP_KERNEL)?;
            assert_eq!((*a, *b, *c), (1, 2, 0));
            assert_eq!(NUMBERS.stats().live, 3);
            drop((a, b, c));
            NUMBERS.barrier();
            assert_eq!(NUMBERS.stats().live, 0);
            assert!(NUMBERS.shrink() > 0);
            assert_eq!(guard.destroy(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn gs_rust_static_args() -> Result {
        let guard = ALIGNED.init()?;
        let mut boxes = KVec::new();
        for n in 0..40 {
            boxes.push(ALIGNED.alloc([n; 24], GFP_KERNEL)?, GFP_KERNEL)?;
        }
        assert!(boxes.iter().all(|b| (&raw const **b).addr() % 512 == 0));
        drop(boxes);
        assert_eq!(guard.destroy(), Ok(()));
        Ok(())
    }

    /// Where a slab is not to be had without sleeping, the flags decide whether it is with.
    #[test]
    fn gs_rust_static_sleeps() -> Result {
        let guard = NUMBERS.init()?;
        let failing = Failing::new(&[Attempt::Slab]);
        assert!(NUMBERS.alloc(1, GFP_KERNEL).is_err());
        assert!(NUMBERS.alloc(1, GFP_NOWAIT).is_err());
        drop(failing);
        // The first attempt is one that does not sleep.
        let failing = Failing::some(&[Attempt::Slab], 1);
        assert!(NUMBERS.alloc(1, GFP_NOWAIT).is_err());
        drop(failing);
        let failing = Failing::some(&[Attempt::Slab], 1);
        assert_eq!(NUMBERS.alloc(1, GFP_KERNEL).as_deref().ok(), Some(&1));
        drop(failing);
        let reader = rcu::read_lock();
        let number = NUMBERS.alloc(1, GFP_NOWAIT | __GFP_NOWARN);
        drop(reader);
        assert_eq!(number.as_deref().ok(), Some(&1));
        drop(number);
        assert_eq!(guard.destroy(), Ok(()));
        Ok(())
    }

    /// Pending frees are waited for; what is in use stays so.
    #[test]
    fn gs_rust_static_drops() -> Result {
        static TALLY: Tally<5> = Tally::new();

        TALLY.reset();
        let before = zombies();
        let guard = PROBES.init()?;
        for key in 0..3 {
            PROBES
                .alloc(Probe::new(&TALLY, key), GFP_KERNEL)?
                .free_rcu();
        }
        drop(guard);
        assert!(TALLY.once_each(3));

        let guard = PROBES.init()?;
        let probe = PROBES.alloc(Probe::new(&TALLY, 3), GFP_KERNEL)?;
        assert_eq!(guard.destroy(), Err(Leaked));
        assert!(probe.is_alive());
        // What could not be put anywhere is dropped.
        assert!(PROBES.alloc(Probe::new(&TALLY, 4), GFP_KERNEL).is_err());
        assert_eq!(TALLY.dropped(4), 1);
        probe.free_rcu();
        graceslab::barrier();
        assert!(TALLY.once_each(5));
        assert!(wait_until(|| zombies() == before));
        Ok(())
    }

    /// Who may have found it in a read-side section is waited for.
    #[test]
    fn gs_rust_static_readers() -> Result {
        static INSIDE: Atomic<bool> = Atomic::new(false);
        static LEFT: Atomic<bool> = Atomic::new(false);

        INSIDE.store(false, Relaxed);
        LEFT.store(false, Relaxed);
        let guard = NUMBERS.init()?;
        let threads = Threads::new(1)?;
        threads.run(|| {
            let reader = rcu::read_lock();
            INSIDE.store(true, Relaxed);
            spin(LONG);
            LEFT.store(true, Relaxed);
            drop(reader);
        })?;
        let inside = wait_until(|| INSIDE.load(Relaxed));
        drop(guard);
        let left = LEFT.load(Relaxed);
        drop(threads);
        assert!(inside && left);
        Ok(())
    }

    /// Who uses it, and sleeps in there, is waited for before it is destroyed.
    #[test]
    fn gs_rust_static_users() -> Result {
        INSIDE_PID.store(0, Relaxed);
        SLOW_ENTERED.store(false, Relaxed);
        SLOW_LEAVES.store(false, Relaxed);
        let guard = SLOW.init()?;
        let threads = Threads::new(2)?;
        threads.run(|| {
            INSIDE_PID.store(current!().pid(), Relaxed);
            // Until a drop is this thread's in `barrier()`, and no worker's.
            for _ in 0..500 {
                match SLOW.alloc(Slow, GFP_KERNEL) {
                    Ok(slow) => slow.free_rcu(),
                    Err(_) => break,
                }
                SLOW.barrier();
                if SLOW_ENTERED.load(Relaxed) {
                    break;
                }
            }
        })?;
        let entered = wait_until(|| SLOW_ENTERED.load(Relaxed));
        threads.run(move || drop(guard))?;
        let taken = wait_until(|| !SLOW.is_init());
        fsleep(LONG);
        // It is not destroyed yet, then: its name is not free.
        let again = Cache::<u64>::new(c"gs_rust_static_slow", Args::new()).err();
        SLOW_LEAVES.store(true, Relaxed);
        drop(threads);
        assert!(entered && taken);
        assert_eq!(again, Some(EEXIST));
        assert!(Cache::<u64>::new(c"gs_rust_static_slow", Args::new()).is_ok());
        Ok(())
    }

    /// Made anew while its last guard destroys what there was: that is the other guard's.
    #[test]
    fn gs_rust_static_anew() -> Result {
        let before = zombies();
        let guard = HEIRS.init()?;
        HEIRS.alloc(Heir(true), GFP_KERNEL)?.free_rcu();
        assert_eq!(guard.destroy(), Ok(()));
        let raw = GUARD.xchg(core::ptr::null_mut(), Full);
        assert!(!raw.is_null());
        // SAFETY: From `into_raw()`, and taken once.
        let guard = KBox::into_inner(unsafe { KBox::from_raw(raw) });
        assert!(HEIRS.is_init());
        let heir = HEIRS.alloc(Heir(false), GFP_KERNEL);
        assert!(heir.is_ok());
        assert_eq!(HEIRS.stats().live, 1);
        // By its report, it is the cache of that object that this one destroys.
        assert_eq!(guard.destroy(), Err(Leaked));
        drop(heir);
        assert!(wait_until(|| zombies() == before));
        Ok(())
    }

    /// It comes and goes while threads use it: each allocation is one of a cache that is there,
    /// or fails.
    #[test]
    fn gs_rust_static_comes_and_goes() -> Result {
        static TALLY: Tally<1> = Tally::new();
        static STOP: Atomic<bool> = Atomic::new(false);
        static GOT: Atomic<u32> = Atomic::new(0);
        static MISSED: Atomic<u32> = Atomic::new(0);

        TALLY.reset();
        STOP.store(false, Relaxed);
        GOT.store(0, Relaxed);
        MISSED.store(0, Relaxed);
        let before = zombies();
        let threads = Threads::new(3)?;
        for n in 0..3 {
            threads.run(move || {
                let mut round = 0u32;
                while !STOP.load(Relaxed) {
                    // Their drops are for other tests to count.
                    match BUSY.alloc(Probe::new(&TALLY, 0), GFP_KERNEL) {
                        Ok(probe) if n == 0 => drop(probe),
                        Ok(probe) => probe.free_rcu(),
                        Err(_) => {
                            MISSED.fetch_add(1, Relaxed);
                            fsleep(Delta::from_micros(50));
                            continue;
                        }
                    }
                    GOT.fetch_add(1, Relaxed);
                    if n == 2 {
                        BUSY.barrier();
                        BUSY.shrink();
                    }
                    round = round.wrapping_add(1);
                    if round % 32 == 0 {
                        fsleep(Delta::from_micros(50));
                    }
                }
            })?;
        }
        let mut rounds = 0;
        let enough = || GOT.load(Relaxed) > 1000 && MISSED.load(Relaxed) > 10;
        while rounds < 400 && (rounds < 10 || !enough()) {
            let Ok(guard) = BUSY.init() else { break };
            // Some find no slab without sleeping.
            let failing = Failing::some(&[Attempt::Slab], 3);
            fsleep(Delta::from_millis(2));
            drop(failing);
            drop(guard);
            fsleep(Delta::from_millis(1));
            rounds += 1;
        }
        STOP.store(true, Relaxed);
        drop(threads);
        graceslab::barrier();

        assert!(rounds >= 10);
        assert!(GOT.load(Relaxed) > 100);
        assert!(MISSED.load(Relaxed) > 0);
        // All of them were dropped, and those that failed as well.
        let made = GOT.load(Relaxed) + MISSED.load(Relaxed);
        assert_eq!((TALLY.total(), TALLY.dropped(0)), (made, made));
        assert!(wait_until(|| zombies() == before));
        Ok(())
    }
}
