// SPDX-License-Identifier: GPL-2.0

//! Objects that are made in place, and stay there.

use crate::support::{
    Probe,
    Tally,
    FLAGS, //
};
use core::marker::PhantomPinned;
use graceslab::{
    Args,
    CBox,
    Cache,
    RcuBox, //
};
use kernel::{
    alloc::AllocError,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    }, //
};

/// Drops of a [`Pinned`] that was not where it was made.
static MOVED: Atomic<u32> = Atomic::new(0);

/// Knows where it was made.
#[pin_data(PinnedDrop)]
struct Pinned {
    at: usize,
    probe: Probe<4>,
    #[pin]
    lock: Mutex<u32>,
    #[pin]
    _pinned: PhantomPinned,
}

impl Pinned {
    fn new(tally: &'static Tally<4>, key: usize, fail: bool) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            at: this.as_ptr().addr(),
            probe: Probe::new(tally, key),
            lock <- new_mutex!(key as u32),
            _pinned: {
                if fail {
                    return Err(EPERM);
                }
                PhantomPinned
            },
        })
    }

    fn is_at_home(&self) -> bool {
        (&raw const *self).addr() == self.at
    }
}

#[pinned_drop]
impl PinnedDrop for Pinned {
    fn drop(self: Pin<&mut Self>) {
        if !self.is_at_home() {
            MOVED.fetch_add(1, Relaxed);
        }
    }
}

/// Fails as an allocation does.
#[derive(Debug, PartialEq)]
enum Failure {
    Alloc,
    Init,
}

impl From<AllocError> for Failure {
    fn from(_: AllocError) -> Self {
        Failure::Alloc
    }
}

#[kunit_tests(gs_rust_pin)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_pin_success() -> Result {
        static TALLY: Tally<4> = Tally::new();

        for flags in FLAGS {
            TALLY.reset();
            MOVED.store(0, Relaxed);
            let cache = Cache::<Pinned>::new(
                c"gs_rust_pin",
                Args {
                    flags,
                    ..Args::default()
                },
            )?;
            let a = cache.alloc_pin_init(Pinned::new(&TALLY, 0, false), GFP_KERNEL)?;
            let b = cache.alloc_pin_init(Pinned::new(&TALLY, 1, false), GFP_KERNEL)?;
            let c = cache.alloc_pin_init(Pinned::new(&TALLY, 2, false), GFP_KERNEL)?;
            assert!(a.is_at_home() && b.is_at_home() && c.is_at_home());
            *b.lock.lock() += 10;
            assert_eq!(*b.lock.lock(), 11);
            drop(a);
            assert_eq!((TALLY.dropped(0), TALLY.total()), (1, 1));
            CBox::free_rcu_pinned(b);
            drop(RcuBox::from(c));
            cache.barrier();
            assert!(TALLY.once_each(3));
            assert_eq!(MOVED.load(Relaxed), 0);
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    /// What was there of it is dropped, and the object is free again.
    #[test]
    fn gs_rust_pin_failure() -> Result {
        static TALLY: Tally<4> = Tally::new();

        for flags in FLAGS {
            TALLY.reset();
            let cache = Cache::<Pinned>::new(
                c"gs_rust_pin_failure",
                Args {
                    flags,
                    ..Args::default()
                },
            )?;
            for key in 0..4 {
                let failed = cache.alloc_pin_init(Pinned::new(&TALLY, key, true), GFP_KERNEL);
                assert_eq!(failed.err(), Some(EPERM));
                assert_eq!(TALLY.dropped(key), 1);
                assert_eq!(cache.stats().live, 0);
            }
            assert!(TALLY.once_each(4));
            assert_eq!(cache.destroy(), Ok(()));
            assert!(TALLY.once_each(4));
        }
        Ok(())
    }

    /// The error may be of any type that an allocation's can become.
    #[test]
    fn gs_rust_pin_error() -> Result {
        let cache = Cache::<u64>::new(c"gs_rust_pin_error", Args::default())?;
        // SAFETY: It fails, and leaves nothing behind.
        let fails = unsafe { pin_init::pin_init_from_closure(|_: *mut u64| Err(Failure::Init)) };
        assert_eq!(
            cache.alloc_pin_init(fails, GFP_KERNEL).err(),
            Some(Failure::Init)
        );
        assert_eq!(Failure::from(AllocError), Failure::Alloc);
        // SAFETY: It writes all of the slot.
        let writes = unsafe {
            pin_init::pin_init_from_closure(|slot: *mut u64| {
                *slot = 8;
                Ok::<(), Failure>(())
            })
        };
        let number = cache.alloc_pin_init(writes, GFP_KERNEL);
        assert_eq!(number.ok().map(|n| *n), Some(8));
        assert_eq!(cache.destroy(), Ok(()));
        Ok(())
    }

    #[test]
    fn gs_rust_pin_box() -> Result {
        let cache = Cache::<u64>::new(c"gs_rust_pin_box", Args::default())?;
        let number = cache.alloc(3, GFP_KERNEL)?;
        let at = (&raw const *number).addr();
        let pinned: Pin<CBox<u64>> = number.into();
        assert_eq!((&raw const *pinned).addr(), at);
        assert_eq!(*pinned, 3);
        drop(pinned);
        assert_eq!(cache.destroy(), Ok(()));
        Ok(())
    }
}
