// SPDX-License-Identifier: GPL-2.0

//! What makes batches move on by themselves: a seal timer, a doorbell and a worker per CPU.
//!
//! - The *seal timer* bounds how long an object waits in an open batch. It is armed when a CPU's
//!   first batch opens, runs on that CPU, and seals what is older than `seal_ms`.
//! - The *doorbell* is one outstanding `call_rcu` per CPU. When it comes back, a grace period has
//!   passed since it was rung, and the *worker* looks for ripe batches.
//! - The *kick* is an irq_work: contexts that must not arm any of these leave that to it.

use super::barrier;
use super::foreign;
use super::queue::{self, Queue};
use super::request;
use crate::cache::core::Core;
use crate::cache::service;
use crate::percpu::{Cpu, Section, BELL, SEAL_OLD, TIMER};
use crate::sys;
use crate::word::full_barrier;
use core::ptr::null_mut;
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// Longest time in an open batch, in milliseconds.
const SEAL_MS: u32 = 10;

/// Set once the module is on its way out: nothing is armed any more.
static STOPPING: Atomic<bool> = Atomic::new(false);

/// Doorbells rung since the module was loaded.
pub(crate) static BELLS: Atomic<u64> = Atomic::new(0);

/// The seal time in jiffies, at least one.
pub(crate) fn seal_jiffies() -> usize {
    // SAFETY: May be called in any context.
    unsafe { sys::gs_sys_msecs_to_jiffies(SEAL_MS) as usize }.max(1)
}

/// From here on nothing is armed: the last user has gone.
pub(crate) fn stop() {
    STOPPING.store(true, Relaxed);
}

/// Rings the doorbell of `cpu` unless it is ringing.
///
/// Context: any that may call `call_rcu`.
pub(crate) fn ring(cpu: &Cpu) {
    if STOPPING.load(Relaxed) {
        return;
    }
    if !cpu.bell_armed.xchg(true, Full) {
        BELLS.fetch_add(1, Relaxed);
        // SAFETY: The head is free, as 'armed' was.
        unsafe { sys::gs_sys_bell_ring(cpu.id) };
    }
}

/// Seals what has been open for `seal_ms`, and arms the timer for what has not.
fn seal_old(section: &Section, cpu: &'static Cpu) -> usize {
    // SAFETY: May be called in any context.
    let now = unsafe { sys::gs_sys_jiffies() } as usize;
    let (limit, mut arm) = (seal_jiffies(), 0);
    // SAFETY: The list and its queues' open batches belong to this CPU's section.
    unsafe {
        let open = &mut *cpu.open.get();
        let mut q = open.front();
        while !q.is_null() {
            let next = open.next(q);
            if (*(*q).open).len() == 0 {
                open.remove(q);
            } else if (*q).age(now) >= limit {
                arm |= Queue::seal(q, cpu, section, true);
                open.remove(q);
            } else {
                arm |= TIMER;
            }
            q = next;
        }
    }
    arm
}

/// Seals every open batch of the CPU.
pub(crate) fn seal_all(section: &Section, cpu: &Cpu) -> usize {
    let mut arm = 0;
    // SAFETY: The list and its queues' open batches belong to this CPU's section, or to whoever
    // acts for an offline CPU.
    unsafe {
        let open = &mut *cpu.open.get();
        loop {
            let q = open.pop_front();
            if q.is_null() {
                return arm;
            }
            arm |= Queue::seal(q, cpu, section, true);
        }
    }
}

/// Does all that this CPU was asked for. Interrupts on or off, but not by a free function.
fn serve_in(section: Section, cpu: &'static Cpu) -> bool {
    let todo = cpu.todo.swap(0);
    let mut arm = todo & (TIMER | BELL);
    if todo & SEAL_OLD != 0 {
        arm |= seal_old(&section, cpu);
    }
    arm |= request::serve(&section, cpu);
    let wanted = section.close();
    queue::arm(cpu, arm, true);
    wanted
}

/// A section has closed in which an interrupt asked for service. Preemption is off.
#[no_mangle]
extern "C" fn gs_rs_serve(_cpu: u32) {
    // SAFETY: May be called in any context.
    if unsafe { sys::gs_sys_in_nmi() } {
        // The section that was interrupted closes later, and looks again.
        return;
    }
    // SAFETY: As above.
    if unsafe { sys::gs_sys_irqs_disabled() } {
        // SAFETY: irq_work may be queued in any context.
        unsafe { sys::gs_sys_kick() };
        return;
    }
    loop {
        // SAFETY: Preemption is off.
        unsafe { sys::gs_sys_unwant() };
        let Some((section, cpu)) = Section::open_cpu() else {
            return;
        };
        if !serve_in(section, cpu) {
            return;
        }
    }
}

/// In an interrupt: serves now, or asks the section that was interrupted to.
fn serve_or_want() {
    while let Some((section, cpu)) = Section::open_cpu() {
        // SAFETY: What was wanted before is served now; what an interrupt wants meanwhile is
        // looked at when the section has closed.
        unsafe { sys::gs_sys_unwant() };
        if !serve_in(section, cpu) {
            return;
        }
    }
    // SAFETY: An interrupt handler is not preempted.
    unsafe { sys::gs_sys_want() }
}

/// A request from another CPU.
#[no_mangle]
extern "C" fn gs_rs_ipi(_arg: *mut kernel::ffi::c_void) {
    serve_or_want();
}

/// The irq_work of this CPU.
#[no_mangle]
extern "C" fn gs_rs_kick(_cpu: u32) {
    if STOPPING.load(Relaxed) {
        return;
    }
    crate::cache::core::retire_left();
    if service::attention_wanted() {
        // SAFETY: An irq_work handler may queue work.
        unsafe { sys::gs_sys_attend_queue() };
    }
    serve_or_want();
}

/// The seal timer of `cpu`.
#[no_mangle]
extern "C" fn gs_rs_seal_timer(id: u32) {
    let cpu = Cpu::get(id);
    cpu.timer_armed.store(false, Relaxed);
    if STOPPING.load(Relaxed) {
        return;
    }
    // SAFETY: May be called in any context.
    if unsafe { sys::gs_sys_this_cpu() } != id {
        // Its CPU died, when everything open there was sealed. It may be back by now.
        if cpu.online() {
            queue::arm(cpu, TIMER, true);
        }
        return;
    }
    cpu.todo.fetch_or(SEAL_OLD);
    serve_or_want();
}

/// The doorbell of `cpu`: an RCU callback, on whichever CPU.
#[no_mangle]
extern "C" fn gs_rs_bell(id: u32) {
    let cpu = Cpu::get(id);
    cpu.bell_armed.store(false, Relaxed);
    // A seal that saw 'armed' put its batch on the list before: pairs with the barrier in
    // `queue::arm`.
    full_barrier();
    // SAFETY: The workqueue is there as long as callbacks can come.
    unsafe { sys::gs_sys_reclaim_queue(id) };
}

/// The worker of `cpu`: reclaims ripe batches, and rings again for the others.
#[no_mangle]
extern "C" fn gs_rs_reclaim(id: u32) {
    let cpu = Cpu::get(id);
    let mut turns = {
        let (section, _) = Section::open_task();
        let sealed = cpu.sealed.lock(&section);
        sealed.len()
    };
    let mut unripe = false;
    while turns > 0 {
        turns -= 1;
        let (mut handed, mut claimed) = (null_mut::<Core>(), None);
        {
            let (section, _) = Section::open_task();
            let mut sealed = cpu.sealed.lock(&section);
            let q = sealed.pop_front();
            if q.is_null() {
                break;
            }
            // SAFETY: A queue on the list is alive; its owner takes this lock to empty it.
            unsafe {
                sealed.push_back(q);
                if !Queue::ripe(q) {
                    unripe = true;
                } else if let Some(core) = Core::with_hooks(&*q) {
                    // Its destructors may sleep, and must hold up nobody else.
                    if (*core).get() {
                        handed = core;
                    }
                } else {
                    let batch = Queue::pop_ripe(q, &mut sealed);
                    // More of the same queue may be ripe.
                    turns += (*q).sealed_link.is_linked() as usize;
                    let domain = (*q).domain();
                    claimed = Some(queue::Claimed {
                        batch,
                        domain,
                        claim: (*domain).claim(),
                    });
                }
            }
        }
        if !handed.is_null() {
            // SAFETY: A reference was taken above, and goes to the work.
            unsafe { Core::queue_work(handed) };
        }
        if let Some(c) = claimed {
            reclaim(c);
        }
        // SAFETY: Process context.
        unsafe { sys::gs_sys_cond_resched() };
    }
    if unripe {
        ring(cpu);
    }
}

/// Gives a claimed batch's objects back, and ends the claim. Process context.
pub(crate) fn reclaim(c: queue::Claimed) {
    // SAFETY: The claim keeps the domain, and the batch is the claim's.
    unsafe {
        match Core::of_domain(c.domain) {
            Some(core) => service::reclaim_batch(&*core, c.batch),
            None => foreign::reclaim_batch(&*c.domain, c.batch),
        }
        (*c.domain).unclaim(c.claim);
    }
}

/// A CPU is gone for good: acts for it.
#[no_mangle]
extern "C" fn gs_rs_cpu_dead(id: u32) {
    barrier::cpu_dead(Cpu::get(id));
}
