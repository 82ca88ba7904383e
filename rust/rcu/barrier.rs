// SPDX-License-Identifier: GPL-2.0

//! Barriers: waiting for the frees that were queued before, and no others.
//!
//! ```text
//!   idle? ──yes──► done, without a grace period
//!     │ no
//!   every CPU seals its open batch, and says so
//!   pending bits are promoted
//!   one cookie, one wait
//!   the caller itself reclaims what is ripe now, on every CPU
//!   batches that others had claimed: wait for those claims
//! ```
//!
//! Frees that are queued after the seal are in newer batches, so they do not extend it. No lock
//! that another cache's barrier needs is held across the wait.

use super::cookie::Cookie;
use super::domain::{CHANNELS, FOREIGN};
use super::doorbell;
use super::foreign;
use super::queue::{self, Queue};
use super::request::{self, Ask};
use crate::cache::core::Core;
use crate::cache::{dtor, registry, service};
use crate::lock::{GlobalMutex, Mutex};
use crate::percpu::{Cpu, Section};
use crate::sys;

/// Waits until every free that was queued to `core` before the call has come back.
///
/// Returns at once, without a grace period, when none is pending.
///
/// Context: Process context, may sleep. Not from a destructor of the same cache.
pub(crate) fn cache(core: &Core) {
    if core.pending() == 0 || dtor::is_caller(core) {
        return;
    }
    // SAFETY: The core is alive, and so is its mutex.
    let _one = unsafe { Mutex::lock(core.barrier_mutex()) };
    request::all_cpus(Ask::Seal(core));
    // A slab's bits may already wait for an older grace period, and newer ones behind them: the
    // latter can only be promoted when the former are done, and need a second one.
    let deferred = service::promote(core);
    Cookie::now().wait();
    service::collect(core);
    drain(core);
    // A freer with the token may only have pushed its slab since: that was not promoted above,
    // but is there now, for it had preemption off before the cookie was taken.
    if deferred || !core.pending_slabs.is_empty() {
        service::promote(core);
        Cookie::now().wait();
        service::collect(core);
    }
    core.domain.wait_claims();
}

/// Reclaims every ripe batch of `core`, in the caller.
pub(crate) fn drain(core: &Core) {
    for cpu in Cpu::possible() {
        // SAFETY: The core is alive, so its queues are.
        let q = unsafe { &raw mut (*core.on_cpu(cpu.id)).queue };
        drain_queue(q, cpu);
    }
}

fn drain_queue(q: *mut Queue, cpu: &Cpu) {
    // SAFETY: The queue's domain is alive, so the queue is.
    while let Some(c) = unsafe { Queue::claim_ripe(q, cpu) } {
        doorbell::reclaim(c);
        // SAFETY: Process context.
        unsafe { sys::gs_sys_cond_resched() };
    }
}

/// Waits for every pending free of every kind that was queued before the call.
///
/// Context: Process context, may sleep. Not from a destructor.
pub(crate) fn everything() {
    let busy = |index| {
        let (into, out) = foreign::in_out(index);
        into != out
    };
    let foreign_busy = (0..CHANNELS).any(busy);
    let mut caches_busy = false;
    registry::for_each(|core| caches_busy |= core.pending() != 0);
    if !foreign_busy && !caches_busy {
        return;
    }
    request::all_cpus(Ask::SealAll);
    let mut deferred = false;
    registry::for_each(|core| {
        // A destructor that calls this does not wait for its own cache, which would be for ever.
        if !dtor::is_caller(core) {
            deferred |= service::promote(core);
        }
    });
    Cookie::now().wait();
    for index in 0..CHANNELS {
        let _one = GlobalMutex::lock(sys::CHANNEL_BARRIER);
        for cpu in Cpu::possible() {
            drain_queue((&raw const cpu.channels[index]).cast_mut(), cpu);
        }
        FOREIGN[index].wait_claims();
    }
    // What was sealed and promoted above is ripe now.
    registry::for_each(|core| {
        cache_ripe(core);
        // As in `cache`.
        deferred |= !core.pending_slabs.is_empty();
    });
    if deferred {
        let others = |f: fn(&Core)| {
            registry::for_each(|core| {
                if !dtor::runs_here(core) {
                    f(core);
                }
            })
        };
        others(|core| {
            service::promote(core);
        });
        Cookie::now().wait();
        others(service::collect);
    }
}

/// The second half of [`cache`], after a grace period since everything was sealed.
fn cache_ripe(core: &Core) {
    if core.pending() == 0 || dtor::runs_here(core) {
        return;
    }
    // SAFETY: The core is alive, and so is its mutex.
    let _one = unsafe { Mutex::lock(core.barrier_mutex()) };
    service::collect(core);
    drain(core);
    core.domain.wait_claims();
}

/// Seals and hands over everything of a CPU that has died.
pub(crate) fn cpu_dead(cpu: &'static Cpu) {
    {
        let _offline = GlobalMutex::lock(sys::OFFLINE);
        let (section, _) = Section::open_task();
        let arm = doorbell::seal_all(&section, cpu) | request::serve(&section, cpu);
        drop(section);
        queue::arm(cpu, arm, true);
    }
    registry::for_each(|core| {
        let _offline = GlobalMutex::lock(sys::OFFLINE);
        let (section, _) = Section::open_task();
        // SAFETY: The CPU is dead and the offline mutex held: its share is the caller's.
        let arm = unsafe { core.detach(&section, cpu) };
        drop(section);
        queue::arm(cpu, arm, true);
    });
    registry::for_each(|core| service::flush_detached(core));
}

/// In and out of all channels, for reports.
pub(crate) fn foreign_in_out() -> (u64, u64) {
    (0..CHANNELS)
        .map(foreign::in_out)
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}
