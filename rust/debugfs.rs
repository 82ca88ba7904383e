// SPDX-License-Identifier: GPL-2.0

//! debugfs: `graceslab/caches` and `graceslab/batcher`.

use crate::cache::{registry, stats};
use crate::percpu::Cpu;
use crate::rcu::{barrier, doorbell, foreign};
use kernel::debugfs::{Dir, File};
use kernel::fmt;
use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;

/// The files, removed when dropped.
#[pin_data]
pub(crate) struct Files {
    #[pin]
    caches: File<()>,
    #[pin]
    batcher: File<()>,
    dir: Dir,
}

/// Creates them.
pub(crate) fn files() -> Result<Pin<KBox<Files>>> {
    let dir = Dir::new(c"graceslab");
    KBox::pin_init(
        try_pin_init!(Files {
            caches <- dir.read_callback_file(c"caches", (), &caches),
            batcher <- dir.read_callback_file(c"batcher", (), &batcher),
            dir: dir.clone(),
        }),
        GFP_KERNEL,
    )
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
                crate::cache::core::LIVE => "live",
                crate::cache::core::DYING => "dying",
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
