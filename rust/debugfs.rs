// SPDX-License-Identifier: GPL-2.0

//! debugfs: `graceslab/caches`, `graceslab/batcher`, and a directory for each cache.

use crate::cache::core::{DYING, LIVE};
use crate::cache::registry::Key;
use crate::cache::{barn, capacity, reclaim, registry, stats};
use crate::percpu::Cpu;
use crate::rcu::domain::CHANNELS;
use crate::rcu::{barrier, doorbell, pressure, request, steps, twice};
use crate::sys;
use core::cell::UnsafeCell;
use kernel::debugfs::{Dir, File};
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;
use kernel::uaccess::UserSliceReader;

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
    stats: File<Key>,
    #[pin]
    aliases: File<Key>,
    #[pin]
    children: File<Key>,
    #[pin]
    sheaf_capacity: File<Key>,
    dir: Dir,
}

/// Creates the directory of the cache with this key, called `name`; without one, the cache
/// does as well.
pub(crate) fn cache_files(name: &CStr, key: Key) -> Option<Pin<KBox<CacheFiles>>> {
    if [c"caches", c"batcher"].contains(&name) {
        // The module's own files have those names.
        return None;
    }
    // SAFETY: Not written while caches are created.
    let own = unsafe { &*ROOT.0.get() }.as_ref()?.subdir(name);
    let dir = own.clone();
    KBox::pin_init(
        try_pin_init!(CacheFiles {
            stats <- dir.read_callback_file(c"stats", key, &cache_stats),
            aliases <- dir.read_callback_file(c"aliases", key, &cache_aliases),
            children <- dir.read_callback_file(c"children", key, &cache_children),
            sheaf_capacity <- dir.read_write_callback_file(
                c"sheaf_capacity", key, &sheaf_capacity, &set_sheaf_capacity
            ),
            dir: own,
        }),
        GFP_KERNEL,
    )
    .ok()
}

fn cache_stats(key: &Key, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    registry::with_key(*key, |core| {
        let s = stats::take(core);
        for (name, value) in [
            ("object_size", u64::from(core.geometry.size)),
            ("stride", s.object_size as u64),
            ("objects_per_slab", u64::from(core.geometry.objects)),
            ("pages_per_slab", 1 << core.geometry.order),
            ("sheaf_capacity", u64::from(core.capacity())),
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
            ("free_rcu_sheaf", s.queued.wrapping_sub(s.queued_bits)),
            ("free_rcu_sheaf_fail", s.queued_bits),
        ] {
            writeln!(f, "{name} {value}")?;
        }
        for (id, node) in core.nodes().iter().enumerate() {
            let (slabs, cached) = barn::figures(node);
            writeln!(f, "node{id}_slabs {slabs}\nnode{id}_cached {cached}")?;
        }
        Ok(())
    })
    .unwrap_or(Ok(()))
}

fn cache_aliases(key: &Key, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    registry::with_key(*key, |core| {
        let mut result = Ok(());
        registry::for_each_alias(core, |name| {
            if result.is_ok() {
                result = writeln!(f, "{}", core::str::from_utf8(name).unwrap_or("?"));
            }
        });
        result
    })
    .unwrap_or(Ok(()))
}

fn cache_children(key: &Key, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    registry::with_key(*key, |core| {
        writeln!(
            f,
            "# {:<18} {:>9} {:>9} {:>7} {:>9} state",
            "key", "live", "objects", "slabs", "pending"
        )?;
        let mut result = Ok(());
        registry::members(core, |child| {
            let s = stats::take_one(child);
            let state = match (child.state(), child.family.is_leaving()) {
                (LIVE, false) => "live",
                (LIVE, true) => "leaving",
                _ => "closed",
            };
            result = result.and(writeln!(
                f,
                "{:<20} {:>9} {:>9} {:>7} {:>9} {state}",
                child.family.key(),
                s.live,
                s.objects,
                s.slabs,
                s.queued.wrapping_sub(s.done),
            ));
        });
        result
    })
    .unwrap_or(Ok(()))
}

fn sheaf_capacity(key: &Key, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    registry::with_key(*key, |core| writeln!(f, "{}", core.capacity())).unwrap_or(Ok(()))
}

/// EINVAL for what is no number, ERANGE for one that cannot be.
fn set_sheaf_capacity(key: &Key, from: &mut UserSliceReader) -> Result {
    // Room for any number that can be; what is longer is none.
    let mut text = [0; 16];
    let len = from.len();
    let text = text.get_mut(..len).ok_or(EINVAL)?;
    from.read_slice(text)?;
    let n = core::str::from_utf8(text).map_err(|_| EINVAL)?.trim();
    let all_digits = !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    if !all_digits {
        return Err(EINVAL);
    }
    let n = n.parse().map_err(|_| ERANGE)?;
    registry::with_key(*key, |core| capacity::set(core, n)).unwrap_or(Err(ENOENT))
}

fn caches(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "# {:<22} {:>9} {:>9} {:>7} {:>7} {:>7} {:>5} {:>9} {:>11} {:>11} state",
        "name",
        "live",
        "objects",
        "objsize",
        "slabs",
        "pages",
        "sheaf",
        "pending",
        "queued",
        "done"
    )?;
    let mut result = Ok(());
    registry::for_each(|core| {
        if result.is_err() {
            return;
        }
        let s = stats::take_one(core);
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
            core.capacity(),
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
    request::all_cpus(request::Ask::Look);
    let (into, out) = barrier::foreign_in_out();
    writeln!(f, "foreign_queued {into}")?;
    writeln!(f, "foreign_done {out}")?;
    for (step, name) in steps::NAMES.iter().enumerate() {
        writeln!(f, "{name} {}", steps::get(step as u32))?;
    }
    writeln!(f, "expedited {}", pressure::EXPEDITED.load(Relaxed))?;
    writeln!(f, "shrunk_pages {}", reclaim::PAGES.load(Relaxed))?;
    // SAFETY: May be called in any context.
    let periods = unsafe { sys::gs_sys_grace_periods() };
    writeln!(f, "grace_periods {periods}")?;
    writeln!(f, "doorbells {}", doorbell::BELLS.load(Relaxed))?;
    writeln!(f, "zombies {}", registry::zombies())?;
    writeln!(f, "twice_unseen {}", twice::UNSEEN.load(Relaxed))?;
    for cpu in Cpu::possible() {
        // SAFETY: Of a queue in use elsewhere, only the counter is read.
        let sealed = |index| unsafe { (*cpu.channel(index)).seals.get() };
        let (pages, wrappers) = cpu.reserve.kept();
        write!(
            f,
            "cpu{} timer {} bell {} foreign_batches {} reserve_pages {pages} reserve_wrappers {wrappers}",
            cpu.id,
            u32::from(cpu.timer_armed.load(Relaxed)),
            u32::from(cpu.bell_armed.load(Relaxed)),
            (0..CHANNELS).map(sealed).sum::<u64>(),
        )?;
        let waiting = doorbell::look_sealed(cpu);
        let age = waiting.age.max(cpu.seen.age.load(Relaxed));
        write!(
            f,
            " open {} open_objects {} sealed {} ripe {} oldest_ms {} periods {}",
            cpu.seen.batches.load(Relaxed),
            cpu.seen.objects.load(Relaxed),
            waiting.batches,
            waiting.ripe,
            // SAFETY: May be called in any context.
            unsafe { sys::gs_sys_jiffies_to_msecs(age) },
            waiting.periods,
        )?;
        for (step, name) in steps::NAMES.iter().enumerate() {
            write!(f, " step_{name} {}", steps::on_cpu(cpu, step as u32))?;
        }
        writeln!(f)?;
    }
    Ok(())
}
