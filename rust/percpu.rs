// SPDX-License-Identifier: GPL-2.0

//! The per-CPU section, and what each CPU keeps.
//!
//! One `busy` byte per CPU (on x86_64 a word that counts), for the whole module, says that the CPU
//! is inside a section: it is working on its own sheaves, or holds one of our raw locks. Sections
//! are entered and left with preemption off; interrupts stay on, but for raw locks (see
//! [`crate::lock`]). An interrupt or NMI that finds
//! its CPU busy leaves sheaves and locks alone and takes the lock-free way through a slab's state
//! bits.
//!
//! An interrupt that has something for the CPU to do (a timer, a request from another CPU) and
//! finds it busy leaves a request, in a byte beside that one or in the same; whoever closes the
//! section sees it then. Both are only ever touched by their own CPU, so compiler barriers order
//! them.

use crate::list::List;
use crate::lock::{Class, RawLock};
use crate::rcu::domain::{self, CHANNELS};
use crate::rcu::eras::Eras;
use crate::rcu::head::Heads;
use crate::rcu::queue::Queue;
use crate::rcu::reserve::Reserve;
use crate::rcu::steps;
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
/// The section is open, and the number is what the shim found out when it was opened.
pub(crate) struct Section(usize, PhantomData<*mut ()>);

impl Section {
    /// Opens the section; `None` when this CPU is in one already, with which the caller must
    /// then not interfere.
    ///
    /// Context: Any context, NMI included. Preemption is off until the section closes.
    #[inline(always)]
    pub(crate) fn open() -> Option<Self> {
        let mut offset = 0;
        // INVARIANT: The shim has opened it.
        // SAFETY: May be called in any context.
        unsafe { sys::gs_sys_enter(&mut offset) }.then(|| Self(offset, PhantomData))
    }

    /// Opens the section; the state of this CPU.
    pub(crate) fn open_cpu() -> Option<(Self, &'static Cpu)> {
        let section = Self::open()?;
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

    /// This CPU's copy of the per-CPU `area`.
    #[inline(always)]
    pub(crate) fn here<T>(&self, area: *mut T) -> *mut T {
        // SAFETY: The section is open; the address is only computed.
        unsafe { sys::gs_sys_here(area.cast(), self.0).cast() }
    }

    /// The pointer in this CPU's copy of what lies at `place` in a per-CPU area.
    ///
    /// # Safety
    ///
    /// `place` lies in a per-CPU area, and belongs to the section.
    #[inline(always)]
    pub(crate) unsafe fn load<T>(&self, place: *mut *mut T) -> *mut T {
        // SAFETY: By the function's requirement.
        unsafe { sys::gs_sys_here_load(place.cast(), self.0).cast() }
    }

    /// Adds one to this CPU's copy of the counter at `place` in a per-CPU area.
    ///
    /// # Safety
    ///
    /// `place` lies in a per-CPU area, and belongs to the section.
    #[inline(always)]
    pub(crate) unsafe fn count(&self, place: *mut Counter) {
        // SAFETY: By the function's requirement; a counter is a number and nothing else.
        unsafe { sys::gs_sys_here_inc(place.cast(), self.0) }
    }

    /// Closes the section. Preemption stays off; true when an interrupt asked for service
    /// meanwhile: then the caller ends with [`serve`], or takes the request back and serves
    /// itself, else with [`preempt_enable`].
    #[inline(always)]
    pub(crate) fn close(self) -> bool {
        let offset = self.0;
        core::mem::forget(self);
        // SAFETY: The section was open.
        unsafe { sys::gs_sys_close(offset) }
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
        if unsafe { sys::gs_sys_close(self.0) } {
            serve();
        } else {
            preempt_enable();
        }
    }
}

/// Serves what an interrupt asked the section for that has just closed, and turns preemption on.
#[cold]
pub(crate) fn serve() {
    // SAFETY: A section has closed, and preemption is off.
    unsafe { sys::gs_sys_serve() }
}

/// Turns preemption on again, after [`Section::close`].
#[inline(always)]
pub(crate) fn preempt_enable() {
    // SAFETY: Pairs with the one that opened the section.
    unsafe { sys::gs_sys_preempt_enable() }
}

/// Whether the caller may wait for a raw lock, arm a timer, queue work or call `call_rcu`.
///
/// A probe can fire inside any of those with interrupts off, so that a free function that is
/// called with interrupts off, or in NMI, must do none of them.
pub(crate) fn may_spin() -> bool {
    // SAFETY: May be called in any context.
    unsafe { !sys::gs_sys_irqs_disabled() && !sys::gs_sys_in_nmi() }
}

/// Whether a free function may ask for memory: a caller that holds a raw lock may not where
/// allocators sleep on their locks. Not to be asked inside of a section.
pub(crate) fn may_allocate() -> bool {
    // SAFETY: May be called in any context.
    may_spin() && unsafe { sys::gs_sys_may_allocate(0) }
}

/// [`may_allocate`], asked inside of the section that is left before.
pub(crate) fn may_allocate_after(_section: &Section) -> bool {
    // SAFETY: May be called in any context; a section has preemption off once.
    may_spin() && unsafe { sys::gs_sys_may_allocate(1) }
}

/// Whether a free function may give memory back to its allocator, as [`may_allocate`], once
/// preemption is on again.
pub(crate) fn may_free_after(_reader: &NoPreempt) -> bool {
    // SAFETY: May be called in any context; the value has preemption off once.
    may_spin() && unsafe { sys::gs_sys_may_allocate(1) }
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
/// [`Cpu::todo`]: the timer is to look whether a sealed batch is ripe.
pub(crate) const POLL: usize = 8;
/// [`Cpu::todo`]: a batch waits for a grace period that nobody may have asked for.
pub(crate) const PERIOD: usize = 16;
/// [`Cpu::todo`]: the worker has something to do.
pub(crate) const WORK: usize = 32;
/// [`Cpu::todo`]: a sealed batch may be ripe soon after a tick; or it is time to look.
pub(crate) const GLANCE: usize = 64;
/// [`Cpu::todo`]: what would be too old at the next tick is to be sealed before it.
pub(crate) const SEAL_EARLY: usize = 128;
/// [`Cpu::todo`]: so much is sealed that a grace period may be to be expedited.
pub(crate) const SOON: usize = 256;

/// Queues that have a non-empty open batch.
pub(crate) type OpenList = List<Queue, { offset_of!(Queue, open_link) }>;
/// Queues that have sealed batches.
pub(crate) type SealedList = List<Queue, { offset_of!(Queue, sealed_link) }>;

/// What a CPU has in its open batches; see [`crate::rcu::request::Ask::Look`].
pub(crate) struct Seen {
    /// Batches.
    pub(crate) batches: Atomic<u64>,
    /// Their objects.
    pub(crate) objects: Atomic<u64>,
    /// How long ago the first of them came, in jiffies.
    pub(crate) age: Atomic<usize>,
}

impl Seen {
    const fn new() -> Self {
        Self {
            batches: Atomic::new(0),
            objects: Atomic::new(0),
            age: Atomic::new(0),
        }
    }
}

/// What each CPU keeps for the whole module.
pub(crate) struct Cpu {
    /// Its number.
    pub(crate) id: u32,
    /// Queues with an open batch; touched inside this CPU's section only.
    pub(crate) open: UnsafeCell<OpenList>,
    /// Queues with sealed batches, and by that lock their batches.
    pub(crate) sealed: RawLock<SealedList>,
    /// What its sealed batches wait for; by that lock.
    pub(crate) eras: UnsafeCell<Eras>,
    /// Times that the timer looked for ripe batches since it last found one.
    pub(crate) polls: Atomic<usize>,
    /// Glances since the last poll.
    pub(crate) glances: Atomic<u32>,
    /// Whether a glance comes before what is open has to be sealed.
    pub(crate) early: Atomic<bool>,
    /// Ticks until the oldest of what is open has to be sealed, as of the last look.
    pub(crate) seal_in: Atomic<usize>,
    /// What it has open, as of the last [`crate::rcu::request::Ask::Look`].
    pub(crate) seen: Seen,
    /// How often each step served here.
    pub(crate) steps: [Atomic<u64>; steps::NAMES.len()],
    /// Work that a context which must not arm anything leaves to the irq_work.
    pub(crate) todo: Word,
    /// The seal timer is pending.
    pub(crate) timer_armed: Atomic<bool>,
    /// The doorbell's callback is queued.
    pub(crate) bell_armed: Atomic<bool>,
    /// The newest request that this CPU has served.
    pub(crate) acked: Atomic<u64>,
    /// Pages and wrappers for others' pointers.
    pub(crate) reserve: Reserve,
    /// Others' pointers that found neither.
    pub(crate) heads: Heads,
}

/// The per-CPU area of the channels' queues.
static CHANNEL_QUEUES: Cell<c_void> = Cell(UnsafeCell::new(null_mut()));

struct Cell<T>(UnsafeCell<*mut T>);

// SAFETY: Written once, before anyone reads it.
unsafe impl<T> Sync for Cell<T> {}

static CPUS: Cell<*mut Cpu> = Cell(UnsafeCell::new(null_mut()));

impl Cpu {
    /// The state of CPU `id`, which must be possible.
    pub(crate) fn get(id: u32) -> &'static Self {
        // SAFETY: `init_all` has filled the table for all possible CPUs before any caller.
        unsafe { &**(*CPUS.0.get()).add(id as usize) }
    }

    /// The per-CPU area of others' pointers on their way: a queue for each channel.
    #[inline(always)]
    pub(crate) fn channel_area() -> *mut c_void {
        // SAFETY: `init_all` has set it before any caller.
        unsafe { *CHANNEL_QUEUES.0.get() }
    }

    /// The CPU's queue of channel `index`. Its open batch belongs to the CPU's section.
    pub(crate) fn channel(&self, index: usize) -> *mut Queue {
        debug_assert!(index < CHANNELS);
        // SAFETY: The area has this many queues for each possible CPU.
        unsafe {
            sys::gs_sys_percpu_ptr(Self::channel_area(), self.id)
                .cast::<Queue>()
                .add(index)
        }
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
            let queues = sys::gs_sys_percpu_alloc(
                size_of::<[Queue; CHANNELS]>(),
                align_of::<[Queue; CHANNELS]>(),
            );
            *CHANNEL_QUEUES.0.get() = queues;
            if queues.is_null() {
                Self::free_all();
                return Err(ENOMEM);
            }
            // Before the first CPU's state is there, so that what is freed has been made.
            for id in (0..nr).filter(|&c| sys::gs_sys_cpu_possible(c)) {
                sys::gs_sys_percpu_ptr(queues, id)
                    .cast::<[Queue; CHANNELS]>()
                    .write(domain::channel_queues());
            }
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
                    eras: UnsafeCell::new(Eras::new()),
                    polls: Atomic::new(0),
                    glances: Atomic::new(0),
                    early: Atomic::new(false),
                    seal_in: Atomic::new(usize::MAX),
                    seen: Seen::new(),
                    steps: [const { Atomic::new(0) }; steps::NAMES.len()],
                    todo: Word::new(0),
                    timer_armed: Atomic::new(false),
                    bell_armed: Atomic::new(false),
                    acked: Atomic::new(0),
                    reserve: Reserve::new(),
                    heads: Heads::new(),
                });
                (*cpu).sealed.init(Class::Sealed);
                table.add(id as usize).write(cpu);
            }
            // A section needs the state of the CPU that it happens to be on.
            for cpu in Self::possible() {
                cpu.reserve.init();
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
                    for index in 0..CHANNELS {
                        (*(*cpu).channel(index)).free_open();
                    }
                    (*cpu).reserve.free();
                    sys::gs_sys_kfree(cpu.cast());
                }
            }
            sys::gs_sys_percpu_free(Self::channel_area());
            *CHANNEL_QUEUES.0.get() = null_mut();
            sys::gs_sys_kfree(table.cast());
            *CPUS.0.get() = null_mut();
        }
    }
}
