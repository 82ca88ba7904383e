// SPDX-License-Identifier: GPL-2.0

//! A setting that readers follow while it is replaced: the least that a module in Rust does with
//! graceslab.

use graceslab::{Args, Cache, Rcu, RcuBox};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu, //
    }, //
};

module! {
    type: Hello,
    name: "gs_hello_rust",
    authors: ["You"],
    description: "The least that a module in Rust does with graceslab",
    license: "GPL",
}

static DROPPED: Atomic<u32> = Atomic::new(0);

/// What is set.
struct Setting {
    words: KVec<&'static str>,
}

impl Drop for Setting {
    // After the grace period, once, in process context.
    fn drop(&mut self) {
        DROPPED.add(self.words.len() as u32, Relaxed);
    }
}

struct Hello {
    // Dropped in this order: what is published first.
    current: Rcu<RcuBox<Setting>>,
    cache: Cache<Setting>,
}

impl Hello {
    fn setting(cache: &Cache<Setting>, words: &[&'static str]) -> Result<RcuBox<Setting>> {
        let mut all = KVec::new();
        all.extend_from_slice(words, GFP_KERNEL)?;
        Ok(cache.alloc_rcu(Setting { words: all }, GFP_KERNEL)?)
    }

    fn count(&self) -> usize {
        let guard = rcu::read_lock();
        self.current
            .dereference(&guard)
            .map_or(0, |setting| setting.words.len())
    }
}

impl kernel::Module for Hello {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let cache = Cache::new(c"gs_hello_settings", Args::default())?;
        let hello = Self {
            current: Rcu::new(Self::setting(&cache, &["hello"])?),
            cache,
        };
        let next = Self::setting(&hello.cache, &["hello", "world"])?;
        // Readers of the old one have it until they are done; nobody waits for them.
        drop(hello.current.replace(Some(next)));
        pr_info!("{} words\n", hello.count());
        Ok(hello)
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        drop(self.current.take());
        self.cache.barrier();
        pr_info!("{} words are back\n", DROPPED.load(Relaxed));
    }
}
