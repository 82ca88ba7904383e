// SPDX-License-Identifier: GPL-2.0

//! A value whose free was deferred is dropped once, after the grace period, where it may sleep.

use crate::support::{
    spin,
    wait_until,
    Probe,
    Tally,
    Threads,
    FLAGS,
    LONG, //
};
use graceslab::{
    Args,
    CBox,
    Cache, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// A cache of probes with these flags, and so many of them.
fn probes<const N: usize>(
    name: &CStr,
    flags: usize,
    tally: &'static Tally<N>,
) -> Result<(Cache<Probe<N>>, KVVec<CBox<Probe<N>>>)> {
    tally.reset();
    let cache = Cache::new(
        name,
        Args {
            flags,
            ..Args::default()
        },
    )?;
    let mut boxes = KVVec::with_capacity(N, GFP_KERNEL)?;
    for key in 0..N {
        boxes.push(cache.alloc(Probe::new(tally, key), GFP_KERNEL)?, GFP_KERNEL)?;
    }
    Ok((cache, boxes))
}

/// One of a chain: its drop defers the free of the next.
struct Link {
    next: Option<CBox<Link>>,
    _probe: Probe<12>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(next) = self.next.take() {
            next.free_rcu();
        }
    }
}

#[kunit_tests(gs_rust_drops)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_drops_after_reader() -> Result {
        static TALLY: Tally<300> = Tally::new();

        for flags in FLAGS {
            let (cache, boxes) = probes(c"gs_rust_after_reader", flags, &TALLY)?;
            let mut boxes = boxes.into_iter();
            let guard = rcu::read_lock();
            for b in boxes.by_ref() {
                b.free_rcu();
            }
            spin(LONG);
            let early = TALLY.total();
            drop(guard);
            assert_eq!(early, 0);
            cache.barrier();
            assert!(TALLY.once_each(300));
            assert_eq!(cache.stats().live, 0);
            assert_eq!(cache.destroy(), Ok(()));
            assert!(TALLY.once_each(300));
        }
        Ok(())
    }

    /// A few by RCU, the others at once; in order, and the other way round.
    #[test]
    fn gs_rust_drops_once_each() -> Result {
        static TALLY: Tally<2000> = Tally::new();

        for flags in FLAGS {
            let (cache, boxes) = probes(c"gs_rust_once_each", flags, &TALLY)?;
            let mut at_once = 0;
            for b in boxes {
                if b.key % 3 == 0 {
                    at_once += 1;
                    drop(b);
                } else {
                    b.free_rcu();
                }
            }
            assert_eq!(at_once, 667);
            assert_eq!(
                (0..2000)
                    .filter(|i| i % 3 == 0 && TALLY.dropped(*i) == 1)
                    .count(),
                667
            );
            cache.barrier();
            assert!(TALLY.once_each(2000));
            let stats = cache.stats();
            assert_eq!((stats.queued, stats.done), (1333, 1333));
            assert_eq!(cache.destroy(), Ok(()));
            assert!(TALLY.once_each(2000));
        }
        Ok(())
    }

    /// Nobody has to ask.
    #[test]
    fn gs_rust_drops_by_itself() -> Result {
        static TALLY: Tally<7> = Tally::new();

        for flags in FLAGS {
            let (cache, boxes) = probes(c"gs_rust_by_itself", flags, &TALLY)?;
            for b in boxes {
                b.free_rcu();
            }
            assert!(wait_until(|| TALLY.once_each(7)));
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    /// Boxes are sent, and their frees deferred, to and by other threads.
    #[test]
    fn gs_rust_drops_threads() -> Result {
        static TALLY: Tally<400> = Tally::new();

        for flags in FLAGS {
            let (cache, boxes) = probes(c"gs_rust_threads", flags, &TALLY)?;
            let threads = Threads::new(4)?;
            let mut boxes = boxes.into_iter();
            for _ in 0..4 {
                let mut share = KVec::with_capacity(100, GFP_KERNEL)?;
                for b in boxes.by_ref().take(100) {
                    share.push(b, GFP_KERNEL)?;
                }
                threads.run(move || {
                    for b in share {
                        b.free_rcu();
                    }
                })?;
            }
            drop(threads);
            cache.barrier();
            assert!(TALLY.once_each(400));
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    /// A destructor queues into its own cache: destroying it waits for those as well.
    #[test]
    fn gs_rust_drops_chain() -> Result {
        static TALLY: Tally<12> = Tally::new();

        for flags in FLAGS {
            TALLY.reset();
            let cache = Cache::<Link>::new(
                c"gs_rust_chain",
                Args {
                    flags,
                    ..Args::default()
                },
            )?;
            let mut next = None;
            for key in 0..12 {
                let link = Link {
                    next,
                    _probe: Probe::new(&TALLY, key),
                };
                next = Some(cache.alloc(link, GFP_KERNEL)?);
            }
            if let Some(head) = next {
                head.free_rcu();
            }
            assert_eq!(cache.destroy(), Ok(()));
            assert!(TALLY.once_each(12));
        }
        Ok(())
    }
}
