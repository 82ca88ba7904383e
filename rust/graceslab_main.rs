// SPDX-License-Identifier: GPL-2.0

//! graceslab: object caches and headless RCU-deferred freeing for kernel modules.
//!
//! For a module in Rust: [`Cache`] and its boxes [`CBox`] and [`RcuBox`], the published pointer
//! [`Rcu`], [`kvfree_rcu`] for what the kernel's own boxes and vectors hold, and [`barrier`].
//!
//! A pointer's way through the sources reads forward:
//!
//! - `alloc`: `cache/alloc.rs` → sheaf, or ripe batch, `cache/barn.rs`, `cache/slab.rs`, pages.
//! - `free_rcu`: `cache/free.rs` → `percpu.rs` → `rcu/queue.rs` → `rcu/doorbell.rs` → ripe →
//!   `cache/barn.rs` or `cache/slab.rs`.
//!
//! `own.rs` is the Rust interface, `capi.rs` the C one.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks, missing_docs)]

mod cache;
mod capi;
mod debugfs;
mod hint;
mod inject;
mod list;
mod lock;
mod own;
mod percpu;
mod rcu;
mod sys;
mod trace;
mod watch;
mod word;

use cache::core::CpuCache;
use kernel::prelude::*;

pub use cache::stats::Stats;
pub use own::cache::{flags, Args, Cache, Leaked};
pub use own::cbox::CBox;
pub use own::kvfree::{barrier, kvfree_rcu, try_kvfree_rcu, KvFree};
pub use own::rcu::{Rcu, RcuOld, RcuPointer};
pub use own::rcubox::RcuBox;
pub use own::static_cache::{StaticCache, StaticGuard};

module! {
    type: Graceslab,
    name: "graceslab",
    authors: ["The graceslab developers"],
    description: "Object caches and headless RCU-deferred freeing",
    license: "GPL",
}

struct Graceslab;

impl kernel::Module for Graceslab {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        percpu::Cpu::init_all()?;
        CpuCache::init_bare().inspect_err(|_| free_all())?;
        rcu::request::init();
        own::writer::init();
        // SAFETY: Once, in process context, after what the callbacks need is there.
        let started = unsafe { sys::gs_sys_start() };
        if started != 0 {
            free_all();
            return Err(Error::from_errno(started));
        }
        // SAFETY: What it looks at is there.
        let shrinks = unsafe { sys::gs_sys_shrinker_start() };
        if shrinks != 0 {
            // SAFETY: Nothing was armed yet.
            unsafe {
                sys::gs_sys_unhook();
                sys::gs_sys_stop();
            }
            free_all();
            return Err(Error::from_errno(shrinks));
        }
        // SAFETY: Process context; all that parameters are about is there.
        unsafe { sys::gs_sys_params_live(true) };
        // Whoever opens one has the module, which must not fail any more.
        // SAFETY: Process context; all that the files are about is there.
        unsafe { sys::gs_sys_files_start() };
        Ok(Self)
    }
}

impl Drop for Graceslab {
    fn drop(&mut self) {
        // SAFETY: Started by `init`; the caches that it looks at are there still.
        unsafe { sys::gs_sys_shrinker_stop() };
        // SAFETY: Process context.
        unsafe { sys::gs_sys_params_live(false) };
        // Nobody can call us any more. What is on its way comes home first; then nothing is
        // armed, and nothing runs.
        rcu::barrier::everything();
        // Other modules and CPUs come and go still: who looks through the caches for one of those
        // is through with it now, and no one else comes.
        // SAFETY: Process context, outside of both.
        unsafe { sys::gs_sys_unhook() };
        // A cache that nobody destroyed: what is left in it then is in somebody's hands.
        cache::registry::for_each(cache::destroy::prepare_exit);
        // SAFETY: Process context; every cache's own have gone.
        unsafe { sys::gs_sys_files_stop() };
        rcu::doorbell::stop();
        // SAFETY: Process context; `stop` keeps anything from being armed again.
        unsafe { sys::gs_sys_quiesce() };
        // The irq_work that these were left to comes no more.
        cache::core::retire_left();
        let (mut caches, mut objects) = (0, 0);
        loop {
            let core = cache::registry::pop();
            if core.is_null() {
                break;
            }
            caches += 1;
            // SAFETY: It is off the registry, and nobody uses the module any more.
            objects += unsafe { cache::leak::abandon(core) };
        }
        if caches != 0 {
            pr_warn!("{caches} caches left {objects} objects behind; their pages stay allocated\n");
        }
        let (_, freed) = rcu::barrier::foreign_in_out();
        pr_info!("unloaded; {freed} pointers of others were freed\n");
        // SAFETY: Nothing runs any more.
        unsafe { sys::gs_sys_stop() };
        free_all();
    }
}

/// Frees what every CPU has, and what no CPU has.
fn free_all() {
    rcu::twice::free();
    CpuCache::free_bare();
    percpu::Cpu::free_all();
}
