// SPDX-License-Identifier: GPL-2.0

//! What makes batches move on by themselves: a seal timer, a doorbell and a worker per CPU.
//!
//! - The *seal timer* bounds how long an object waits in an open batch. It is armed when a CPU's
//!   first batch opens, runs on that CPU, and seals what is older than `seal_ms`.
//! - The *doorbell* is one outstanding `call_rcu` per CPU. When it comes back, a grace period has
//!   passed since it was rung, and the *worker* looks for ripe batches.
//! - A batch that is sealed while the doorbell rings may need the grace period after that one. It
//!   is asked for at once, so that the two follow each other without a gap; and as a doorbell that
//!   is only rung again when the second one has begun would wait for a third, the timer *polls*
//!   as long as anything is sealed, from tick to tick at first, and has the worker come.
//! - A grace period mostly ends, and the next one begins, right after a tick, which brings its last
//!   quiescent state: just when the timer has sealed, and polled in vain. A timer that is armed at
//!   a tick may miss the next one, too. Where ticks are far apart, a high-resolution timer
//!   *glances*: shortly before a tick, by which something open will have to be sealed, it seals
//!   that; shortly after a tick it polls, and an eighth of a tick later, and a quarter after that;
//!   and so it does where so much is sealed that a grace period is to be expedited.
//! - The *kick* is an irq_work: contexts that must not arm any of these leave that to it.

use super::barrier;
use super::cookie::Cookie;
use super::foreign;
use super::pressure;
use super::queue::{self, Queue};
use super::request;
use crate::cache::core::Core;
use crate::cache::service;
use crate::percpu::{
    self, Cpu, SealedList, Section, BELL, GLANCE, PERIOD, POLL, SEAL_EARLY, SEAL_OLD, SOON, TIMER,
    WORK,
};
use crate::sys::{self, param, Param};
use crate::trace;
use crate::word::full_barrier;
use core::ptr::null_mut;
use kernel::sync::atomic::{Atomic, Full, Relaxed};

/// How often the timer looks for ripe batches, in vain, before it takes a tick more.
const POLLS_EACH: usize = 8;
/// Where that ends: polls that are counted.
const POLLS_MOST: usize = 100 * POLLS_EACH;
/// Glances between two ticks.
const GLANCES: u32 = 3;

/// Set once the module is on its way out: nothing is armed any more.
static STOPPING: Atomic<bool> = Atomic::new(false);

/// Doorbells rung since the module was loaded.
pub(crate) static BELLS: Atomic<u64> = Atomic::new(0);

/// The seal time in jiffies, at least one.
pub(crate) fn seal_jiffies() -> usize {
    // SAFETY: May be called in any context.
    unsafe { sys::gs_sys_ticks_within(param(Param::SealMs)) as usize }
}

/// Ticks until the timer of `cpu` is to fire for what `arm` names.
pub(crate) fn delay(cpu: &Cpu, arm: usize) -> usize {
    match arm & POLL {
        0 => seal_in(cpu),
        // Never longer than a batch that opens meanwhile may stay open.
        _ => (1 + cpu.polls.load(Relaxed) / POLLS_EACH).min(seal_jiffies()),
    }
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
    // Pairs with the barrier in `gs_rs_bell`.
    if !cpu.bell_armed.xchg(true, Full) {
        BELLS.fetch_add(1, Relaxed);
        // SAFETY: The head is free, as 'armed' was.
        unsafe { sys::gs_sys_bell_ring(cpu.id) };
    }
}

/// Has the grace period that a batch needs begin as soon as it can.
///
/// Context: as for [`ring`].
pub(crate) fn start_period() {
    if !STOPPING.load(Relaxed) {
        Cookie::start();
    }
}

/// Has `cpu` look between two ticks, as `arm` says, if it is this one.
///
/// Context: any that may take a timer base's lock, with preemption off.
pub(crate) fn glance(cpu: &Cpu, arm: usize) {
    // SAFETY: May be called in any context.
    if STOPPING.load(Relaxed) || unsafe { sys::gs_sys_this_cpu() } != cpu.id {
        return;
    }
    let early = if arm & TIMER != 0 && !cpu.early.xchg(true, Relaxed) {
        seal_in(cpu)
    } else {
        0
    };
    let look = if arm & SOON != 0 {
        1
    } else if arm & GLANCE != 0 {
        (cpu.glances.load(Relaxed) % GLANCES) as i32
    } else {
        -1
    };
    // SAFETY: The timer is there as long as nothing has stopped, and is this CPU's.
    unsafe { sys::gs_sys_glance_arm(cpu.id, early, look) };
}

/// Ticks until something has to be sealed.
fn seal_in(cpu: &Cpu) -> usize {
    cpu.seal_in.load(Relaxed).min(seal_jiffies())
}

/// Has the worker of `cpu` come.
///
/// Context: any that may queue work.
pub(crate) fn call_worker(cpu: &Cpu) {
    // SAFETY: The workqueue is there as long as timers can come.
    unsafe { sys::gs_sys_reclaim_queue(cpu.id) };
}

/// The sum of `f` over the queues of a list.
fn sum(sealed: &SealedList, mut f: impl FnMut(*mut Queue) -> usize) -> usize {
    let (mut q, mut n) = (sealed.front(), 0);
    while !q.is_null() {
        n += f(q);
        // SAFETY: A queue on the list is alive; its owner takes the list's lock to empty it.
        q = unsafe { sealed.next(q) };
    }
    n
}

/// Looks whether the worker has something to do, and whether to look again. A glance does not
/// count among those that were in vain.
fn poll(section: &Section, cpu: &'static Cpu, glance: bool) -> usize {
    let mut ripe = false;
    // SAFETY: The queue is on the list, whose lock is held.
    let batches = sum(&cpu.sealed.lock(section), |q| unsafe {
        ripe |= Queue::ripe(q);
        Queue::weight(q)
    });
    // A grace period that takes long is looked for less often.
    let polls = if batches == 0 || ripe {
        0
    } else {
        (cpu.polls.load(Relaxed) + usize::from(!glance)).min(POLLS_MOST)
    };
    cpu.polls.store(polls, Relaxed);
    let glances = if glance {
        cpu.glances.load(Relaxed).saturating_add(1)
    } else {
        0
    };
    cpu.glances.store(glances, Relaxed);
    match batches {
        0 => 0,
        n if ripe || pressure::too_many(n) => POLL | WORK,
        _ if polls <= POLLS_EACH => POLL | GLANCE,
        _ => POLL,
    }
}

/// Takes down what the CPU has open.
pub(crate) fn look_open(_section: &Section, cpu: &Cpu) {
    // SAFETY: May be called in any context.
    let now = unsafe { sys::gs_sys_jiffies() } as usize;
    let (mut batches, mut objects, mut age) = (0, 0, 0);
    // SAFETY: The list and its queues' open batches belong to this CPU's section, or to whoever
    // acts for an offline CPU.
    unsafe {
        let open = &mut *cpu.open.get();
        let mut q = open.front();
        while !q.is_null() {
            let len = (*(*q).open).len();
            if len != 0 {
                batches += 1;
                objects += u64::from(len);
                age = age.max((*q).age(now));
            }
            q = open.next(q);
        }
    }
    cpu.seen.batches.store(batches, Relaxed);
    cpu.seen.objects.store(objects, Relaxed);
    cpu.seen.age.store(age, Relaxed);
}

/// What a CPU has sealed.
pub(crate) struct Sealed {
    /// Batches.
    pub(crate) batches: usize,
    /// Those of them that are ripe.
    pub(crate) ripe: usize,
    /// How long ago the first object came, in jiffies.
    pub(crate) age: usize,
    /// Grace periods that the CPU's batches have waited for, or wait for.
    pub(crate) periods: u64,
}

/// Takes down what `cpu` has sealed. Process context.
pub(crate) fn look_sealed(cpu: &Cpu) -> Sealed {
    let (section, _) = Section::open_task();
    let sealed = cpu.sealed.lock(&section);
    // SAFETY: May be called in any context.
    let now = unsafe { sys::gs_sys_jiffies() } as usize;
    // SAFETY: They belong to the lock, which is held.
    let eras = unsafe { &*cpu.eras.get() };
    let mut all = Sealed {
        batches: 0,
        ripe: 0,
        age: 0,
        periods: eras.count(),
    };
    // SAFETY: The queue is on the list, whose lock is held.
    all.batches = sum(&sealed, |q| unsafe {
        all.ripe += Queue::count_ripe(q);
        if let Some(cookie) = Queue::oldest(q) {
            all.age = all.age.max(now.wrapping_sub(eras.opened(cookie)));
        }
        Queue::len(q)
    });
    all
}

/// Seals what has been open for `seal_ms`, or will have been in `ahead` ticks, and arms the timer
/// for what has not.
fn seal_old(section: &Section, cpu: &'static Cpu, ahead: usize) -> usize {
    // SAFETY: May be called in any context.
    let now = unsafe { sys::gs_sys_jiffies() } as usize;
    let (limit, mut left, mut arm) = (seal_jiffies(), usize::MAX, 0);
    // SAFETY: The list and its queues' open batches belong to this CPU's section.
    unsafe {
        let open = &mut *cpu.open.get();
        let mut q = open.front();
        while !q.is_null() {
            let next = open.next(q);
            if (*(*q).open).len() == 0 {
                open.remove(q);
            } else if (*q).age(now) + ahead >= limit {
                arm |= Queue::seal(q, cpu, section, true);
                open.remove(q);
            } else {
                left = left.min(limit - (*q).age(now));
                arm |= TIMER;
            }
            q = next;
        }
    }
    cpu.seal_in.store(left, Relaxed);
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
    let mut arm = todo & (TIMER | BELL | POLL | PERIOD);
    if todo & SEAL_OLD != 0 {
        arm |= seal_old(&section, cpu, 0);
        arm |= poll(&section, cpu, false);
    } else if todo & (GLANCE | SOON) != 0 {
        if todo & SEAL_EARLY != 0 {
            arm |= seal_old(&section, cpu, 1);
        }
        arm |= poll(&section, cpu, true);
    }
    arm |= request::serve(&section, cpu);
    let wanted = section.close();
    if wanted {
        // SAFETY: Preemption is off; the caller comes again.
        unsafe { sys::gs_sys_unwant() };
    }
    queue::arm(cpu, arm, true);
    percpu::preempt_enable();
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
    // SAFETY: Preemption is off.
    unsafe { sys::gs_sys_unwant() };
    // SAFETY: As above.
    if unsafe { sys::gs_sys_irqs_disabled() } {
        // SAFETY: irq_work may be queued in any context.
        unsafe { sys::gs_sys_kick() };
        return;
    }
    while let Some((section, cpu)) = Section::open_cpu() {
        if !serve_in(section, cpu) {
            return;
        }
    }
}

/// In an interrupt: serves now, or asks the section that was interrupted to.
fn serve_or_want() {
    // SAFETY: What was wanted before is served now; what an interrupt wants meanwhile is looked at
    // when the section has closed. It may have been asked of a section that has just closed and
    // not come to it yet, or of one that is still open, which is asked again below.
    unsafe { sys::gs_sys_unwant() };
    while let Some((section, cpu)) = Section::open_cpu() {
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
extern "C" fn gs_rs_kick(id: u32) {
    if STOPPING.load(Relaxed) {
        return;
    }
    crate::cache::core::retire_left();
    crate::cache::children::send_workers();
    if service::attention_wanted() {
        // SAFETY: An irq_work handler may queue work.
        unsafe { sys::gs_sys_attend_queue() };
    }
    if service::trims_wanted() {
        // SAFETY: As above.
        unsafe { sys::gs_sys_trims_queue() };
    }
    if Cpu::get(id).heads.wanted() {
        // SAFETY: As above.
        unsafe { sys::gs_sys_heads_queue() };
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
            queue::arm(cpu, TIMER | POLL, true);
        } else {
            // What is sealed there has nobody else to wait for it.
            ring(cpu);
        }
        return;
    }
    cpu.todo.fetch_or(SEAL_OLD);
    serve_or_want();
}

/// `enum gs_glance` of the shim.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[expect(dead_code, reason = "the shim makes them")]
enum Early {
    None = 0,
    Due = 1,
    Later = 2,
}

/// The high-resolution timer of `cpu`.
#[no_mangle]
extern "C" fn gs_rs_glance(id: u32, early: Early) {
    let cpu = Cpu::get(id);
    // SAFETY: May be called in any context.
    let here = unsafe { sys::gs_sys_this_cpu() } == id;
    if !here || early != Early::Later {
        cpu.early.store(false, Relaxed);
    }
    // A CPU that dies leaves its timers to another one, whose tick is soon enough.
    if STOPPING.load(Relaxed) || !here {
        return;
    }
    let seal = if early == Early::Due { SEAL_EARLY } else { 0 };
    cpu.todo.fetch_or(GLANCE | seal);
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
    let (mut turns, batches) = {
        let (section, _) = Section::open_task();
        let sealed = cpu.sealed.lock(&section);
        // SAFETY: The queue is on the list, whose lock is held.
        (sealed.len(), sum(&sealed, |q| unsafe { Queue::weight(q) }))
    };
    pressure::relieve(batches);
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
                    let (batches, _) = Queue::pop_ripe_many(q, &mut sealed, queue::CLAIM_MOST);
                    // More of the same queue may be ripe.
                    turns += usize::from((*q).sealed_link.is_linked());
                    let domain = (*q).domain();
                    claimed = Some(queue::Claimed {
                        batches,
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
    // A timer that is armed looks for them, or rings if it cannot. A CPU that has gone may have
    // taken it along.
    if unripe && !(cpu.timer_armed.load(Relaxed) && cpu.online()) {
        ring(cpu);
    }
}

/// Gives the objects of claimed batches back, and ends the claim. Process context.
pub(crate) fn reclaim(c: queue::Claimed) {
    // SAFETY: The claim keeps the domain, and the batch is the claim's.
    unsafe {
        let mut batch = c.batches;
        while !batch.is_null() {
            let next = core::mem::replace(&mut (*batch).next, null_mut());
            trace::reclaim(&*c.domain, (*batch).len());
            match Core::of_domain(c.domain) {
                Some(core) => service::reclaim_batch(&*core, batch),
                None => foreign::reclaim_batch(&*c.domain, batch),
            }
            sys::gs_sys_cond_resched();
            batch = next;
        }
        (*c.domain).unclaim(c.claim);
    }
}

/// The seal time has been changed: no batch stays open for as long as it was. Process context.
#[no_mangle]
extern "C" fn gs_rs_seal_all() {
    request::all_cpus(request::Ask::SealAll);
}

/// A CPU is gone for good: acts for it.
#[no_mangle]
extern "C" fn gs_rs_cpu_dead(id: u32) {
    barrier::cpu_dead(Cpu::get(id));
}
