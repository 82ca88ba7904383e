// SPDX-License-Identifier: GPL-2.0

//! A value whose free was deferred is dropped once, after the grace period, where it may sleep.

use crate::support::{
    spin,
    wait_until,
    zombies,
    Probe,
    Tally,
    Threads,
    FLAGS,
    LONG, //
};
use graceslab::{
    Args,
    CBox,
    Cache,
    RcuBox,
    StaticCache, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu,
        Arc, //
    }, //
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

/// Its drop makes others in the same cache: one that is dropped at once, and one whose free is
/// deferred, with a generation less.
struct Parent {
    generations: usize,
    _probe: Probe<64>,
}

/// Numbers of [`Parent`]s.
static BORN: Atomic<usize> = Atomic::new(0);
static PARENTS_TALLY: Tally<64> = Tally::new();

graceslab::static_cache! {
    static PARENTS: Cache<Parent> = c"gs_rust_parents";
    static CHECKED_PARENTS: Cache<Parent> = c"gs_rust_checked_parents", Args {
        flags: graceslab::flags::CONSISTENCY,
        ..Args::new()
    };
}

/// Which of the two is in use.
static CHECKED: Atomic<bool> = Atomic::new(false);

impl Parent {
    fn parents() -> &'static StaticCache<Self> {
        if CHECKED.load(Relaxed) {
            &CHECKED_PARENTS
        } else {
            &PARENTS
        }
    }

    fn born(generations: usize) -> Option<CBox<Self>> {
        let probe = Probe::new(&PARENTS_TALLY, BORN.fetch_add(1, Relaxed));
        let parent = Parent {
            generations,
            _probe: probe,
        };
        Self::parents().alloc(parent, GFP_KERNEL).ok()
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        if let Some(generations) = self.generations.checked_sub(1) {
            drop(Parent::born(generations));
            Parent::born(generations)
                .into_iter()
                .for_each(CBox::free_rcu);
        }
    }
}

/// One of a search tree of boxes, which drops those below it.
struct Node {
    probe: Probe<100>,
    below: [Option<CBox<Node>>; 2],
}

impl Node {
    /// Puts `node` in its place.
    fn insert(&mut self, node: CBox<Node>) {
        match &mut self.below[usize::from(node.probe.key > self.probe.key)] {
            Some(below) => below.insert(node),
            place => *place = Some(node),
        }
    }

    /// How many there are from here down, all of them alive and in order.
    fn count(&self, keys: core::ops::Range<usize>) -> Option<usize> {
        let key = self.probe.key;
        if !self.probe.is_alive() || !keys.contains(&key) {
            return None;
        }
        let [left, right] = &self.below;
        let left = left.as_ref().map_or(Some(0), |n| n.count(keys.start..key));
        let right = right
            .as_ref()
            .map_or(Some(0), |n| n.count(key + 1..keys.end));
        Some(left? + 1 + right?)
    }
}

/// One that keeps the cache that it is from.
struct Member {
    _club: Arc<Cache<Member>>,
    _probe: Probe<3>,
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

    /// A tree, or what was cut from one, is there for its readers as a whole, and dropped as one.
    #[test]
    fn gs_rust_drops_tree() -> Result {
        static TALLY: Tally<100> = Tally::new();

        for flags in FLAGS {
            TALLY.reset();
            let cache = Cache::<Node>::new(
                c"gs_rust_tree",
                Args {
                    flags,
                    ..Args::default()
                },
            )?;
            let node = |key| {
                let probe = Probe::new(&TALLY, key);
                let below = [None, None];
                cache.alloc(Node { probe, below }, GFP_KERNEL)
            };
            // In the order of multiples of 37, it is a tree of many levels.
            let mut root = node(0)?;
            for n in 1..100 {
                root.insert(node(n * 37 % 100)?);
            }
            assert_eq!(root.count(0..100), Some(100));
            assert_eq!(cache.stats().live, 100);
            let [_, right] = &mut root.below;
            let cut = right.as_mut().and_then(|right| right.below[0].take());
            let rest = root.count(0..100);
            assert_eq!(rest, Some(64));
            drop(cut);
            assert_eq!((TALLY.total(), cache.stats().live), (36, 64));

            let root = RcuBox::from(root);
            let guard = rcu::read_lock();
            let seen = root.with_rcu(&guard);
            drop(root);
            spin(LONG);
            let count = seen.count(0..100);
            drop(guard);
            assert_eq!(count, rest);
            assert_eq!(cache.destroy(), Ok(()));
            assert!(TALLY.once_each(100));
        }
        Ok(())
    }

    /// A drop, after a grace period or not, allocates from its own cache, and frees to it.
    #[test]
    fn gs_rust_drops_allocate() -> Result {
        for checked in [false, true] {
            CHECKED.store(checked, Relaxed);
            PARENTS_TALLY.reset();
            BORN.store(0, Relaxed);
            let guard = Parent::parents().init()?;
            drop(Parent::born(4));
            Parent::born(4).into_iter().for_each(CBox::free_rcu);
            // A generation takes a barrier.
            for _ in 0..6 {
                Parent::parents().barrier();
            }
            let born = BORN.load(Relaxed);
            assert_eq!(born, 2 * 31);
            assert!(PARENTS_TALLY.once_each(born));
            assert_eq!(Parent::parents().stats().live, 0);
            assert_eq!(guard.destroy(), Ok(()));
        }
        Ok(())
    }

    /// It does so while the cache goes: then there is nothing to allocate from.
    #[test]
    fn gs_rust_drops_allocate_late() -> Result {
        for checked in [false, true] {
            CHECKED.store(checked, Relaxed);
            PARENTS_TALLY.reset();
            BORN.store(0, Relaxed);
            let guard = Parent::parents().init()?;
            Parent::born(3).into_iter().for_each(CBox::free_rcu);
            assert_eq!(guard.destroy(), Ok(()));
            assert!(PARENTS_TALLY.once_each(BORN.load(Relaxed)));
        }
        Ok(())
    }

    /// The last one to have a cache is an object of it, which is dropped: the cache goes first,
    /// then the object.
    #[test]
    fn gs_rust_drops_own_cache() -> Result {
        static TALLY: Tally<3> = Tally::new();

        let before = zombies();
        for flags in FLAGS {
            TALLY.reset();
            let club = Arc::new(
                Cache::<Member>::new(
                    c"gs_rust_club",
                    Args {
                        flags,
                        ..Args::default()
                    },
                )?,
                GFP_KERNEL,
            )?;
            let member = |key| {
                let member = Member {
                    _club: club.clone(),
                    _probe: Probe::new(&TALLY, key),
                };
                club.alloc(member, GFP_KERNEL)
            };
            let (a, b, c) = (member(0)?, member(1)?, member(2)?);
            a.free_rcu();
            club.barrier();
            drop(club);
            drop(b);
            assert_eq!((TALLY.total(), zombies()), (2, before));
            // In this one the cache is destroyed, while the object is there still.
            drop(c);
            assert!(TALLY.once_each(3));
            assert!(wait_until(|| zombies() == before));
        }
        Ok(())
    }
}
