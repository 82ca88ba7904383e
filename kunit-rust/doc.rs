// SPDX-License-Identifier: GPL-2.0

//! The examples in the documentation of the Rust interface, word for word.

use kernel::prelude::*;

#[kunit_tests(gs_rust_doc)]
mod tests {
    use super::*;

    #[test]
    fn gs_rust_doc_args() {
        use graceslab::{flags, Args};

        let args = Args {
            align: 64,
            flags: flags::CONSISTENCY,
            ..Args::default()
        };
        assert_eq!(args.sheaf_capacity, 0);
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
    fn gs_rust_doc_alloc_pin_init() -> Result {
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
    fn gs_rust_doc_kvfree() -> Result {
        use kernel::prelude::*;

        let mut table = KVVec::<u64>::with_capacity(1024, GFP_KERNEL)?;
        table.push(1, GFP_KERNEL)?;
        graceslab::kvfree_rcu(table);
        Ok(())
    }
}
