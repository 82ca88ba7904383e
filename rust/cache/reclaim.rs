// SPDX-License-Identifier: GPL-2.0

//! What the kernel's shrinker asks for where memory is short.
//!
//! ```text
//!   ripe batches (no destructor)  ─┐
//!   this CPU's spare sheaf        ─┼─► slabs ─► pages of those whose objects are all free
//!   the barns' sheaves            ─┘
//! ```
//!
//! Somebody waits for memory, perhaps with locks held that a user's code takes: so destructors are
//! left to their worker, no CPU is asked for its sheaves (which would take the CPU hotplug lock),
//! and the only mutex that is taken is the registry's, under which nobody asks for memory.

use super::barn;
use super::core::Core;
use super::registry;
use super::service;
use crate::percpu::Section;
use crate::rcu::barrier;
use crate::rcu::queue::null_batch;
use crate::sys;
use kernel::sync::atomic::{Atomic, Relaxed};

/// Pages that were given back for the shrinker.
pub(crate) static PAGES: Atomic<u64> = Atomic::new(0);

/// Number of the cache that was last asked: the next one is asked first.
static HAND: Atomic<u64> = Atomic::new(0);

/// Pages that could be given back now; a quick look, and a guess.
///
/// Context: Process context.
#[no_mangle]
pub(crate) extern "C" fn gs_rs_reclaimable() -> usize {
    // SAFETY: May be called in any context.
    let page = unsafe { sys::gs_sys_page_size() } as usize;
    let mut pages = 0;
    registry::for_each(|core| {
        let (mut objects, slabs) = barn::spare(core);
        if has_ripe(core) {
            objects += core.capacity() as usize;
        }
        pages += objects * core.geometry.stride as usize / page;
        pages += slabs << core.geometry.order;
    });
    pages
}

/// Gives up to about `wanted` pages back, from one cache after the other; how many they were.
///
/// Context: Process context; any lock of others may be held.
#[no_mangle]
pub(crate) extern "C" fn gs_rs_reclaim_pages(wanted: usize) -> usize {
    let hand = HAND.load(Relaxed);
    let mut pages = 0;
    for older in [false, true] {
        registry::for_each(|core| {
            if pages < wanted && (core.id <= hand) == older && core.is_live() {
                HAND.store(core.id, Relaxed);
                pages += from(core);
            }
        });
    }
    PAGES.fetch_add(pages as u64, Relaxed);
    pages
}

/// Whether there may be batches to reclaim whose objects nobody has to destroy.
fn has_ripe(core: &Core) -> bool {
    core.dtor_addr() == 0 && core.queues().any(|q| q.has_sealed())
}

fn from(core: &Core) -> usize {
    core.growth.reset();
    if has_ripe(core) {
        barrier::drain(core);
    }
    {
        let (section, _) = Section::open_task();
        let share = core.on_cpu(section.cpu().id);
        // SAFETY: The share's sheaves are the section's.
        unsafe {
            let spare = (&raw mut (*share).spare).replace(null_batch());
            if spare != null_batch() {
                core.detached.push(spare);
            }
        }
    }
    service::flush_detached(core);
    barn::flush(core);
    let mut busy = false;
    barn::trim(core, true, &mut busy)
}
