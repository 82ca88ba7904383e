// SPDX-License-Identifier: GPL-2.0

//! Boxes whose drop is deferred.

use crate::support::{
    spin,
    wait_until,
    zombies,
    Probe,
    Tally,
    FLAGS,
    LONG, //
};
use graceslab::{
    Args,
    Cache,
    RcuBox, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

#[kunit_tests(gs_rust_rcubox)]
mod tests {
    use super::*;

    /// What a guard has is there while the guard is, and dropped after it.
    #[test]
    fn gs_rust_rcubox_guard() -> Result {
        static TALLY: Tally<2> = Tally::new();

        for flags in FLAGS {
            TALLY.reset();
            let cache = Cache::<Probe<2>>::new(
                c"gs_rust_rcubox",
                Args {
                    flags,
                    ..Args::default()
                },
            )?;
            let a = cache.alloc_rcu(Probe::new(&TALLY, 0), GFP_KERNEL)?;
            let b = RcuBox::from(cache.alloc(Probe::new(&TALLY, 1), GFP_KERNEL)?);
            assert!(a.is_alive() && b.is_alive());
            assert_eq!((a.key, b.key), (0, 1));

            let guard = rcu::read_lock();
            let seen = [a.with_rcu(&guard), b.with_rcu(&guard)];
            drop(a);
            drop(b);
            spin(LONG);
            let alive = seen.iter().all(|probe| probe.is_alive());
            let keys = seen.map(|probe| probe.key);
            let early = TALLY.total();
            drop(guard);

            assert!(alive);
            assert_eq!(keys, [0, 1]);
            assert_eq!(early, 0);
            cache.barrier();
            assert!(TALLY.once_each(2));
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn gs_rust_rcubox_pointer() -> Result {
        assert_eq!(size_of::<RcuBox<[u8; 100]>>(), size_of::<usize>());
        assert_eq!(size_of::<Option<RcuBox<[u8; 100]>>>(), size_of::<usize>());
        Ok(())
    }

    /// A box outlives its cache: its drop is deferred as any other.
    #[test]
    fn gs_rust_rcubox_outlives() -> Result {
        static TALLY: Tally<1> = Tally::new();

        let before = zombies();
        TALLY.reset();
        let cache = Cache::<Probe<1>>::new(c"gs_rust_rcubox_out", Args::default())?;
        let probe = cache.alloc_rcu(Probe::new(&TALLY, 0), GFP_KERNEL)?;
        assert!(cache.destroy().is_err());
        let guard = rcu::read_lock();
        let seen = probe.with_rcu(&guard);
        drop(probe);
        spin(LONG);
        let alive = seen.is_alive();
        drop(guard);
        assert!(alive);
        graceslab::barrier();
        assert!(TALLY.once_each(1));
        assert!(wait_until(|| zombies() == before));
        Ok(())
    }
}
