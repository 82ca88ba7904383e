// SPDX-License-Identifier: GPL-2.0

//! A CPU's queue of deferred frees for one domain: an open batch, and sealed ones.
//!
//! `open`, its age and its place on the CPU's list of open queues belong to that CPU's section.
//! The sealed batches belong to the CPU's sealed lock, because the doorbell, a barrier or the
//! allocation path of the CPU itself may all come for them.

use super::batch::Fifo;
use super::cookie::Cookie;
use super::domain::Domain;
use super::epoch::Claim;
use super::pressure;
use super::sheaf::Sheaf;
use crate::inject;
use crate::list::Link;
use crate::percpu::{self, Counter, Cpu, SealedList, Section};
use crate::sys;
use crate::trace;
use crate::word::full_barrier;
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use kernel::sync::atomic::{Full, Relaxed};

/// A sheaf of objects that wait for a grace period, or could.
pub(crate) type Batch = Sheaf<Cookie>;

struct NullBatch(UnsafeCell<Batch>);

// SAFETY: The null batch has no room and no objects, so nobody ever writes to it.
unsafe impl Sync for NullBatch {}

static NULL_BATCH: NullBatch = NullBatch(UnsafeCell::new(Sheaf::null(Cookie::none())));

/// The batch without room that stands where there is none.
#[inline(always)]
pub(crate) fn null_batch() -> *mut Batch {
    NULL_BATCH.0.get()
}

/// Allocates an empty sheaf with room for `cap` objects, or null.
///
/// Context: as `gfp` allows; never in NMI or with interrupts off by a free function.
pub(crate) fn new_batch(cap: u32, gfp: sys::Gfp) -> *mut Batch {
    if inject::fails(inject::Point::Sheaf) {
        return null_mut();
    }
    allocate_batch(cap, gfp)
}

/// Allocates an empty batch with room for `cap` objects, or null.
///
/// Context: as for [`new_batch`].
pub(crate) fn allocate_batch(cap: u32, gfp: sys::Gfp) -> *mut Batch {
    // SAFETY: The memory is of the size that `init` asks for, or null.
    unsafe {
        let p = sys::gs_sys_kmalloc(Batch::bytes(cap), gfp);
        if p.is_null() {
            null_mut()
        } else {
            Batch::init(p.cast(), cap)
        }
    }
}

/// Frees a batch whose objects its owner has dealt with; the null batch is fine.
///
/// # Safety
///
/// The caller owns `batch`.
pub(crate) unsafe fn free_batch(batch: *mut Batch) {
    if batch != null_batch() {
        // SAFETY: `batch` came from `new_batch`.
        unsafe { sys::gs_sys_kfree(batch.cast()) }
    }
}

/// See the module.
#[repr(C)]
pub(crate) struct Queue {
    /// The batch that takes the next object, or the null batch.
    pub(crate) open: *mut Batch,
    /// Objects that ever went in here.
    pub(crate) queued: Counter,
    /// Objects that this CPU's allocations took back as they were.
    pub(crate) done: Counter,
    domain: *const Domain,
    /// When the open batch got its first object, in jiffies.
    opened: usize,
    /// Place on [`Cpu::open`].
    pub(crate) open_link: Link,
    /// Place on [`Cpu::sealed`].
    pub(crate) sealed_link: Link,
    fifo: Fifo<Cookie>,
    /// Batches sealed here.
    pub(crate) seals: Counter,
}

/// Most batches that are claimed at a time.
pub(crate) const CLAIM_MOST: usize = 32;

/// Batches that were claimed, linked by `next`, with their claim.
pub(crate) struct Claimed {
    pub(crate) batches: *mut Batch,
    pub(crate) domain: *const Domain,
    pub(crate) claim: Claim,
}

impl Queue {
    /// An empty queue of `domain`.
    pub(crate) const fn new(domain: *const Domain) -> Self {
        Self {
            open: NULL_BATCH.0.get(),
            queued: Counter::new(),
            done: Counter::new(),
            domain,
            opened: 0,
            open_link: Link::new(),
            sealed_link: Link::new(),
            fifo: Fifo::new(),
            seals: Counter::new(),
        }
    }

    /// The queue's domain.
    pub(crate) fn domain(&self) -> *const Domain {
        self.domain
    }

    /// Appends an object where this CPU's batch is neither empty nor about to be full.
    ///
    /// # Safety
    ///
    /// `place` is a queue in a per-CPU area, and this CPU's section is open.
    #[inline(always)]
    pub(crate) unsafe fn push_more(place: *mut Self, section: &Section, obj: *mut u8) -> bool {
        // SAFETY: The open batch belongs to the section.
        unsafe {
            if !Batch::push_more(section.load(&raw mut (*place).open), obj) {
                return false;
            }
            // A batch is published when it is sealed, which is in a later section: its objects
            // have all been counted by then, so that 'idle' is never seen too early.
            section.count(&raw mut (*place).queued);
        }
        true
    }

    /// Appends an object to an open batch that has room; returns what is to be armed.
    ///
    /// # Safety
    ///
    /// `this` must be a queue of `cpu`, whose section is open; the open batch must have room.
    pub(crate) unsafe fn push(
        this: *mut Self,
        cpu: &Cpu,
        section: &Section,
        obj: *mut u8,
        spin: bool,
    ) -> usize {
        let mut arm = 0;
        // SAFETY: The open batch, its age and the list of open queues belong to the section.
        unsafe {
            let batch = (*this).open;
            (*this).queued.add(1);
            if (*batch).len() == 0 {
                (*this).opened = sys::gs_sys_jiffies() as usize;
                if !(*this).open_link.is_linked() {
                    (*cpu.open.get()).push_back(this);
                }
                arm |= percpu::TIMER;
            }
            Batch::push(batch, obj);
            if (*batch).is_full() {
                arm |= Self::seal(this, cpu, section, spin);
            }
        }
        arm
    }

    /// Seals the open batch, if it has objects; returns what is to be armed. Without `spin` it
    /// may find the lock taken and leave the batch open.
    ///
    /// # Safety
    ///
    /// `this` must be a queue of `cpu`, whose section is open (or which is offline).
    pub(crate) unsafe fn seal(this: *mut Self, cpu: &Cpu, section: &Section, spin: bool) -> usize {
        let (begins, many);
        // SAFETY: The open batch belongs to the section, the sealed ones to the lock.
        unsafe {
            let batch = (*this).open;
            if (*batch).len() == 0 {
                return 0;
            }
            // Other CPUs wait for it where they may sleep.
            let Some(mut sealed) = cpu.sealed.lock_own(section, spin) else {
                return 0;
            };
            // Taken after the last object went in, on the CPU that all of them were added on.
            let cookie = Cookie::now();
            let before = (*this).fifo.weight();
            (*this).fifo.seal(batch, cookie);
            many = pressure::many_more(before, (*this).fifo.weight());
            begins = (*cpu.eras.get()).note(cookie, (*this).opened);
            let now = sys::gs_sys_jiffies() as usize;
            trace::seal(&*(*this).domain, cpu.id, (*batch).len(), (*this).age(now));
            if !(*this).sealed_link.is_linked() {
                sealed.push_back(this);
            }
            (*this).open = null_batch();
            (*this).seals.add(1);
        }
        // The doorbell that rings already may be too early for the first batch of an era.
        percpu::BELL
            | percpu::POLL
            | if begins { percpu::PERIOD } else { 0 }
            | if many { percpu::SOON } else { 0 }
    }

    /// Jiffies since the open batch got its first object.
    pub(crate) fn age(&self, now: usize) -> usize {
        now.wrapping_sub(self.opened)
    }

    /// Whether a batch is sealed here; a hint without the lock.
    pub(crate) fn has_sealed(&self) -> bool {
        // SAFETY: The queue's own.
        !unsafe { Fifo::seems_empty(&raw const self.fifo) }
    }

    /// Whether the oldest sealed batch is ripe.
    ///
    /// # Safety
    ///
    /// The caller holds the sealed lock of the queue's CPU.
    pub(crate) unsafe fn ripe(this: *mut Self) -> bool {
        // SAFETY: By the function's requirement.
        unsafe { (*this).fifo.ripe(Cookie::poll) }
    }

    /// Takes the oldest sealed batch if it is ripe, or null.
    ///
    /// # Safety
    ///
    /// `sealed` must be the list, and the lock, of the queue's CPU.
    pub(crate) unsafe fn pop_ripe(this: *mut Self, sealed: &mut SealedList) -> *mut Batch {
        // SAFETY: The lock is held.
        unsafe {
            if !Self::ripe(this) {
                return null_mut();
            }
            let batch = (*this).fifo.pop();
            if (*this).fifo.is_empty() {
                sealed.remove(this);
            }
            batch
        }
    }

    /// Number of sealed batches.
    ///
    /// # Safety
    ///
    /// As for [`Self::ripe`].
    pub(crate) unsafe fn len(this: *mut Self) -> usize {
        // SAFETY: By the function's requirement.
        unsafe { (*this).fifo.len() }
    }

    /// The same, a large one counted as the small ones that it stands for.
    ///
    /// # Safety
    ///
    /// As for [`Self::ripe`].
    pub(crate) unsafe fn weight(this: *mut Self) -> usize {
        // SAFETY: By the function's requirement.
        unsafe { (*this).fifo.weight() }
    }

    /// How many of them are ripe.
    ///
    /// # Safety
    ///
    /// As for [`Self::ripe`].
    pub(crate) unsafe fn count_ripe(this: *mut Self) -> usize {
        // SAFETY: By the function's requirement.
        unsafe { (*this).fifo.count_ripe(Cookie::poll) }
    }

    /// The cookie of the oldest sealed batch.
    ///
    /// # Safety
    ///
    /// As for [`Self::ripe`].
    pub(crate) unsafe fn oldest(this: *mut Self) -> Option<Cookie> {
        // SAFETY: By the function's requirement.
        unsafe { (*this).fifo.oldest() }
    }

    /// Number of sealed batches of a queue of `cpu`.
    ///
    /// Context: Process context.
    ///
    /// # Safety
    ///
    /// `this` must be a queue of `cpu` and valid.
    pub(crate) unsafe fn sealed(this: *mut Self, cpu: &Cpu) -> usize {
        let (section, _) = Section::open_task();
        let _sealed = cpu.sealed.lock(&section);
        // SAFETY: The lock is held.
        unsafe { (*this).fifo.len() }
    }

    /// Takes the oldest sealed batches that are ripe, at most `limit`, linked by `next`; and how
    /// many they are.
    ///
    /// # Safety
    ///
    /// As for [`Self::pop_ripe`].
    pub(crate) unsafe fn pop_ripe_many(
        this: *mut Self,
        sealed: &mut SealedList,
        limit: usize,
    ) -> (*mut Batch, usize) {
        let (mut first, mut n) = (null_mut::<Batch>(), 0);
        let mut link = &raw mut first;
        // SAFETY: By the function's requirements; batches that were popped are the caller's. An
        // empty queue is off the list, and not to be taken off again.
        unsafe {
            while n < limit && !(*this).fifo.is_empty() {
                let batch = Self::pop_ripe(this, sealed);
                if batch.is_null() {
                    break;
                }
                *link = batch;
                link = &raw mut (*batch).next;
                n += 1;
            }
        }
        (first, n)
    }

    /// Claims the oldest sealed batches of a queue of `cpu` that are ripe, at most `limit`; and
    /// how many they are. The lock, which others want, is taken once for many of them.
    ///
    /// Context: Process context.
    ///
    /// # Safety
    ///
    /// `this` must be a queue of `cpu` and valid.
    pub(crate) unsafe fn claim_ripe(
        this: *mut Self,
        cpu: &Cpu,
        limit: usize,
    ) -> Option<(Claimed, usize)> {
        let (section, _) = Section::open_task();
        let mut sealed = cpu.sealed.lock(&section);
        // SAFETY: The lock is held; the domain lives as long as its queue.
        unsafe {
            let (batches, n) = Self::pop_ripe_many(this, &mut sealed, limit.min(CLAIM_MOST));
            (n != 0).then(|| {
                let claimed = Claimed {
                    batches,
                    domain: (*this).domain,
                    claim: (*(*this).domain).claim(),
                };
                (claimed, n)
            })
        }
    }

    /// Frees the open batch's memory; it must be empty and the queue out of use.
    pub(crate) fn free_open(&mut self) {
        // SAFETY: The queue is out of use, so the batch is the caller's.
        unsafe { free_batch(self.open) };
        self.open = null_batch();
    }
}

/// Closes the section, then arms what `arm` names for `cpu` as [`arm`] does, and only then has
/// preemption on: while the caller is kept from running, nobody else would arm it, and its CPU
/// may go.
///
/// Context: as for [`arm`].
pub(crate) fn close(section: Section, cpu: &Cpu, arm: usize, spin: bool) {
    let wanted = section.close();
    self::arm(cpu, arm, spin);
    if wanted {
        percpu::serve();
    } else {
        percpu::preempt_enable();
    }
}

/// Arms what `arm` names for `cpu`, or leaves it to the irq_work where `spin` says that the
/// caller must not. The section is closed.
///
/// Context: Any context, NMI included if `spin` is false.
pub(crate) fn arm(cpu: &Cpu, arm: usize, spin: bool) {
    if arm == 0 {
        return;
    }
    if arm & percpu::BELL != 0 {
        // The batch was put on the list before 'armed' is read: pairs with the barrier in
        // `doorbell::bell`, which clears 'armed' before the list is read.
        full_barrier();
    }
    let timer = arm & (percpu::TIMER | percpu::POLL) != 0 && !cpu.timer_armed.load(Relaxed);
    let bell = arm & percpu::BELL != 0 && !cpu.bell_armed.load(Relaxed);
    let period = arm & percpu::PERIOD != 0 && !bell;
    let early = arm & percpu::TIMER != 0 && !cpu.early.load(Relaxed);
    if !spin {
        if timer || bell || period || early {
            cpu.todo.fetch_or(arm);
            // SAFETY: irq_work may be queued in any context.
            unsafe { sys::gs_sys_kick() };
        }
        return;
    }
    // 'timer_armed' needs no barrier: the timer runs on the CPU whose open list it looks at. The
    // exchange pairs with itself: one of those who come at once arms it.
    if timer && !cpu.timer_armed.xchg(true, Full) {
        // SAFETY: The caller may take the timer base's lock.
        unsafe { sys::gs_sys_timer_arm(cpu.id, super::doorbell::delay(cpu, arm)) };
    }
    if early || arm & (percpu::GLANCE | percpu::SOON) != 0 {
        super::doorbell::glance(cpu, arm);
    }
    if bell {
        super::doorbell::ring(cpu);
    }
    if period {
        super::doorbell::start_period();
    }
    if arm & percpu::WORK != 0 {
        super::doorbell::call_worker(cpu);
    }
}
