// SPDX-License-Identifier: GPL-2.0

//! The examples in the documentation of the Rust interface, word for word: made by
//! `tools/doc-tests`.

use kernel::prelude::*;

#[kunit_tests(gs_rust_doc)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_doc_cache_args() {
        use graceslab::{flags, Args};

        let args = Args {
            align: 64,
            flags: flags::CONSISTENCY,
            ..Args::default()
        };
        let _ = args;
    }

    #[test]
    fn gs_rust_doc_cache_new() {
        use graceslab::Args;

        const LARGE_SHEAVES: Args = Args {
            sheaf_capacity: 200,
            ..Args::new()
        };
        assert_eq!(LARGE_SHEAVES.align, 0);
    }

    #[test]
    fn gs_rust_doc_cache_leaked() -> Result {
        use graceslab::{Args, Cache, Leaked};
        use kernel::prelude::*;

        let cache = Cache::<u64>::new(c"example_leaked", Args::default())?;
        let number = cache.alloc(7, GFP_KERNEL)?;
        assert_eq!(cache.destroy(), Err(Leaked));
        // It is as good as ever; with it, the last of the cache goes.
        assert_eq!(*number, 7);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache() -> Result {
        use graceslab::{Args, Cache};
        use kernel::prelude::*;

        struct Session {
            id: u64,
            peer: KVec<u8>,
        }

        let sessions = Cache::<Session>::new(c"example_session", Args::default())?;
        let session = sessions.alloc(
            Session {
                id: 7,
                peer: KVec::new(),
            },
            GFP_KERNEL,
        )?;
        assert!(session.id == 7 && session.peer.is_empty());
        // To its readers, the session is there until they are done. Its drop frees the vector.
        session.free_rcu();
        // No need to wait for that: the cache does.
        sessions.destroy()?;
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache_new_2() -> Result {
        use graceslab::{Args, Cache};
        use kernel::prelude::*;

        let cache = Cache::<u64>::new(c"example_new", Args::new())?;
        let again = Cache::<u64>::new(c"example_new", Args::new());
        assert_eq!(again.err(), Some(EEXIST));
        drop(cache);
        // A name is free as soon as its cache is destroyed.
        Cache::<u64>::new(c"example_new", Args::new())?;
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache_alloc() -> Result {
        use graceslab::{Args, Cache};
        use kernel::prelude::*;

        let pairs = Cache::<(u32, u32)>::new(c"example_alloc", Args::new())?;
        let pair = pairs.alloc((1, 2), GFP_KERNEL)?;
        assert_eq!(pair.0 + pair.1, 3);
        // Where nobody may sleep:
        let another = pairs.alloc((3, 4), GFP_NOWAIT);
        drop(another);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache_alloc_rcu() -> Result {
        use graceslab::{Args, Cache, Rcu};
        use kernel::{prelude::*, sync::rcu};

        let ports = Cache::<u16>::new(c"example_alloc_rcu", Args::new())?;
        let port = Rcu::new(ports.alloc_rcu(80, GFP_KERNEL)?);
        assert_eq!(port.dereference(&rcu::read_lock()), Some(&80));
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache_alloc_pin_init() -> Result {
        use graceslab::{Args, CBox, Cache};
        use kernel::{new_mutex, prelude::*, sync::Mutex};

        #[pin_data]
        struct Counter {
            #[pin]
            value: Mutex<u64>,
        }

        let counters = Cache::<Counter>::new(c"example_counter", Args::default())?;
        let counter = counters.alloc_pin_init(
            try_pin_init!(Counter {
                value <- new_mutex!(1),
            }),
            GFP_KERNEL,
        )?;
        *counter.value.lock() += 1;
        assert_eq!(*counter.value.lock(), 2);
        CBox::free_rcu_pinned(counter);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache_barrier() -> Result {
        use graceslab::{Args, Cache};
        use kernel::prelude::*;

        let cache = Cache::<u64>::new(c"example_barrier", Args::new())?;
        cache.alloc(1, GFP_KERNEL)?.free_rcu();
        cache.barrier();
        assert_eq!(cache.stats().live, 0);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache_shrink() -> Result {
        use graceslab::{Args, Cache};
        use kernel::prelude::*;

        let cache = Cache::<[u8; 2048]>::new(c"example_shrink", Args::new())?;
        drop(cache.alloc([0; 2048], GFP_KERNEL)?);
        assert!(cache.shrink() > 0);
        assert_eq!(cache.shrink(), 0);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache_stats() -> Result {
        use graceslab::{Args, Cache};
        use kernel::prelude::*;

        let cache = Cache::<u64>::new(c"example_stats", Args::new())?;
        let number = cache.alloc(1, GFP_KERNEL)?;
        let stats = cache.stats();
        assert_eq!((stats.live, stats.queued), (1, 0));
        assert!(stats.object_size >= size_of_val(&*number));
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cache_destroy() -> Result {
        use graceslab::{Args, Cache};
        use kernel::prelude::*;

        let cache = Cache::<u64>::new(c"example_destroy", Args::new())?;
        cache.alloc(1, GFP_KERNEL)?.free_rcu();
        // Nobody need have waited before.
        cache.destroy()?;
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cbox() -> Result {
        use graceslab::{Args, CBox, Cache};
        use kernel::prelude::*;

        let numbers = Cache::<u64>::new(c"example_number", Args::default())?;
        let mut number: CBox<u64> = numbers.alloc(1, GFP_KERNEL)?;
        *number += 1;
        assert_eq!(*number, 2);
        drop(number);
        numbers.destroy()?;
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cbox_into_raw() -> Result {
        use graceslab::{Args, CBox, Cache};
        use kernel::prelude::*;

        let cache = Cache::<u64>::new(c"example_into_raw", Args::new())?;
        let raw: *mut u64 = CBox::into_raw(cache.alloc(7, GFP_KERNEL)?);
        // SAFETY: From `into_raw()`, of this type, and once.
        let number = unsafe { CBox::from_raw(raw) };
        assert_eq!(*number, 7);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cbox_into_pin() -> Result {
        use graceslab::{Args, CBox, Cache};
        use kernel::prelude::*;

        let cache = Cache::<u64>::new(c"example_into_pin", Args::new())?;
        let number: Pin<CBox<u64>> = CBox::into_pin(cache.alloc(7, GFP_KERNEL)?);
        assert_eq!(*number, 7);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_cbox_free_rcu() -> Result {
        use graceslab::{Args, Cache};
        use kernel::{
            prelude::*,
            sync::{rcu, Arc},
        };

        let words = Arc::new(7u32, GFP_KERNEL)?;
        let cache = Cache::<Arc<u32>>::new(c"example_free_rcu", Args::new())?;
        let object = cache.alloc(words.clone(), GFP_KERNEL)?;

        let guard = rcu::read_lock();
        object.free_rcu();
        // Its drop waits for the guard.
        drop(guard);
        cache.barrier();
        assert!(Arc::into_unique_or_drop(words).is_some());
        Ok(())
    }

    #[test]
    fn gs_rust_doc_kvfree() -> Result {
        use graceslab::KvFree;
        use kernel::prelude::*;

        /// Frees both after a grace period.
        fn free_both<P: KvFree, Q: KvFree>(p: P, q: Q) {
            graceslab::kvfree_rcu(p);
            graceslab::kvfree_rcu(q);
        }

        free_both(
            KBox::new(1u64, GFP_KERNEL)?,
            KVec::<u8>::with_capacity(100, GFP_KERNEL)?,
        );
        Ok(())
    }

    #[test]
    fn gs_rust_doc_kvfree_kvfree_rcu() -> Result {
        use kernel::prelude::*;

        let mut table = KVVec::<u64>::with_capacity(1024, GFP_KERNEL)?;
        table.push(1, GFP_KERNEL)?;
        graceslab::kvfree_rcu(table);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_kvfree_try_kvfree_rcu() -> Result {
        use kernel::{prelude::*, sync::rcu};

        let table = KVec::<u64>::with_capacity(16, GFP_KERNEL)?;
        let guard = rcu::read_lock();
        // Nothing may sleep here.
        let left = graceslab::try_kvfree_rcu(table, GFP_NOWAIT | __GFP_NOWARN).err();
        drop(guard);
        // Here it may: what could not be queued then is now.
        if let Some(table) = left {
            graceslab::kvfree_rcu(table);
        }
        Ok(())
    }

    #[test]
    fn gs_rust_doc_kvfree_barrier() -> Result {
        use kernel::prelude::*;

        graceslab::kvfree_rcu(KBox::new([0u8; 100], GFP_KERNEL)?);
        graceslab::barrier();
        // Its memory is back.
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu_rcupointer() -> Result {
        use graceslab::{Rcu, RcuPointer};
        use kernel::{prelude::*, sync::rcu};

        /// Whether there is anything.
        fn is_published<P: RcuPointer>(pointer: &Rcu<P>) -> bool {
            pointer.dereference(&rcu::read_lock()).is_some()
        }

        let limit = Rcu::new(KBox::new(100u32, GFP_KERNEL)?);
        assert!(is_published(&limit));
        assert!(!is_published(&Rcu::<KVec<u8>>::null()));
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu() -> Result {
        use graceslab::{Args, Cache, Rcu};
        use kernel::{prelude::*, sync::rcu};

        struct Limits {
            low: u32,
            high: u32,
        }

        let cache = Cache::<Limits>::new(c"example_limits", Args::default())?;
        let current = Rcu::new(cache.alloc_rcu(Limits { low: 1, high: 2 }, GFP_KERNEL)?);

        // A reader.
        let guard = rcu::read_lock();
        if let Some(limits) = current.dereference(&guard) {
            assert!(limits.low < limits.high);
        }
        drop(guard);

        // A writer.
        let new = cache.alloc_rcu(Limits { low: 3, high: 4 }, GFP_KERNEL)?;
        let old = current.replace(Some(new));
        assert_eq!(old.map(|limits| limits.high), Some(2));

        drop(current);
        cache.destroy()?;
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu_2() -> Result {
        use graceslab::Rcu;
        use kernel::{prelude::*, sync::rcu};

        static TABLE: Rcu<KVVec<u32>> = Rcu::null();

        TABLE.replace(Some(KVVec::from_elem(7, 2, GFP_KERNEL)?));
        let longer = KVVec::from_elem(8, 1000, GFP_KERNEL)?;

        let guard = rcu::read_lock();
        let before = TABLE.dereference(&guard);
        // Nobody waits for the readers of the old one, which is freed when they are done.
        drop(TABLE.replace(Some(longer)));
        assert_eq!(before, Some(&[7, 7][..]));
        let after = TABLE.dereference(&guard);
        assert_eq!(after.map(|table| table.len()), Some(1000));
        drop(guard);
        drop(TABLE.take());
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu_null() -> Result {
        use graceslab::Rcu;
        use kernel::{prelude::*, sync::rcu};

        static MOTD: Rcu<KVec<u8>> = Rcu::null();

        assert!(MOTD.dereference(&rcu::read_lock()).is_none());
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu_dereference() -> Result {
        use graceslab::Rcu;
        use kernel::{prelude::*, sync::rcu};

        let name = Rcu::new(KVec::from_elem(b'a', 3, GFP_KERNEL)?);
        let guard = rcu::read_lock();
        let seen = name.dereference(&guard);
        drop(name);
        assert_eq!(seen, Some(&b"aaa"[..]));
        drop(guard);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu_replace() -> Result {
        use graceslab::Rcu;
        use kernel::prelude::*;

        let limit = Rcu::new(KBox::new(100u32, GFP_KERNEL)?);
        let old = limit.replace(Some(KBox::new(200, GFP_KERNEL)?));
        assert_eq!(old.as_deref(), Some(&100));
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu_take() -> Result {
        use graceslab::Rcu;
        use kernel::prelude::*;

        let limit = Rcu::new(KBox::new(100u32, GFP_KERNEL)?);
        assert_eq!(limit.take().as_deref(), Some(&100));
        assert!(limit.take().is_none());
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu_rcuold() -> Result {
        use graceslab::{Rcu, RcuOld};
        use kernel::prelude::*;

        let table = Rcu::new(KVec::from_elem(1u8, 4, GFP_KERNEL)?);
        let old: Option<RcuOld<KVec<u8>>> = table.take();
        assert_eq!(old.as_deref(), Some(&[1, 1, 1, 1][..]));
        // Readers that followed the pointer before it was taken are still served after this.
        drop(old);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcu_with_rcu() -> Result {
        use graceslab::Rcu;
        use kernel::{prelude::*, sync::rcu};

        let limit = Rcu::new(KBox::new(100u32, GFP_KERNEL)?);
        let old = limit.take();
        let guard = rcu::read_lock();
        let seen = old.as_ref().map(|old| old.with_rcu(&guard));
        drop(old);
        assert_eq!(seen, Some(&100));
        drop(guard);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcubox() -> Result {
        use graceslab::{Args, Cache, RcuBox};
        use kernel::{prelude::*, sync::rcu};

        let names = Cache::<[u8; 16]>::new(c"example_name", Args::default())?;
        let name: RcuBox<[u8; 16]> = names.alloc_rcu(*b"0123456789abcdef", GFP_KERNEL)?;

        let guard = rcu::read_lock();
        let seen = name.with_rcu(&guard);
        drop(name);
        // The guard keeps it.
        assert_eq!(seen[15], b'f');
        drop(guard);

        names.destroy()?;
        Ok(())
    }

    #[test]
    fn gs_rust_doc_rcubox_with_rcu() -> Result {
        use graceslab::{Args, Cache};
        use kernel::{prelude::*, sync::rcu};

        let cache = Cache::<u64>::new(c"example_with_rcu", Args::new())?;
        let number = cache.alloc_rcu(7, GFP_KERNEL)?;
        let guard = rcu::read_lock();
        let seen = number.with_rcu(&guard);
        drop(number);
        assert_eq!(*seen, 7);
        drop(guard);
        Ok(())
    }

    #[test]
    fn gs_rust_doc_static_cache() -> Result {
        use graceslab::{flags, Args, StaticGuard};
        use kernel::prelude::*;

        pub(crate) struct Session(u64);
        struct Route([u64; 4]);

        graceslab::static_cache! {
            /// The sessions that are open.
            pub(crate) static SESSIONS: Cache<Session> = c"example_sessions";

            static ROUTES: Cache<Route> = c"example_routes", Args {
                flags: flags::HWCACHE_ALIGN,
                ..Args::new()
            };
        }

        struct Example {
            _sessions: StaticGuard<Session>,
            _routes: StaticGuard<Route>,
        }

        impl kernel::Module for Example {
            fn init(_module: &'static ThisModule) -> Result<Self> {
                Ok(Self {
                    _sessions: SESSIONS.init()?,
                    _routes: ROUTES.init()?,
                })
            }
        }

        fn open(id: u64) -> Result {
            let session = SESSIONS.alloc(Session(id), GFP_KERNEL)?;
            assert_eq!(session.0, id);
            session.free_rcu();
            Ok(())
        }

        // As the kernel does with a module.
        let module = Example {
            _sessions: SESSIONS.init()?,
            _routes: ROUTES.init()?,
        };
        assert_eq!(ROUTES.alloc(Route([1; 4]), GFP_KERNEL)?.0, [1; 4]);
        open(3)?;
        drop(module);
        assert!(open(4).is_err());
        Ok(())
    }

    #[test]
    fn gs_rust_doc_static_cache_staticcache() -> Result {
        use kernel::prelude::*;

        graceslab::static_cache! {
            static NUMBERS: Cache<u64> = c"example_numbers";
        }

        assert!(NUMBERS.alloc(1, GFP_KERNEL).is_err());
        let guard = NUMBERS.init()?;
        let number = NUMBERS.alloc(1, GFP_KERNEL)?;
        number.free_rcu();
        // This waits for what is pending.
        drop(guard);
        assert!(NUMBERS.alloc(1, GFP_KERNEL).is_err());
        Ok(())
    }

    #[test]
    fn gs_rust_doc_static_cache_init() -> Result {
        use kernel::prelude::*;

        graceslab::static_cache! {
            static ONCE: Cache<u64> = c"example_once";
        }

        let guard = ONCE.init()?;
        assert_eq!(ONCE.init().err(), Some(EEXIST));
        drop(guard);
        assert!(ONCE.init().is_ok());
        Ok(())
    }

    #[test]
    fn gs_rust_doc_static_cache_staticguard() -> Result {
        use graceslab::StaticGuard;
        use kernel::prelude::*;

        graceslab::static_cache! {
            static NAMES: Cache<[u8; 32]> = c"example_names";
        }

        let names: StaticGuard<[u8; 32]> = NAMES.init()?;
        let name = NAMES.alloc([0; 32], GFP_KERNEL)?;
        drop(name);
        assert!(names.destroy().is_ok());
        Ok(())
    }
}
