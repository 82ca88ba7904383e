// SPDX-License-Identifier: GPL-2.0

//! Others' pointers for which nothing can be had, and nothing may be waited for.
//!
//! An object with a head of its own is linked by it, whatever the context: each CPU has a list
//! that takes one exchange to push to, NMI included. A pointer without a head finds one of a
//! few *slots* of the CPU. The first one on a list has a worker come, which moves slots to pages,
//! waiting where it must, and frees a list after a grace period.

use super::cookie::Cookie;
use super::domain::{Domain, Kind};
use super::epoch::Claim;
use super::foreign;
use super::packed;
use super::steps::{self, Step};
use super::twice;
use crate::percpu::{self, Cpu, NoPreempt};
use crate::sys;
use core::ptr::null_mut;
use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed};

/// Slots for pointers without a head, per CPU.
const SLOTS: usize = 32;

/// Linked objects, counted.
pub(crate) static LINKED: Domain = Domain::new(Kind::Linked);
/// Pointers in slots, counted.
pub(crate) static SLOTTED: Domain = Domain::new(Kind::Linked);

/// What a CPU has waiting here.
pub(crate) struct Heads {
    /// The newest object, packed; 0 for none.
    list: Atomic<usize>,
    slots: [Atomic<*mut u8>; SLOTS],
}

impl Heads {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self {
            list: Atomic::new(0),
            slots: [const { Atomic::new(null_mut()) }; SLOTS],
        }
    }

    /// Whether a worker has something to do here.
    pub(crate) fn wanted(&self) -> bool {
        self.list.load(Relaxed) != 0 || self.slots.iter().any(|s| !s.load(Relaxed).is_null())
    }
}

/// Has the worker come.
///
/// Context: Any context, NMI included, with preemption off.
fn call_worker() {
    // SAFETY: irq_work may be queued in any context, work where locks may be waited for.
    unsafe {
        if percpu::may_spin() {
            sys::gs_sys_heads_queue();
        } else {
            sys::gs_sys_kick();
        }
    }
}

/// Links the object at `p` by its head, `offset` bytes in, to be freed after a grace period.
///
/// Context: Any context, NMI included. Needs no memory, cannot fail.
///
/// # Safety
///
/// `p` is the caller's to free, and the word at the offset is the head.
pub(crate) unsafe fn link(p: *mut u8, offset: usize) {
    steps::count(Step::Linked);
    // Counted before it is published.
    LINKED.count_in(1);
    let _here = NoPreempt::new();
    // SAFETY: Preemption is off.
    let heads = &Cpu::get(unsafe { sys::gs_sys_this_cpu() }).heads;
    // SAFETY: By the function's requirement.
    let next: *mut usize = unsafe { p.add(offset) }.cast();
    // The word has no room for a tag.
    // SAFETY: The address is only computed.
    let p: *mut u8 = unsafe { sys::gs_sys_untagged(p.cast()).cast() };
    let mut old = heads.list.load(Relaxed);
    loop {
        // SAFETY: Readers of the object do not look at its head; nobody else writes to it.
        unsafe { next.write(old) };
        // Pairs with the acquire in `take`: whoever takes the list sees the links.
        match heads
            .list
            .cmpxchg(old, packed::pack(p as usize, offset), Full)
        {
            Ok(_) => break,
            Err(now) => old = now,
        }
    }
    if old == 0 {
        call_worker();
    }
}

/// Finds a slot for `p`; false if all are taken.
///
/// Context: Any context, NMI included.
pub(crate) fn slot(p: *mut u8) -> bool {
    SLOTTED.count_in(1);
    let _here = NoPreempt::new();
    // SAFETY: Preemption is off.
    let heads = &Cpu::get(unsafe { sys::gs_sys_this_cpu() }).heads;
    // Pairs with the exchange in `move_slots`.
    let found = heads
        .slots
        .iter()
        .any(|s| s.load(Relaxed).is_null() && s.cmpxchg(null_mut(), p, Full).is_ok());
    if found {
        steps::count(Step::Slot);
        call_worker();
    } else {
        SLOTTED.count_out(1);
    }
    found
}

/// Moves the pointers in all slots to where they can wait. Process context, may sleep.
pub(crate) fn move_slots() {
    let claim = SLOTTED.claim();
    for s in Cpu::possible().flat_map(|cpu| &cpu.heads.slots) {
        if s.load(Relaxed).is_null() {
            continue;
        }
        // Pairs with the exchange in `slot`.
        let p = s.xchg(null_mut(), Full);
        if !p.is_null() {
            // SAFETY: The slot's pointer was given to us to free. It is counted there before it
            // is counted out here.
            unsafe { foreign::queue_sleeping(p) };
            SLOTTED.count_out(1);
        }
    }
    SLOTTED.unclaim(claim);
}

/// Linked objects that somebody has taken, with the claim on them.
pub(crate) struct Taken {
    /// One list for each CPU that had one, as they are chained here.
    first: usize,
    claim: Claim,
}

/// Takes the lists of all CPUs; to be given to [`free`]. Process context.
pub(crate) fn take() -> Taken {
    let claim = LINKED.claim();
    let mut first = 0;
    for cpu in Cpu::possible() {
        if cpu.heads.list.load(Relaxed) == 0 {
            continue;
        }
        // Pairs with the full ordering in `link`.
        let list = cpu.heads.list.xchg(0, Acquire);
        if list == 0 {
            continue;
        }
        if first != 0 {
            // SAFETY: The objects taken are ours, and their heads link them.
            unsafe {
                let mut last = list;
                while *link_of(last) != 0 {
                    last = *link_of(last);
                }
                *link_of(last) = first;
            }
        }
        first = list;
    }
    Taken { first, claim }
}

/// The head of a linked object.
///
/// # Safety
///
/// `word` is from a list that the caller has taken.
unsafe fn link_of(word: usize) -> *mut usize {
    let (addr, offset) = packed::unpack(word);
    (addr + offset) as *mut usize
}

impl Taken {
    /// Whether nothing was there.
    pub(crate) fn is_empty(&self) -> bool {
        self.first == 0
    }
}

/// Frees what was taken, once a grace period has passed since. Process context, may sleep.
pub(crate) fn free(taken: Taken) {
    let mut word = taken.first;
    let mut n = 0;
    while word != 0 {
        // SAFETY: The objects are ours, and no reader is left.
        unsafe {
            let next = *link_of(word);
            twice::forget(packed::unpack(word).0 as *mut u8);
            sys::gs_sys_kvfree(packed::unpack(word).0 as *const _);
            word = next;
            sys::gs_sys_cond_resched();
        }
        n += 1;
    }
    if n != 0 {
        LINKED.count_out(n);
    }
    LINKED.unclaim(taken.claim);
}

/// The worker. Process context.
#[no_mangle]
extern "C" fn gs_rs_heads() {
    move_slots();
    let taken = take();
    if !taken.is_empty() {
        let mut cookie = Cookie::now();
        super::pressure::hurry(&mut cookie);
        cookie.wait();
    }
    free(taken);
}
