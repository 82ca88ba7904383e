// SPDX-License-Identifier: GPL-2.0

//! debugfs: `graceslab/caches`, `graceslab/batcher`, and a directory for each cache.

use crate::cache::core::{Core, DYING, LIVE};
use crate::cache::{barn, capacity, reclaim, registry, stats};
use crate::percpu::Cpu;
use crate::rcu::domain::CHANNELS;
use crate::rcu::{barrier, doorbell, pressure, request, steps, twice};
use crate::sys::{self, File, SeqFile};
use kernel::ffi::{c_int, c_void};
use kernel::fmt;
use kernel::prelude::*;
use kernel::seq_file::seq_print;
use kernel::sync::atomic::Relaxed;

/// A cache's directory, removed when dropped.
pub(crate) struct CacheFiles(*mut c_void);

impl CacheFiles {
    /// Creates that of `core`; without one, the cache does as well.
    ///
    /// # Safety
    ///
    /// `core` is there until what is returned was dropped.
    pub(crate) unsafe fn new(core: *mut Core) -> Option<Self> {
        // SAFETY: By the function's requirement.
        let name = unsafe { (*core).name_cstr() };
        if [c"caches", c"batcher"].contains(&name) {
            // The module's own files have those names.
            return None;
        }
        // SAFETY: Process context; the name is copied, and the core is there as long as the files.
        Some(Self(unsafe {
            sys::gs_sys_cache_files_start(name.as_char_ptr(), core.cast())
        }))
    }
}

impl Drop for CacheFiles {
    fn drop(&mut self) {
        // SAFETY: Process context; `new` made it.
        unsafe { sys::gs_sys_cache_files_stop(self.0) };
    }
}

/// Writes what a file says. Process context.
///
/// # Safety
///
/// `m` is the caller's; `core` is null if the file is the module's, or its cache.
#[no_mangle]
unsafe extern "C" fn gs_rs_file_show(m: *mut SeqFile, file: File, core: *const Core) {
    // SAFETY: By the function's requirement.
    let (m, core) = unsafe { (kernel::seq_file::SeqFile::from_raw(m), core.as_ref()) };
    seq_print!(m, "{}", Text(file, core));
}

/// What a file says: of this cache, if it is one of a cache.
struct Text<'a>(File, Option<&'a Core>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Text(File::Caches, _) => caches(f),
            Text(File::Batcher, _) => batcher(f),
            Text(File::Stats, Some(core)) => cache_stats(core, f),
            Text(File::Aliases, Some(core)) => cache_aliases(core, f),
            Text(File::Children, Some(core)) => cache_children(core, f),
            Text(File::Capacity, Some(core)) => writeln!(f, "{}", core.capacity_asked()),
            Text(_, None) => Ok(()),
        }
    }
}

/// Sets a cache's capacity to what was written: EINVAL for what is no number, ERANGE for one that
/// cannot be. Process context.
///
/// # Safety
///
/// `core` is there, and so are `len` bytes at `text`.
#[no_mangle]
unsafe extern "C" fn gs_rs_capacity_write(core: *const Core, text: *const u8, len: usize) -> c_int {
    // SAFETY: By the function's requirement.
    let (core, text) = unsafe { (&*core, core::slice::from_raw_parts(text, len)) };
    set_capacity(core, text).map_or_else(|e| e.to_errno(), |()| 0)
}

fn set_capacity(core: &Core, text: &[u8]) -> Result {
    let n = core::str::from_utf8(text).map_err(|_| EINVAL)?.trim();
    let all_digits = !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    if !all_digits {
        return Err(EINVAL);
    }
    capacity::set(core, n.parse().map_err(|_| ERANGE)?)
}

fn cache_stats(core: &Core, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
}

fn cache_aliases(core: &Core, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut result = Ok(());
    registry::for_each_alias(core, |name| {
        if result.is_ok() {
            result = writeln!(f, "{}", core::str::from_utf8(name).unwrap_or("?"));
        }
    });
    result
}

fn cache_children(core: &Core, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
}

fn caches(f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

fn batcher(f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
