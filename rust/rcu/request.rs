// SPDX-License-Identifier: GPL-2.0

//! Requests to every CPU, or those that use a cache, each of which is acknowledged.
//!
//! An interprocessor interrupt that meets a busy section has done nothing yet; the section does it
//! when it closes. So whoever asks waits not for the interrupt but for the acknowledgement. For a
//! CPU that is offline the asker acts itself.

use super::doorbell;
use super::queue::{self, Queue};
use crate::cache::core::Core;
use crate::list::{Link, List};
use crate::lock::{Class, GlobalMutex, RawLock};
use crate::percpu::{Cpu, Section};
use crate::sys;
use crate::word::full_barrier;
use core::mem::offset_of;
use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed, Release};

/// What a CPU is to do.
#[derive(Clone, Copy)]
pub(crate) enum Ask {
    /// Seal every open batch.
    SealAll,
    /// Seal the open batch of one cache.
    Seal(*const Core),
    /// Hand over all sheaves of one cache, and seal its open batch.
    Detach(*const Core),
    /// Take down what is in open batches: [`crate::percpu::Seen`].
    Look,
    /// Add up the objects in the sheaves of one cache.
    Count(*const Core, *const Atomic<u64>),
}

struct Request {
    link: Link,
    number: u64,
    ask: Ask,
}

type Requests = List<Request, { offset_of!(Request, link) }>;

static REQUESTS: RawLock<Requests> = RawLock::new(List::new());
/// Number of the newest request.
static NEWEST: Atomic<u64> = Atomic::new(0);

/// Makes the list usable. Once.
pub(crate) fn init() {
    REQUESTS.init(Class::Requests);
}

/// Does everything that is asked of `cpu`; returns what is to be armed.
///
/// The section is that of `cpu`, or `cpu` is offline and the caller acts for it.
pub(crate) fn serve(section: &Section, cpu: &'static Cpu) -> usize {
    let acked = cpu.acked.load(Relaxed);
    if NEWEST.load(Relaxed) == acked {
        return 0;
    }
    let (mut arm, newest);
    {
        let list = REQUESTS.lock(section);
        newest = NEWEST.load(Relaxed);
        arm = 0;
        let mut r = list.front();
        while !r.is_null() {
            // SAFETY: A request is on the list for as long as its asker waits.
            unsafe {
                // Each is served once: another one's asker may still be waiting for other CPUs.
                if (*r).number > acked {
                    arm |= act((*r).ask, section, cpu);
                }
                r = list.next(r);
            }
        }
    }
    // Pairs with the acquire in `wait_ack`.
    cpu.acked.store(newest, Release);
    arm
}

fn act(ask: Ask, section: &Section, cpu: &'static Cpu) -> usize {
    // SAFETY: The asker keeps the cache alive, and this CPU's share of it is the section's.
    unsafe {
        match ask {
            Ask::SealAll => doorbell::seal_all(section, cpu),
            Ask::Seal(core) => {
                let q = &raw mut (*(*core).on_cpu(cpu.id)).queue;
                Queue::seal(q, cpu, section, true)
            }
            Ask::Detach(core) => (*core).detach(section, cpu),
            Ask::Look => {
                doorbell::look_open(section, cpu);
                0
            }
            Ask::Count(core, sum) => {
                (*sum).fetch_add((*(*core).on_cpu(cpu.id)).cached(), Relaxed);
                0
            }
        }
    }
}

/// Has every CPU do `ask`, and returns when all have.
///
/// Context: Process context, without the CPU hotplug lock. May sleep.
pub(crate) fn all_cpus(ask: Ask) {
    post(ask, None)
}

/// The same of those CPUs that may have something of `core`: of a cache that nobody uses, none.
///
/// A CPU that begins to use the cache meanwhile sees what was changed before this call, or is
/// asked: it first notes that it does and then looks, with a barrier between as there is here.
///
/// Context: as for [`all_cpus`].
pub(crate) fn users(core: &Core, ask: Ask) {
    // Pairs with the barrier in `Core::note_use`.
    full_barrier();
    let mut users = Cpu::possible().filter(|cpu| core.is_used_on(cpu.id));
    match (users.next(), users.next()) {
        (None, _) => {}
        (only, None) => post(ask, only),
        _ => post(ask, None),
    }
}

/// Has `only`, or every CPU, do `ask`.
fn post(ask: Ask, only: Option<&'static Cpu>) {
    let mut request = Request {
        link: Link::new(),
        number: 0,
        ask,
    };
    // SAFETY: Process context, the lock is not held.
    unsafe { sys::gs_sys_cpus_read_lock() };
    let number = {
        let (section, _) = Section::open_task();
        let mut list = REQUESTS.lock(&section);
        // The number is made and the request put on the list under the lock that `serve` takes;
        // its look without the lock comes after the interrupt below at the latest.
        request.number = NEWEST.fetch_add(1, Full) + 1;
        // SAFETY: `request` stays in place until it is removed below.
        unsafe { list.push_back(&mut request) };
        request.number
    };
    match only {
        // SAFETY: Process context, interrupts on, and the CPU stays online.
        Some(cpu) if cpu.online() => unsafe { sys::gs_sys_ipi(cpu.id) },
        Some(_) => {}
        // SAFETY: As above.
        None => unsafe { sys::gs_sys_ipi_all() },
    }
    let asked = |cpu: &&'static Cpu| only.is_none_or(|only| only.id == cpu.id);
    for cpu in Cpu::possible().filter(asked) {
        if cpu.online() {
            wait_ack(cpu, number);
        } else {
            let _offline = GlobalMutex::lock(sys::OFFLINE);
            for_offline(cpu);
        }
    }
    {
        let (section, _) = Section::open_task();
        // SAFETY: It was put on the list above.
        unsafe { REQUESTS.lock(&section).remove(&mut request) };
    }
    // SAFETY: Taken above.
    unsafe { sys::gs_sys_cpus_read_unlock() };
}

/// Serves `cpu`, which is offline and stays so, under the offline mutex.
fn for_offline(cpu: &'static Cpu) {
    let (section, _) = Section::open_task();
    let arm = serve(&section, cpu);
    // Only a bell can be due: nothing is left open there, and a bell needs no CPU of its own.
    queue::close(section, cpu, arm, true);
}

fn wait_ack(cpu: &Cpu, number: u64) {
    let mut spins = 0;
    // Pairs with the release in `serve`.
    while cpu.acked.load(Acquire) < number {
        // A section is a few hundred instructions, unless interrupts were off when it closed:
        // then the irq_work serves, at the next tick at worst.
        if spins < 1000 {
            spins += 1;
            // SAFETY: May be called in any context.
            unsafe { sys::gs_sys_cpu_relax() };
        } else {
            // SAFETY: Process context.
            unsafe { sys::gs_sys_sleep_tick() };
        }
    }
}
