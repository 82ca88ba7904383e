// SPDX-License-Identifier: GPL-2.0

//! The per-CPU section, and what each CPU keeps.
//!
//! One `busy` byte per CPU, for the whole module, says that the CPU is inside a section: it is
//! working on its own sheaves, or holds one of our raw locks. Sections are entered and left with
//! preemption off; interrupts stay on. An interrupt or NMI that finds its CPU busy leaves
//! sheaves and locks alone and takes the lock-free way through a slab's state bits.
//!
//! An interrupt that has something for the CPU to do (a timer, a request from another CPU) and
//! finds it busy sets `wanted`; whoever closes the section looks at it afterwards. Both bytes are
//! only ever touched by their own CPU, so compiler barriers order them.

use crate::list::List;
use crate::lock::{Class, RawLock};
use crate::rcu::domain;
use crate::rcu::queue::Queue;
use crate::sys;
use crate::word::Word;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::ptr::null_mut;
use kernel::ffi::c_void;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;

/// Proof that this CPU's section is open. Dropping it closes the section.
///
/// # Invariants
///
/// The section is open, and the number is the offset of this CPU's per-CPU memory.
pub(crate) struct Section(usize, PhantomData<*mut ()>);

impl Section {
    /// Opens the section and returns this CPU's copy of `area` with it; `None` when this CPU is
    /// in one already, with which the caller must then not interfere.
    ///
    /// Context: Any context, NMI included. Preemption is off until the section closes.
    #[inline(always)]
    pub(crate) fn open<T>(area: *mut c_void) -> Option<(Self, *mut T)> {
        // SAFETY: `area` is a per-CPU allocation.
        let this = unsafe { sys::gs_sys_enter(area) };
        if this.is_null() {
            return None;
        }
        // INVARIANT: What was added to the address is the offset.
        let offset = (this as usize).wrapping_sub(area as usize);
        Some((Self(offset, PhantomData), this.cast()))
    }

    /// Opens the section; the state of this CPU.
    pub(crate) fn open_cpu() -> Option<(Self, &'static Cpu)> {
        // SAFETY: No requirements.
        let (section, _) = Self::open::<u8>(unsafe { sys::gs_sys_section_area() })?;
        let cpu = section.cpu();
        Some((section, cpu))
    }

    /// Opens the section where no section can be open: in process context, outside of ours.
    pub(crate) fn open_task() -> (Self, &'static Cpu) {
        match Self::open_cpu() {
            Some(s) => s,
            // A task is never inside a section when it comes here, and an interrupt's section
            // is closed before the task goes on.
            None => unreachable!(),
        }
    }

    /// Closes the section; true when an interrupt asked for service meanwhile.
    pub(crate) fn close(self) -> bool {
        core::mem::forget(self);
        // SAFETY: The section was open.
        unsafe { sys::gs_sys_close() }
    }

    /// The CPU whose section this is.
    pub(crate) fn cpu(&self) -> &'static Cpu {
        // SAFETY: Preemption is off, so the number stays right.
        Cpu::get(unsafe { sys::gs_sys_this_cpu() })
    }
}

impl Drop for Section {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: The section was open.
        unsafe { sys::gs_sys_leave(self.0) }
    }
}

/// Whether the caller may wait for a raw lock, arm a timer, queue work or call `call_rcu`.
///
/// A probe can fire inside any of those with interrupts off, so that a free function that is
/// called with interrupts off, or in NMI, must do none of them.
pub(crate) fn may_spin() -> bool {
    // SAFETY: May be called in any context.
    unsafe { !sys::gs_sys_irqs_disabled() && !sys::gs_sys_in_nmi() }
}

/// Whether a free function may ask for memory for another sheaf: a caller that holds a raw lock
/// may not where allocators sleep on their locks.
pub(crate) fn may_allocate() -> bool {
    // SAFETY: May be called in any context.
    may_spin() && unsafe { sys::gs_sys_may_allocate() }
}

/// Turns preemption off: a lock-free freer is an RCU reader of all that it touches.
pub(crate) struct NoPreempt(PhantomData<*mut ()>);

impl NoPreempt {
    /// Turns preemption off until the value is dropped.
    pub(crate) fn new() -> Self {
        // SAFETY: May be called in any context.
        unsafe { sys::gs_sys_preempt_disable() };
        Self(PhantomData)
    }
}

impl Drop for NoPreempt {
    fn drop(&mut self) {
        // SAFETY: Pairs with the one in `new`.
        unsafe { sys::gs_sys_preempt_enable() }
    }
}

/// A counter that one CPU writes, inside its section, and everybody reads.
#[repr(transparent)]
pub(crate) struct Counter(UnsafeCell<u64>);

impl Counter {
    /// Zero.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    /// Adds `n`; by the counter's own CPU inside its section.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        // SAFETY: Only this CPU writes, in one section at a time; the volatile store is the
        // kernel's WRITE_ONCE().
        unsafe {
            self.0
                .get()
                .write_volatile(self.0.get().read_volatile().wrapping_add(n))
        }
    }

    /// Reads the counter, of whichever CPU.
    pub(crate) fn get(&self) -> u64 {
        // SAFETY: The volatile load is the kernel's READ_ONCE().
        unsafe { self.0.get().read_volatile() }
    }
}

/// [`Cpu::todo`]: the seal timer is to be armed.
pub(crate) const TIMER: usize = 1;
/// [`Cpu::todo`]: the doorbell is to be rung.
pub(crate) const BELL: usize = 2;
/// [`Cpu::todo`]: the seal timer met a busy section.
pub(crate) const SEAL_OLD: usize = 4;

/// Queues that have a non-empty open batch.
pub(crate) type OpenList = List<Queue, { offset_of!(Queue, open_link) }>;
/// Queues that have sealed batches.
pub(crate) type SealedList = List<Queue, { offset_of!(Queue, sealed_link) }>;

/// What each CPU keeps for the whole module.
pub(crate) struct Cpu {
    /// Its number.
    pub(crate) id: u32,
    /// Queues with an open batch; touched inside this CPU's section only.
    pub(crate) open: UnsafeCell<OpenList>,
    /// Queues with sealed batches, and by that lock their batches.
    pub(crate) sealed: RawLock<SealedList>,
    /// Work that a context which must not arm anything leaves to the irq_work.
    pub(crate) todo: Word,
    /// The seal timer is pending.
    pub(crate) timer_armed: Atomic<bool>,
    /// The doorbell's callback is queued.
    pub(crate) bell_armed: Atomic<bool>,
    /// The newest request that this CPU has served.
    pub(crate) acked: Atomic<u64>,
    /// Others' pointers on their way, by channel.
    pub(crate) channels: [Queue; domain::CHANNELS],
}

struct Cpus(UnsafeCell<*mut *mut Cpu>);

// SAFETY: Written once, before anyone reads it.
unsafe impl Sync for Cpus {}

static CPUS: Cpus = Cpus(UnsafeCell::new(null_mut()));

impl Cpu {
    /// The state of CPU `id`, which must be possible.
    pub(crate) fn get(id: u32) -> &'static Self {
        // SAFETY: `init_all` has filled the table for all possible CPUs before any caller.
        unsafe { &**(*CPUS.0.get()).add(id as usize) }
    }

    /// All possible CPUs.
    pub(crate) fn possible() -> impl Iterator<Item = &'static Self> {
        // SAFETY: The number of CPUs and the mask do not change after boot.
        let nr = unsafe { sys::gs_sys_nr_cpus() };
        (0..nr)
            // SAFETY: As above.
            .filter(|&cpu| unsafe { sys::gs_sys_cpu_possible(cpu) })
            .map(Self::get)
    }

    /// Whether the CPU is online; stable under `cpus_read_lock`.
    pub(crate) fn online(&self) -> bool {
        // SAFETY: `id` is a possible CPU.
        unsafe { sys::gs_sys_cpu_online(self.id) }
    }

    /// Allocates the state of all possible CPUs. Once, in process context.
    pub(crate) fn init_all() -> Result {
        // SAFETY: Plain allocations; `CPUS` is not read before this returns.
        unsafe {
            let nr = sys::gs_sys_nr_cpus();
            let gfp = sys::gs_sys_gfp_kernel();
            let table: *mut *mut Cpu =
                sys::gs_sys_kmalloc(nr as usize * size_of::<*mut Cpu>(), gfp).cast();
            if table.is_null() {
                return Err(ENOMEM);
            }
            for id in 0..nr {
                table.add(id as usize).write(null_mut());
            }
            *CPUS.0.get() = table;
            for id in (0..nr).filter(|&c| sys::gs_sys_cpu_possible(c)) {
                let cpu: *mut Cpu = sys::gs_sys_kmalloc(size_of::<Cpu>(), gfp).cast();
                if cpu.is_null() {
                    Self::free_all();
                    return Err(ENOMEM);
                }
                cpu.write(Cpu {
                    id,
                    open: UnsafeCell::new(List::new()),
                    sealed: RawLock::new(List::new()),
                    todo: Word::new(0),
                    timer_armed: Atomic::new(false),
                    bell_armed: Atomic::new(false),
                    acked: Atomic::new(0),
                    channels: domain::channel_queues(),
                });
                (*cpu).sealed.init(Class::Sealed);
                table.add(id as usize).write(cpu);
            }
        }
        Ok(())
    }

    /// Frees what `init_all` allocated. Nobody uses it any more.
    pub(crate) fn free_all() {
        // SAFETY: By the function's contract nobody else looks at the table.
        unsafe {
            let table = *CPUS.0.get();
            for id in 0..sys::gs_sys_nr_cpus() {
                let cpu = *table.add(id as usize);
                if !cpu.is_null() {
                    for q in &mut (*cpu).channels {
                        q.free_open();
                    }
                    sys::gs_sys_kfree(cpu.cast());
                }
            }
            sys::gs_sys_kfree(table.cast());
            *CPUS.0.get() = null_mut();
        }
    }
}
