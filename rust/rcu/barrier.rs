// SPDX-License-Identifier: GPL-2.0

//! Barriers: waiting for the frees that were queued before, and no others.
//!
//! ```text
//!   idle? ──yes──► done, without a grace period
//!     │ no
//!   every CPU seals its open batch, and says so
//!   pending bits are promoted
//!   one cookie, one wait, expedited if none was a moment ago
//!   the caller itself reclaims what is ripe now, on every CPU
//!   batches that others had claimed: wait for those claims
//! ```
//!
//! Frees that are queued after the seal are in newer batches, so they do not extend it. No lock
//! that another cache's barrier needs is held across the wait.

use super::cookie::Cookie;
use super::domain::{Domain, CHANNELS, FOREIGN};
use super::doorbell;
use super::foreign;
use super::head;
use super::pressure;
use super::queue::{self, Queue};
use super::request::{self, Ask};
use crate::cache::core::Core;
use crate::cache::{dtor, registry, service};
use crate::lock::{GlobalMutex, Mutex};
use crate::percpu::{Cpu, Section};
use crate::sys;
use crate::trace;

/// Waits until every free that was queued to `core` before the call has come back.
///
/// Returns at once, without a grace period, when none is pending.
///
/// Context: Process context, may sleep. Not from a destructor of the same cache.
pub(crate) fn cache(core: &Core) {
    let pending = core.pending();
    let _traced = trace::Barrier::of(Some(core), pending);
    if pending == 0 || dtor::is_caller(core) {
        return;
    }
    // SAFETY: The core is alive, and so is its mutex.
    let _one = unsafe { Mutex::lock(core.barrier_mutex()) };
    request::all_cpus(Ask::Seal(core));
    // A slab's bits may already wait for an older grace period, and newer ones behind them: the
    // latter can only be promoted when the former are done, and need a second one.
    let deferred = service::promote(core);
    wait_for_readers();
    service::collect(core);
    drain(core);
    // A freer with the token may only have pushed its slab since: that was not promoted above,
    // but is there now, for it had preemption off before the cookie was taken. A worker may even
    // have promoted it meanwhile, with a cookie of its own, which is as good as over then.
    if deferred || service::has_waiting(core) {
        service::promote(core);
        wait_for_readers();
        service::collect(core);
    }
    core.domain.wait_claims();
}

/// Waits for a grace period from now on. Somebody waits for this caller, as a rule a module that
/// goes, and the one that runs has begun too early: so it is expedited, at most once in
/// `expedite_ms`, and not where the system says that none is to be.
///
/// Context: Process context, may sleep.
fn wait_for_readers() {
    let mut cookie = Cookie::now();
    pressure::hurry(&mut cookie);
    cookie.wait();
}

/// [`cache`] for each cache that `each` calls its argument with: they share a grace period.
///
/// Context: Process context, may sleep. Not from a destructor of any of them.
pub(crate) fn several(each: impl Fn(&mut dyn FnMut(&Core))) {
    let mut busy = 0;
    each(&mut |core| busy += u32::from(core.pending() != 0 && !dtor::is_caller(core)));
    if busy == 0 {
        return;
    }
    let mut deferred = false;
    each(&mut |core| {
        request::all_cpus(Ask::Seal(core));
        deferred |= service::promote(core);
    });
    wait_for_readers();
    each(&mut |core| {
        cache_ripe(core);
        // As in `cache`.
        deferred |= !dtor::runs_here(core) && service::has_waiting(core);
    });
    if deferred {
        each(&mut |core| {
            service::promote(core);
        });
        wait_for_readers();
        each(&mut service::collect);
    }
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
    // Not those that are sealed, and ripen, while this is at work: whoever queues faster than it
    // reclaims would keep it here.
    // SAFETY: The queue's domain is alive, so the queue is.
    let mut left = unsafe { Queue::sealed(q, cpu) };
    while left > 0 {
        // SAFETY: As above.
        let Some((claimed, n)) = (unsafe { Queue::claim_ripe(q, cpu, left) }) else {
            break;
        };
        doorbell::reclaim(claimed);
        left -= n;
    }
}

/// Waits for every pending free of every kind that was queued before the call.
///
/// Context: Process context, may sleep. Not from a destructor.
pub(crate) fn everything() {
    let (into, out) = foreign_in_out();
    let mut pending = into - out;
    registry::for_each(|core| pending += core.pending());
    let _traced = trace::Barrier::of(None, pending);
    if pending == 0 {
        return;
    }
    // Pointers in slots go to the queues first, those that a worker has in hand as well.
    head::move_slots();
    wait_claims(&head::SLOTTED);
    request::all_cpus(Ask::SealAll);
    let linked = head::take();
    let mut deferred = false;
    registry::for_each(|core| {
        // A destructor that calls this does not wait for its own cache, which would be for ever.
        if !dtor::is_caller(core) {
            deferred |= service::promote(core);
        }
    });
    wait_for_readers();
    head::free(linked);
    wait_claims(&head::LINKED);
    for (index, domain) in FOREIGN.iter().enumerate() {
        for cpu in Cpu::possible() {
            drain_queue(cpu.channel(index), cpu);
        }
        wait_claims(domain);
    }
    // What was sealed and promoted above is ripe now.
    registry::for_each(|core| {
        cache_ripe(core);
        // As in `cache`.
        deferred |= !dtor::runs_here(core) && service::has_waiting(core);
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
        wait_for_readers();
        others(service::collect);
    }
}

/// Waits for what others have in hand of a domain that is not a cache's.
fn wait_claims(domain: &Domain) {
    let _one = GlobalMutex::lock(sys::CHANNEL_BARRIER);
    domain.wait_claims();
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
        queue::close(section, cpu, arm, true);
    }
    registry::for_each(|core| {
        let _offline = GlobalMutex::lock(sys::OFFLINE);
        let (section, _) = Section::open_task();
        // SAFETY: The CPU is dead and the offline mutex held: its share is the caller's.
        let arm = unsafe { core.detach(&section, cpu) };
        queue::close(section, cpu, arm, true);
    });
    registry::for_each(service::flush_detached);
}

/// Others' pointers in and out.
pub(crate) fn foreign_in_out() -> (u64, u64) {
    // A pointer that moves from a slot to a queue is counted in there before it is counted out
    // here, so slots come first; it went in once.
    let (into, out) = head::SLOTTED.in_out_alone();
    let in_slots = into - out;
    let (into, out) = (0..CHANNELS)
        .map(foreign::in_out)
        .fold(head::LINKED.in_out_alone(), |a, b| (a.0 + b.0, a.1 + b.1));
    (into + in_slots, out)
}
