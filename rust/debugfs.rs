// SPDX-License-Identifier: GPL-2.0

//! debugfs: `graceslab/caches`, `graceslab/batcher`, and a directory for each cache.

use crate::cache::core::{DYING, LIVE};
use crate::cache::{registry, stats};
use crate::percpu::Cpu;
use crate::rcu::{barrier, doorbell, foreign};
use core::cell::UnsafeCell;
use kernel::debugfs::{Dir, File};
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

/// The module's files, removed when dropped.
#[pin_data(PinnedDrop)]
pub(crate) struct Files {
    #[pin]
    caches: File<()>,
    #[pin]
    batcher: File<()>,
}

#[pinned_drop]
impl PinnedDrop for Files {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The module is going, or never came: no cache is created any more.
        unsafe { *ROOT.0.get() = None };
    }
}

struct Root(UnsafeCell<Option<Dir>>);

// SAFETY: Written before the first cache is created and after the last one.
unsafe impl Sync for Root {}

static ROOT: Root = Root(UnsafeCell::new(None));

/// Creates them.
pub(crate) fn files() -> Result<Pin<KBox<Files>>> {
    let root = Dir::new(c"graceslab");
    let dir = root.clone();
    let files = KBox::pin_init(
        try_pin_init!(Files {
            caches <- dir.read_callback_file(c"caches", (), &caches),
            batcher <- dir.read_callback_file(c"batcher", (), &batcher),
        }),
        GFP_KERNEL,
    )?;
    // SAFETY: No cache is created before the module is loaded.
    unsafe { *ROOT.0.get() = Some(root) };
    Ok(files)
}

/// A cache's directory, removed when dropped.
#[pin_data]
pub(crate) struct CacheFiles {
    #[pin]
    stats: File<u64>,
    dir: Dir,
}

/// Creates the directory of the cache with this number, called `name`; without one, the cache
/// does as well.
pub(crate) fn cache_files(name: &CStr, id: u64) -> Option<Pin<KBox<CacheFiles>>> {
    if [c"caches", c"batcher"].contains(&name) {
        // The module's own files have those names.
        return None;
    }
    // SAFETY: Not written while caches are created.
    let own = unsafe { &*ROOT.0.get() }.as_ref()?.subdir(name);
    let dir = own.clone();
    KBox::pin_init(
        try_pin_init!(CacheFiles {
            stats <- dir.read_callback_file(c"stats", id, &cache_stats),
            dir: own,
        }),
        GFP_KERNEL,
    )
    .ok()
}

fn cache_stats(id: &u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    registry::with_id(*id, |core| {
        let s = stats::take(core);
        for (name, value) in [
            ("object_size", core.geometry.size as u64),
            ("stride", s.object_size as u64),
            ("objects_per_slab", core.geometry.objects as u64),
            ("pages_per_slab", 1 << core.geometry.order),
            ("sheaf_capacity", core.capacity as u64),
            ("slabs", s.slabs),
            ("objects", s.objects),
            ("live", s.live),
            ("cached", s.cached),
            ("pending", s.queued.wrapping_sub(s.done)),
            ("queued", s.queued),
            ("done", s.done),
            ("frees_bits", s.frees_bits),
            ("swapped", s.swapped),
            ("sealed", s.sealed),
        ] {
            writeln!(f, "{name} {value}")?;
        }
        Ok(())
    })
    .unwrap_or(Ok(()))
}

fn caches(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "# {:<22} {:>9} {:>9} {:>7} {:>7} {:>7} {:>5} {:>9} {:>11} {:>11} {}",
        "name",
        "live",
        "objects",
        "objsize",
        "slabs",
        "pages",
        "sheaf",
        "pending",
        "queued",
        "done",
        "state"
    )?;
    let mut result = Ok(());
    registry::for_each(|core| {
        if result.is_err() {
            return;
        }
        let s = stats::take(core);
        let name = core::str::from_utf8(core.name()).unwrap_or("?");
        result = writeln!(
            f,
            "{:<24} {:>9} {:>9} {:>7} {:>7} {:>7} {:>5} {:>9} {:>11} {:>11} {}",
            name,
            s.live,
            s.objects,
            s.object_size,
            s.slabs,
            s.slabs << core.geometry.order,
            core.capacity,
            s.queued.wrapping_sub(s.done),
            s.queued,
            s.done,
            match core.state() {
                LIVE => "live",
                DYING => "dying",
                _ => "leaked",
            },
        );
    });
    result
}

fn batcher(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (into, out) = barrier::foreign_in_out();
    writeln!(f, "foreign_queued {into}")?;
    writeln!(f, "foreign_done {out}")?;
    writeln!(f, "foreign_waited {}", foreign::WAITED.load(Relaxed))?;
    // SAFETY: May be called in any context.
    let periods = unsafe { crate::sys::gs_sys_grace_periods() };
    writeln!(f, "grace_periods {periods}")?;
    writeln!(f, "doorbells {}", doorbell::BELLS.load(Relaxed))?;
    writeln!(f, "zombies {}", registry::zombies())?;
    for cpu in Cpu::possible() {
        let sealed: u64 = cpu.channels.iter().map(|q| q.seals.get()).sum();
        writeln!(
            f,
            "cpu{} timer {} bell {} foreign_batches {}",
            cpu.id,
            cpu.timer_armed.load(Relaxed) as u32,
            cpu.bell_armed.load(Relaxed) as u32,
            sealed
        )?;
    }
    Ok(())
}
