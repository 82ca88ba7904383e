// SPDX-License-Identifier: GPL-2.0

//! Boxes and their cache go in any order.

use crate::support::{
    wait_until,
    zombies,
    Probe,
    Tally,
    FLAGS, //
};
use graceslab::{
    Args,
    Cache,
    Leaked,
    Rcu, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

fn cache<const N: usize>(name: &CStr, flags: usize) -> Result<Cache<Probe<N>>> {
    Cache::new(
        name,
        Args {
            flags,
            ..Args::default()
        },
    )
}

/// The orders in which three things can be done.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// Calls `f` with each order in which four things can be done.
fn orders_of_four(mut f: impl FnMut(usize, [usize; 4]) -> Result) -> Result {
    for n in 0..24 {
        // The last one goes to each place of each order of the others.
        let [a, b, c] = ORDERS[n % 6];
        f(
            n,
            match n / 6 {
                0 => [3, a, b, c],
                1 => [a, 3, b, c],
                2 => [a, b, 3, c],
                _ => [a, b, c, 3],
            },
        )?;
    }
    Ok(())
}

#[kunit_tests(gs_rust_order)]
mod tests {
    use super::*;

    /// A box dropped, one whose free is deferred, and the cache.
    #[test]
    fn gs_rust_order_any() -> Result {
        static TALLY: Tally<2> = Tally::new();

        let before = zombies();
        for flags in FLAGS {
            for order in ORDERS {
                TALLY.reset();
                let new = cache(c"gs_rust_any", flags)?;
                let mut a = Some(new.alloc(Probe::new(&TALLY, 0), GFP_KERNEL)?);
                let mut b = Some(new.alloc(Probe::new(&TALLY, 1), GFP_KERNEL)?);
                let mut cache = Some(new);
                for what in order {
                    match what {
                        0 => {
                            drop(a.take());
                            assert_eq!(TALLY.dropped(0), 1);
                        }
                        1 => b.take().into_iter().for_each(|b| b.free_rcu()),
                        _ => {
                            drop(cache.take());
                            // What was pending is no more; what is in use stays in use.
                            assert_eq!(TALLY.dropped(1), u32::from(b.is_none()));
                            let leaked = a.is_some() || b.is_some();
                            assert_eq!(zombies(), before + u32::from(leaked));
                            assert!([&a, &b].into_iter().flatten().all(|probe| probe.is_alive()));
                        }
                    }
                }
                graceslab::barrier();
                assert!(TALLY.once_each(2));
                assert!(wait_until(|| zombies() == before));
            }
        }
        Ok(())
    }

    /// A box that readers share, what is published, what was published, and the cache.
    #[test]
    fn gs_rust_order_published() -> Result {
        static TALLY: Tally<3> = Tally::new();

        let before = zombies();
        orders_of_four(|n, order| {
            TALLY.reset();
            let new = cache(c"gs_rust_published", FLAGS[n % FLAGS.len()])?;
            let alloc = |key| new.alloc_rcu(Probe::new(&TALLY, key), GFP_KERNEL);
            let published = Rcu::new(alloc(1)?);
            let mut old = published.replace(Some(alloc(2)?));
            let mut published = Some(published);
            let mut shared = Some(alloc(0)?);
            let mut cache = Some(new);

            let guard = rcu::read_lock();
            let zero = shared.as_ref().map(|b| b.with_rcu(&guard));
            let one = old.as_ref().map(|b| b.with_rcu(&guard));
            let two = published.as_ref().and_then(|b| b.dereference(&guard));
            let seen = [zero, one, two].map(|p| p.map(|p| (p.key, p.is_alive())));
            drop(guard);
            assert_eq!(seen, [0, 1, 2].map(|key| Some((key, true))));

            for what in order {
                match what {
                    0 => drop(shared.take()),
                    1 => drop(old.take()),
                    2 => drop(published.take()),
                    _ => {
                        drop(cache.take());
                        // What was pending is no more; what is in use stays in use.
                        let kept = [shared.is_some(), old.is_some(), published.is_some()];
                        for (key, kept) in kept.into_iter().enumerate() {
                            assert_eq!(TALLY.dropped(key), u32::from(!kept));
                        }
                        let leaked = kept.contains(&true);
                        assert_eq!(zombies(), before + u32::from(leaked));
                        assert!(shared.as_ref().is_none_or(|b| b.is_alive()));
                        assert!(old.as_ref().is_none_or(|b| b.is_alive()));
                    }
                }
            }
            graceslab::barrier();
            assert!(TALLY.once_each(3));
            assert!(wait_until(|| zombies() == before));
            Ok(())
        })
    }

    /// Destroyed at once, with frees pending: they are done when it returns.
    #[test]
    fn gs_rust_order_pending() -> Result {
        static TALLY: Tally<100> = Tally::new();

        let mut seen = 0;
        for round in 0..10 {
            TALLY.reset();
            let cache = cache(c"gs_rust_pending", FLAGS[round % FLAGS.len()])?;
            for key in 0..100 {
                let probe = cache.alloc(Probe::new(&TALLY, key), GFP_KERNEL)?;
                probe.free_rcu();
            }
            let pending = TALLY.total() < 100;
            if round < 5 {
                drop(cache);
            } else {
                assert_eq!(cache.destroy(), Ok(()));
            }
            assert!(TALLY.once_each(100));
            seen += u32::from(pending);
        }
        assert!(seen > 0);
        Ok(())
    }

    /// A box outlives its cache, whose name is free at once.
    #[test]
    fn gs_rust_order_leaked() -> Result {
        static TALLY: Tally<3> = Tally::new();

        let before = zombies();
        for flags in FLAGS {
            TALLY.reset();
            let first = cache(c"gs_rust_leaked", flags)?;
            let mut a = first.alloc(Probe::new(&TALLY, 0), GFP_KERNEL)?;
            let b = first.alloc(Probe::new(&TALLY, 1), GFP_KERNEL)?;
            assert_eq!(first.destroy(), Err(Leaked));
            assert_eq!(Error::from(Leaked), EBUSY);
            assert_eq!(zombies(), before + 1);

            let second = cache(c"gs_rust_leaked", flags)?;
            let c = second.alloc(Probe::new(&TALLY, 2), GFP_KERNEL)?;
            assert!(a.is_alive() && b.is_alive() && c.is_alive());
            a.key += 0;
            assert_eq!((a.key, b.key, c.key), (0, 1, 2));
            c.free_rcu();
            assert_eq!(second.destroy(), Ok(()));
            assert_eq!((TALLY.dropped(2), TALLY.total()), (1, 1));

            drop(a);
            assert_eq!(TALLY.dropped(0), 1);
            assert_eq!(zombies(), before + 1);
            assert!(b.is_alive());
            b.free_rcu();
            graceslab::barrier();
            assert!(TALLY.once_each(3));
            assert!(wait_until(|| zombies() == before));
        }
        Ok(())
    }
}
