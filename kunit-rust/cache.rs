// SPDX-License-Identifier: GPL-2.0

//! Caches and their objects: what can be made, what is in it, what is refused.

use crate::support::{
    Probe,
    Tally,
    FLAGS, //
};
use graceslab::{
    flags,
    Args,
    CBox,
    Cache, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};
use pin_init::pin_init_from_closure;

/// A cache with these flags.
fn cache<T>(name: &CStr, flags: usize) -> Result<Cache<T>> {
    Cache::new(
        name,
        Args {
            flags,
            ..Args::default()
        },
    )
}

/// What a cache of `T`s with these arguments fails with.
fn error_of<T>(name: &CStr, args: Args) -> Option<Error> {
    Cache::<T>::new(name, args).err()
}

#[repr(align(64))]
struct Aligned([u8; 24]);

#[repr(align(131072))]
struct Vast;

#[repr(align(32))]
struct Nothing;

const LARGE: usize = 3 * 4096 + 5;

#[kunit_tests(gs_rust_cache)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_cache_values() -> Result {
        static TALLY: Tally<50> = Tally::new();

        for flags in FLAGS {
            TALLY.reset();
            let cache = cache::<Probe<50>>(c"gs_rust_values", flags)?;
            let mut boxes = KVec::with_capacity(50, GFP_KERNEL)?;
            for key in 0..50 {
                boxes.push(
                    cache.alloc(Probe::new(&TALLY, key), GFP_KERNEL)?,
                    GFP_KERNEL,
                )?;
            }
            assert_eq!(cache.stats().live, 50);
            assert!(boxes
                .iter()
                .enumerate()
                .all(|(i, b)| b.key == i && b.is_alive()));
            // `DerefMut`: the keys change places.
            for b in boxes.iter_mut() {
                b.key = 49 - b.key;
            }
            assert_eq!(TALLY.total(), 0);
            // The last of them has the first key now; its drop is at once.
            drop(boxes.pop());
            assert_eq!(TALLY.dropped(0), 1);
            assert_eq!(TALLY.total(), 1);
            drop(boxes);
            assert!(TALLY.once_each(50));
            assert_eq!(cache.stats().live, 0);
            assert_eq!(cache.stats().queued, 0);
            assert_eq!(cache.destroy(), Ok(()));
            assert!(TALLY.once_each(50));
        }
        Ok(())
    }

    #[test]
    fn gs_rust_cache_pointer() -> Result {
        assert_eq!(size_of::<CBox<[u8; 100]>>(), size_of::<usize>());
        assert_eq!(size_of::<Option<CBox<[u8; 100]>>>(), size_of::<usize>());
        let cache = cache::<u64>(c"gs_rust_pointer", 0)?;
        let raw = CBox::into_raw(cache.alloc(7, GFP_KERNEL)?);
        assert_eq!(cache.stats().live, 1);
        // SAFETY: From `into_raw()`, of this type, and once.
        let number = unsafe { CBox::from_raw(raw) };
        assert_eq!(*number, 7);
        drop(number);
        assert_eq!(cache.stats().live, 0);
        assert_eq!(cache.destroy(), Ok(()));
        Ok(())
    }

    #[test]
    fn gs_rust_cache_align() -> Result {
        let own = cache::<Aligned>(c"gs_rust_align_own", 0)?;
        let checked = cache::<Aligned>(c"gs_rust_align_checked", FLAGS[2])?;
        let more = Cache::<Aligned>::new(
            c"gs_rust_align_more",
            Args {
                align: 512,
                ..Args::default()
            },
        )?;
        let less = Cache::<Aligned>::new(
            c"gs_rust_align_less",
            Args {
                align: 2,
                ..Args::default()
            },
        )?;
        for (cache, align) in [(own, 64), (checked, 64), (more, 512), (less, 64)] {
            let mut boxes = KVec::new();
            for i in 0..40 {
                boxes.push(cache.alloc(Aligned([i; 24]), GFP_KERNEL)?, GFP_KERNEL)?;
            }
            assert!(boxes.iter().all(|b| (&raw const **b).addr() % align == 0));
            assert!(boxes.iter().enumerate().all(|(i, b)| b.0 == [i as u8; 24]));
            drop(boxes);
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn gs_rust_cache_zero_sized() -> Result {
        for flags in FLAGS {
            let cache = cache::<Nothing>(c"gs_rust_nothing", flags)?;
            let a = cache.alloc(Nothing, GFP_KERNEL)?;
            let b = cache.alloc(Nothing, GFP_KERNEL)?;
            let (at_a, at_b) = ((&raw const *a).addr(), (&raw const *b).addr());
            assert!(at_a != at_b);
            assert_eq!((at_a | at_b) % align_of::<Nothing>(), 0);
            drop(a);
            b.free_rcu();
            cache.barrier();
            let stats = cache.stats();
            assert_eq!((stats.live, stats.queued, stats.done), (0, 1, 1));
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn gs_rust_cache_large() -> Result {
        for flags in FLAGS {
            let cache = cache::<[u8; LARGE]>(c"gs_rust_large", flags)?;
            let mut boxes = KVec::new();
            for key in 0..9u8 {
                // SAFETY: All of the slot is written.
                let init = unsafe {
                    pin_init_from_closure(move |slot: *mut [u8; LARGE]| {
                        slot.write_bytes(key, 1);
                        Ok::<(), Error>(())
                    })
                };
                boxes.push(cache.alloc_pin_init(init, GFP_KERNEL)?, GFP_KERNEL)?;
            }
            let whole = |(i, b): (usize, &Pin<CBox<[u8; LARGE]>>)| b.iter().all(|&c| c == i as u8);
            assert!(boxes.iter().enumerate().all(whole));
            for b in boxes {
                CBox::free_rcu_pinned(b);
            }
            assert_eq!(cache.destroy(), Ok(()));
        }
        Ok(())
    }

    /// The flags of an allocation arrive: a wrong one would sleep, or not clear.
    #[test]
    fn gs_rust_cache_gfp() -> Result {
        let cache = cache::<[u8; 200]>(c"gs_rust_gfp", 0)?;
        for gfp in [GFP_KERNEL, GFP_KERNEL_ACCOUNT, GFP_ATOMIC, GFP_NOWAIT] {
            // What is there later is not zero.
            let mut boxes = KVec::new();
            for _ in 0..100 {
                boxes.push(cache.alloc([0xee; 200], gfp)?, GFP_KERNEL)?;
            }
            drop(boxes);
            // SAFETY: Zeroes are a valid array: what `__GFP_ZERO` left there, or did not.
            let init = unsafe {
                pin_init_from_closure(|slot: *mut [u8; 200]| {
                    if (*slot).iter().all(|&b| b == 0) {
                        Ok(())
                    } else {
                        Err(EIO)
                    }
                })
            };
            let zeroed = cache.alloc_pin_init::<Error>(init, gfp | __GFP_ZERO);
            assert!(zeroed.is_ok());
        }
        assert_eq!(cache.destroy(), Ok(()));

        // A cache that has no slab as yet has to ask for one, where it may not sleep.
        let cache = super::cache::<[u8; 200]>(c"gs_rust_gfp_nowait", 0)?;
        let guard = rcu::read_lock();
        let mut some = 0;
        let mut boxes: [Option<CBox<[u8; 200]>>; 64] = [const { None }; 64];
        for b in &mut boxes {
            *b = cache.alloc([1; 200], GFP_NOWAIT | __GFP_NOWARN).ok();
            some += usize::from(b.is_some());
        }
        drop(guard);
        assert!(some > 0);
        drop(boxes);
        assert_eq!(cache.destroy(), Ok(()));
        Ok(())
    }

    #[test]
    fn gs_rust_cache_shrink() -> Result {
        let cache = cache::<[u8; 1000]>(c"gs_rust_shrink", 0)?;
        let mut boxes = KVec::new();
        for _ in 0..200 {
            boxes.push(cache.alloc([7; 1000], GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let slabs = cache.stats().slabs;
        boxes.truncate(1);
        let pages = cache.shrink();
        assert!(pages > 0);
        assert!(cache.stats().slabs < slabs);
        assert_eq!(*boxes[0], [7; 1000]);
        drop(boxes);
        assert_eq!(cache.destroy(), Ok(()));
        Ok(())
    }

    #[test]
    fn gs_rust_cache_exists() -> Result {
        let first = cache::<u64>(c"gs_rust_exists", 0)?;
        assert_eq!(
            error_of::<u64>(c"gs_rust_exists", Args::default()),
            Some(EEXIST)
        );
        assert_eq!(
            error_of::<u32>(c"gs_rust_exists", Args::default()),
            Some(EEXIST)
        );
        // That did nothing to the first.
        let number = first.alloc(5, GFP_KERNEL)?;
        assert_eq!(*number, 5);
        drop(number);
        drop(first);
        for _ in 0..20 {
            let again = cache::<u64>(c"gs_rust_exists", 0)?;
            again.alloc(6, GFP_KERNEL)?.free_rcu();
            assert_eq!(again.destroy(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn gs_rust_cache_invalid() -> Result {
        let plain = Args::default();
        let align = |align| Args { align, ..plain };
        let flags = |flags| Args { flags, ..plain };
        let capacity = |sheaf_capacity| Args {
            sheaf_capacity,
            ..plain
        };
        let name = c"gs_rust_invalid";
        assert_eq!(error_of::<u64>(name, align(3)), Some(EINVAL));
        assert_eq!(error_of::<u64>(name, align(96)), Some(EINVAL));
        assert_eq!(error_of::<u64>(name, align(1 << 17)), Some(EINVAL));
        assert_eq!(error_of::<u64>(name, align(1 << 31)), Some(EINVAL));
        assert_eq!(error_of::<Vast>(name, plain), Some(EINVAL));
        assert_eq!(error_of::<[u8; (64 << 10) + 1]>(name, plain), Some(EINVAL));
        assert_eq!(error_of::<[u8; 1 << 32]>(name, plain), Some(EINVAL));
        assert_eq!(error_of::<[u8; (1 << 32) + 8]>(name, plain), Some(EINVAL));
        assert_eq!(error_of::<u64>(name, flags(1 << 20)), Some(EINVAL));
        // Flags that C has and safe code has not: type-safe memory, shared caches.
        assert_eq!(error_of::<u64>(name, flags(1 << 1)), Some(EINVAL));
        assert_eq!(error_of::<u64>(name, flags(1 << 3)), Some(EINVAL));
        assert_eq!(
            error_of::<u64>(name, flags(flags::CONSISTENCY | 1 << 1)),
            Some(EINVAL)
        );
        assert_eq!(error_of::<u64>(name, capacity(1021)), Some(EINVAL));
        assert_eq!(error_of::<u64>(c"", plain), Some(EINVAL));
        let long = c"gs_rust_a_name_that_is_by_far_too_long_for_any_cache_to_have_it_x";
        assert_eq!(error_of::<u64>(long, plain), Some(EINVAL));
        // Their neighbours are fine, and the name is not taken.
        for args in [
            align(64),
            flags(flags::HWCACHE_ALIGN | flags::ACCOUNT),
            flags(FLAGS[2]),
            capacity(1020),
        ] {
            assert_eq!(error_of::<u64>(name, args), None);
        }
        assert_eq!(error_of::<[u8; 64 << 10]>(name, plain), None);
        Ok(())
    }
}
